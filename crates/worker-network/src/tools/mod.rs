//! The tools, one module each.

pub(crate) mod arp;
pub(crate) mod ifconfig;
pub(crate) mod milliseconds;
pub(crate) mod netstat;
pub mod nslookup;
pub(crate) mod ping;
pub(crate) mod route;
pub(crate) mod server;
pub(crate) mod telnet;
pub mod wget;
pub mod whois;
