//! The tools of the category `network`, in Rust alone: no tool starts a child process.
//!
//! `ping`, `telnet`, `wget` and `nslookup` reach for a target, which the scan scope checks
//! first; `whois` asks the registries' servers of its own setting. `netstat`, `arp`, `route` and
//! `ifconfig` tell what the kernel of the worker's host knows; their results name that host and
//! its site.
//!
//! It is *not* a place for what all categories need: arguments, deadlines, scope and results
//! are the crate [`mod@worker`]'s business.
//!
//! The way in is [`worker()`]. To add a tool: a module under `tools` with its argument type, its
//! output type and `fn tool() -> Tool`, and one line in [`worker()`].

mod backlog;
mod error;
mod icmp;
mod netlink;
mod scopes;
mod target;
mod tools;
mod vendors;

use std::num::NonZeroU16;

use protocol::Category;
use service::settings::Settings;
use worker::{HostIdentity, Scope, Worker};

pub use error::Error;
pub use tools::{nslookup, wget, whois};

/// Calls that one consumer runs at once by default: they mostly wait for the network.
const PREFETCH: NonZeroU16 = match NonZeroU16::new(64) {
    Some(prefetch) => prefetch,
    None => NonZeroU16::MIN,
};

/// The worker of this category.
///
/// # Errors
/// [`Error::Scope`] or [`Error::WhoisServers`] when the settings name a scan target or a registry
/// server that is none.
pub fn worker(settings: &Settings) -> Result<Worker, Error> {
    let scope = Scope::new(&settings.scan_scope_allow, &settings.scan_scope_deny)?;
    Ok(Worker::new(Category::network(), PREFETCH)
        .scope(scope)
        .host(HostIdentity::of_site(settings.discovery_site.as_str()))
        .tool(tools::arp::tool())
        .tool(tools::ifconfig::tool())
        .tool(tools::netstat::tool())
        .tool(nslookup::tool())
        .tool(tools::ping::tool())
        .tool(tools::route::tool())
        .tool(tools::telnet::tool())
        .tool(wget::tool())
        .tool(whois::tool(&settings.whois_servers)?))
}
