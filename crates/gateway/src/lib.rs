//! MCP in front, the message bus behind.
//!
//! Two fronts (Streamable HTTP and stdio) read JSON-RPC messages, find out which era they
//! speak, and hand requests to one gateway. It knows the tools from what workers announce,
//! answers what is its own to answer, and passes calls on to the bus and the workers' answers
//! back: unchanged where both speak the stateless revision, otherwise with as little change as
//! an older client needs.
//!
//! It is *not* the place for anything a tool does: no argument of a call is read here, except
//! those that their tool's schema wants mirrored in headers.
//!
//! The way in is [`serve`]; a binary of its own is [`main`]. A new front reads messages, calls
//! `Gateway::answer` and writes what comes of it; `stdio` is the smallest example.

mod answer;
mod binary;
mod budget;
mod bulkhead;
mod busy;
mod call;
mod caller_scope;
mod catalogue;
mod config;
mod era;
mod error;
mod gateway;
mod http;
mod input;
mod message;
mod news;
mod peers;
mod probe;
mod queues;
mod refusal;
mod request;
mod serve;
mod session;
mod splice;
mod stdio;
mod streams;

pub use binary::main;
pub use bulkhead::Limits;
pub use config::{Config, Http};
pub use error::Error;
pub use serve::{Server, serve};
