//! The runtime of every tool worker.
//!
//! A category's crate declares its tools ([`Tool`]) and registers them in a [`Worker`];
//! everything between the broker and the tool's own function happens here: arguments are
//! checked against their schema, targets against the [`Scope`], results against theirs;
//! deadline and cancellation end a call; progress and the one final reply go back to the
//! caller.
//!
//! It is *not* a place for what a tool does, and it knows the one wire format only: what
//! older clients need is the gateway's work.
//!
//! [`run()`] is the `main` of a worker binary; [`serve`] runs a worker on any bus, for a
//! process that holds several.
//!
//! To add a tool: one file with an argument type, an output type with [`Summary`], an
//! async function `(Context, Arguments) -> Result<Output, ToolError>`, and
//! `pub fn tool() -> Tool`; then one line `.tool(name::tool())` in the category's crate.

mod call;
mod context;
mod error;
mod host;
mod identity;
mod page;
mod progress;
mod run;
mod runtime;
mod scope;
mod tool;
mod worker;

pub use context::Context;
pub use error::{Error, HostError, ScopeError};
pub use host::{Host, HostName};
pub use identity::HostIdentity;
pub use page::{Page, Paged, paginate};
pub use run::run;
pub use runtime::serve;
pub use scope::Scope;
pub use tool::{Summary, Tool};
pub use worker::Worker;
