//! The tools of the category `snmp`: asking network devices and hosts what they are and how they
//! are, over SNMP v1, v2c and v3.
//!
//! `snmp_create_session` makes a sealed identifier that holds all it takes to ask one agent;
//! `snmp_get`, `snmp_get_next`, `snmp_walk` and `snmp_table` use it, at any worker with the same
//! key. `snmp_discover` finds agents in a network. `snmp_device_inventory`,
//! `snmp_interface_discovery`, `snmp_system_health` and `snmp_service_discovery` take an agent's
//! address and credentials directly and read whole MIBs. `snmp_network_topology` visits the
//! devices of a network and draws how they are wired.
//!
//! It is *not* a MIB compiler, and it never writes to an agent.
//!
//! The way in is [`worker()`]; what asks an agent is the module `client`. To add a tool: a
//! module under `tools` with its argument type, its output type and `fn tool() -> Tool`, and one
//! line in [`worker()`]. To add names of a MIB: lines in `mib/names/`.

mod agent;
mod client;
mod collect;
mod device;
mod error;
mod markdown;
mod mib;
mod oid;
mod options;
mod reading;
mod session;
mod sweep;
mod tools;
mod topology;
mod value;

use std::num::NonZeroU16;
use std::sync::Arc;

use protocol::Category;
use service::settings::Settings;
use worker::{HostIdentity, Scope, Worker};

use session::Sessions;

pub use error::{AuthenticationFault, Error, Status};
pub use oid::Oid;

/// Calls that one consumer runs at once by default: they mostly wait for agents.
const PREFETCH: NonZeroU16 = match NonZeroU16::new(64) {
    Some(prefetch) => prefetch,
    None => NonZeroU16::MIN,
};

/// The worker of this category.
///
/// # Errors
/// [`Error::Scope`] or [`Error::SessionKey`] when the settings name a scan target or a key that is
/// none.
pub fn worker(settings: &Settings) -> Result<Worker, Error> {
    let scope = Scope::new(&settings.scan_scope_allow, &settings.scan_scope_deny)?;
    let sessions = Arc::new(Sessions::new(settings)?);
    Ok(Worker::new(Category::snmp(), PREFETCH)
        .scope(scope)
        .host(HostIdentity::of_site(settings.discovery_site.as_str()))
        .tool(tools::close_session::tool(Arc::clone(&sessions)))
        .tool(tools::create_session::tool(Arc::clone(&sessions)))
        .tool(tools::device_inventory::tool())
        .tool(tools::discover::tool())
        .tool(tools::get::tool(Arc::clone(&sessions)))
        .tool(tools::get_next::tool(Arc::clone(&sessions)))
        .tool(tools::interface_discovery::tool())
        .tool(tools::network_topology::tool())
        .tool(tools::service_discovery::tool())
        .tool(tools::system_health::tool())
        .tool(tools::table::tool(Arc::clone(&sessions)))
        .tool(tools::walk::tool(sessions)))
}
