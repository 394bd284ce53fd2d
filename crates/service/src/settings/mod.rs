//! Settings, read once when a process starts: defaults, then `discovery.toml`, then the
//! environment.
//!
//! All processes share one flat set of names, so one file serves a whole site and an unknown key
//! is an error in each of them.
//! The key in the file is the lower-case name of the environment variable.
//!
//! The way in is [`Settings::load`].
//! To add a setting: a field with its documentation and default in `fields.rs`, its key in a
//! group of `groups.rs`, and if none of the types fits, a type of its own with `FromStr`,
//! `Display` and the `setting!` macro, which also says what is allowed.
//! Then write `docs/configuration.md` anew:
//! `cargo run -p service --example configuration > docs/configuration.md`.

mod broker;
mod choice;
mod duration;
mod entries;
mod fields;
mod groups;
mod load;
mod network;
mod pairs;
mod problem;
mod process;
mod reference;
mod session;
mod size;
mod text;
mod web;

pub use crate::error::Error;
pub use broker::{AmqpUrl, AmqpUrls, ExchangeName, QueuePrefix, Secret};
pub use choice::{CallRouting, LoadBalance, LogFormat, Transport, Transports};
pub use duration::{Milliseconds, Seconds};
pub use entries::Entry;
pub use fields::Settings;
pub use load::Loaded;
pub use network::{Host, OtlpEndpoint, Scope};
pub use pairs::{NoWorker, WhenNoWorker, WhoisServers};
pub use problem::{Origin, Problem, Warning};
pub use process::{LogFilter, Site};
pub use reference::reference_markdown;
pub use session::{SessionKeys, SessionTtl};
pub use size::MessageSize;
pub use web::{AllowedHosts, AllowedOrigins};
