//! The tools, one module each.

pub(crate) mod arp;
pub(crate) mod ifconfig;
pub(crate) mod netstat;
pub(crate) mod ping;
pub(crate) mod route;
pub(crate) mod telnet;
