//! Small loopback servers to point tools at.
//!
//! Each listens on 127.0.0.1 with a port of the system's choice, or where it is told, remembers
//! what it was asked, and ends when it is dropped. They run on the runtime of the calling test.

mod dns;
mod http;
pub(crate) mod listener;
mod tcp;

pub use dns::{DnsServer, Zone};
pub use http::{HttpRequest, HttpServer, Script};
pub use tcp::{TcpServer, WhoisServer};

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;

/// 127.0.0.1 with a port of the system's choice.
pub const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An address of 127.0.0.1 that refuses connections.
///
/// # Errors
/// No port is free.
pub fn refusing_address() -> Result<SocketAddr> {
    Ok(SocketAddr::from((
        Ipv4Addr::LOCALHOST,
        crate::ports::free_port()?,
    )))
}
