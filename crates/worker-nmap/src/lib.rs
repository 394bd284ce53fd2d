//! The tools of the category `nmap`: the nmap program as a child process, its XML as typed results.
//!
//! Nothing that a caller writes reaches nmap as it is: targets and ports are read into types of
//! their own, names are resolved here, and every address is checked against the scan scope before
//! a process starts. A call scans its addresses part by part, and many ports in several runs, one
//! nmap at a time, so that memory is bounded, and what is done is kept when the deadline comes; the
//! cursor of a page names the address and port to go on with, so any worker continues it. The process ends with its call and with
//! its worker, however these end.
//!
//! It is *not* a scanner of its own, and no place for what all categories need: arguments,
//! deadlines, scope and results are the crate [`mod@worker`]'s business.
//!
//! The way in is [`worker()`]. To add a tool: a module under `tools` with its argument type and
//! `fn tool(&Arc<Scanner>) -> Tool`, a way to a `Scan`, and one line in [`worker()`].

mod addresses;
mod error;
mod ports;
mod privileges;
mod process;
mod report;
mod result;
mod scan;
mod scanner;
mod targets;
mod tools;
mod turns;
mod xml;

use std::num::NonZeroU16;
use std::sync::Arc;

use service::settings::Settings;
use worker::{HostIdentity, Scope, Worker};

pub use error::Error;
pub use privileges::Nmap;
use scanner::Scanner;

/// Calls that a worker takes from the broker for each scan that it may run.
const CALLS_PER_SCAN: NonZeroU16 = NonZeroU16::new(4).unwrap();

/// The worker of this category.
///
/// Without nmap, or without the rights that a scan needs, the tools are there, say what is
/// missing, and fail with that until the operator has mended it. What they say of it in their
/// descriptions they have found out here. All workers of a site should have the same rights, for
/// clients see the descriptions of one of them, and any of them may get a call.
///
/// # Errors
/// [`Error::Scope`] when the settings name a scan target that is none.
pub fn worker(settings: &Settings) -> Result<Worker, Error> {
    let scope = Scope::new(&settings.scan_scope_allow, &settings.scan_scope_deny)?;
    let max_scans = settings.nmap_max_scans;
    let scanner = Arc::new(Scanner::new(settings.nmap_program.clone(), max_scans));
    // Some calls wait for another one that scans the same host, and they shall not keep the places
    // of those that need not; how many scan at a time is up to the turns that they take.
    let prefetch = max_scans.saturating_mul(CALLS_PER_SCAN);
    Ok(Worker::new(protocol::Category::nmap(), prefetch)
        .scope(scope)
        .host(HostIdentity::of_site(settings.discovery_site.as_str()))
        .tool(tools::ping_scan::tool(&scanner))
        .tool(tools::tcp_connect_scan::tool(&scanner))
        .tool(tools::tcp_syn_scan::tool(&scanner))
        .tool(tools::udp_scan::tool(&scanner))
        .tool(tools::version_scan::tool(&scanner)))
}
