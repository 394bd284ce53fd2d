//! The runtime of every worker.
//!
//! A category's crate declares its tools ([`Tool`]), prompts ([`Prompt`]) and resources
//! ([`Resource`], [`ResourceTemplate`]) and registers them in a [`Worker`]; everything between
//! the broker and their own functions happens here: arguments are checked against their
//! schema, targets against the [`Scope`], results against theirs; deadline and cancellation
//! end a call; progress, log messages and the one final reply go back to the caller.
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
//! A tool whose content is more than a text and an object is a [`Tool::raw`].
//!
//! To add a prompt: one file with an async function
//! `(Context, BTreeMap<String, String>) -> Result<PromptContent, ToolError>` and
//! `pub fn prompt() -> Prompt`, which declares its arguments; then `.prompt(name::prompt())`.
//!
//! To add a resource: one file with an async function
//! `(Context, String) -> Result<Contents, ToolError>` and `pub fn resource() -> Resource`; then
//! `.resource(name::resource())`. Resources that differ in a part of their URI are one
//! [`ResourceTemplate`].
//!
//! A function that lacks something only the client's user, model or roots can give ends with
//! [`Stop::Asks`] and finds the answers in [`Context::inputs`] when it runs again:
//!
//! ```
//! use protocol::mcp::method;
//! use protocol::response::InputRequired;
//! use serde_json::json;
//! use worker::{Context, Elicited, Stop, ToolContent};
//!
//! async fn greet(context: Context) -> Result<ToolContent, Stop> {
//!     let form = json!({
//!         "message": "What is your name?",
//!         "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
//!     });
//!     let Some(Elicited::Accepted(answer)) = context.inputs().elicited("name") else {
//!         return Err(InputRequired::new().ask("name", method::ELICITATION, form).into());
//!     };
//!     Ok(ToolContent::new().text(format!("Hello, {}!", answer["name"])))
//! }
//! ```

mod answers;
mod call;
mod client;
mod completion;
mod context;
mod error;
mod events;
mod host;
mod identity;
mod inputs;
pub mod markdown;
mod meta;
mod notifications;
mod page;
mod prompt;
mod resource;
mod run;
mod runtime;
mod scope;
mod stop;
mod target;
mod tool;
mod worker;

pub use answers::{Answers, CallKey, StoredAnswer};
pub use client::ClientCapabilities;
pub use completion::CompletionRequest;
pub use context::Context;
pub use error::{Error, HostError, ScopeError};
pub use host::{Host, HostName};
pub use identity::HostIdentity;
pub use inputs::{Elicited, Inputs};
pub use page::{Page, Paged, paginate};
pub use prompt::{Prompt, PromptContent};
pub use resource::{Contents, Resource, ResourceRequest, ResourceTemplate};
pub use run::run;
pub use runtime::serve;
pub use scope::Scope;
pub use stop::Stop;
pub use tool::{Summary, Tool, ToolContent};
pub use worker::Worker;
