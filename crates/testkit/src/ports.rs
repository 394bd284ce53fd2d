//! Free ports on the loopback address.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::{Result, bail};
use uuid::Uuid;

/// The lowest port handed out.
const FIRST: u16 = 15_000;
/// How many ports there are to choose from.
///
/// The range ends below 32768, where Linux begins to take source ports from: a client that keeps
/// connecting to a closed port up there can end up connected to itself, and then no server can
/// have the port.
const N_PORTS: u16 = 17_000;

/// A port of 127.0.0.1 that is free for TCP and UDP at this moment.
///
/// Nothing reserves it, so start the server soon.
///
/// # Errors
/// No port of the range 15000 to 31999 is free.
pub fn free_port() -> Result<u16> {
    for _ in 0..1000 {
        let [a, b, ..] = *Uuid::new_v4().as_bytes();
        let port = FIRST + u16::from_le_bytes([a, b]) % N_PORTS;
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(port);
        }
    }
    bail!(
        "no free port between {FIRST} and {} on 127.0.0.1",
        FIRST + N_PORTS - 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_port_can_be_bound_and_is_below_the_source_ports() {
        let port = free_port().unwrap();
        assert!((FIRST..32_768).contains(&port));
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}
