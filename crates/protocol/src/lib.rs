//! What goes over the wire, as plain data.
//!
//! Every other crate speaks in these terms: the borrowed JSON-RPC [`Envelope`], the
//! constants of the Model Context Protocol in [`mcp`], [`ToolDescriptor`] and
//! [`ToolError`], the names on the broker ([`Names`]), message headers ([`headers`]) and
//! the notifications with which workers and gateways find each other ([`control`]).
//!
//! It is *not* a place for I/O: no runtime, no sockets, no clock, no randomness.
//!
//! Way in: a front reads bytes with [`Envelope::parse`]; a worker answers with the
//! functions of [`response`]. To add an error code, add a variant to [`ErrorCode`] and
//! its page under `src/errors/`; the build fails while the page is missing.

mod canonical;
mod category;
pub mod control;
mod envelope;
mod error;
mod error_code;
mod event;
pub mod header_value;
pub mod headers;
pub mod json;
mod log_level;
pub mod mcp;
mod names;
mod param_headers;
pub mod response;
mod tool;
mod tool_error;
mod uri_template;

pub use canonical::canonical_json;
pub use category::Category;
pub use control::{Announcement, Digest, Instance};
pub use envelope::{Envelope, Kind, Meta, RequestParams};
pub use error::Error;
pub use error_code::ErrorCode;
pub use event::{Change, Event};
pub use log_level::LogLevel;
pub use names::{Names, Prefix};
pub use param_headers::{ParamHeaders, ParamValue};
pub use tool::{Annotations, MAX_HOLD, ToolDescriptor, ToolMeta, canonical_tool_name};
pub use tool_error::ToolError;
pub use uri_template::UriTemplate;
