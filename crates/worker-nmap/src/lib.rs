//! The tools of the category `nmap`: the nmap program as a child process, its XML as typed results.
//!
//! Nothing that a caller writes reaches nmap as it is: targets and ports are read into types of
//! their own, names are resolved here, and every address is checked against the scan scope before
//! a process starts. A call scans its addresses part by part, one nmap at a time, so that memory
//! is bounded, and what is done is kept when the deadline comes; the cursor of a page is the
//! address to go on with, so any worker continues it. The process ends with its call and with
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

use std::sync::Arc;

use service::settings::Settings;
use worker::{HostIdentity, Scope, Worker};

pub use error::Error;
pub use privileges::Nmap;
use scanner::Scanner;

/// The worker of this category.
///
/// Without nmap, or without the rights that a scan needs, the tools are there, say what is
/// missing, and fail with that until the operator has mended it.
///
/// # Errors
/// [`Error::Scope`] when the settings name a scan target that is none.
pub fn worker(settings: &Settings) -> Result<Worker, Error> {
    let scope = Scope::new(&settings.scan_scope_allow, &settings.scan_scope_deny)?;
    let max_scans = settings.nmap_max_scans;
    let scanner = Arc::new(Scanner::new(settings.nmap_program.clone(), max_scans));
    // A call that would only wait for a place is better off with another worker.
    Ok(Worker::new(protocol::Category::nmap(), max_scans)
        .scope(scope)
        .host(HostIdentity::of_site(settings.discovery_site.as_str()))
        .tool(tools::ping_scan::tool(&scanner))
        .tool(tools::tcp_connect_scan::tool(&scanner))
        .tool(tools::tcp_syn_scan::tool(&scanner))
        .tool(tools::udp_scan::tool(&scanner))
        .tool(tools::version_scan::tool(&scanner)))
}
