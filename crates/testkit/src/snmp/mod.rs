//! SNMP agents: net-snmp's own, and simulated devices of other vendors.
//!
//! * [`Snmpd`]: a real `snmpd` on a loopback port, SNMP v1 and v2c with community [`COMMUNITY`]
//!   and v3 with the users of [`USERS`].
//!   [`program()`] is the same agent for another place, such as a network namespace; [`answers`]
//!   waits for it.
//! * [`Snmpsim`]: many devices behind one port, each under a community of its own; the data are
//!   in `crates/testkit/snmpsim`, one file per device ([`DEVICES`]).
//! * [`Relay`]: stands before an agent and loses, delays or answers requests as a test says;
//!   [`BulkLimit`]: refuses large ones, as weak devices do.
//!
//! To add a device: a file `NAME.snmprec` with lines `OID|tag|value` in the order of the OIDs,
//! and its name in [`DEVICES`]. Addresses come from the documentation ranges (RFC 5737), MAC
//! addresses are locally administered or of 00-00-5E.

mod ber;
mod bulk_limit;
mod relay;
mod snmpd;
mod snmpsim;

pub use bulk_limit::{BulkLimit, Refusal};
pub use relay::{Fate, Relay};
pub use snmpd::{AUTH_PASSWORD, PRIVACY_PASSWORD, Snmpd, USERS, User, program};
pub use snmpsim::{DEVICES, SIMULATOR_USER, Snmpsim};

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Result;
use tokio::{net::UdpSocket, time::timeout};

use crate::wait;

/// The community that an [`Snmpd`] lets read.
pub const COMMUNITY: &str = "public";

/// How long an agent has to answer one question; a lost one is asked again.
const ANSWER: Duration = Duration::from_millis(200);

/// Waits until an agent answers a community's question for `sysDescr.0`.
///
/// # Errors
/// It has not within `deadline`.
pub async fn answers(agent: SocketAddr, community: &str, deadline: Duration) -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(agent).await?;
    let question = ber::get_sys_descr(community);
    let mut answer = [0; 2048];
    let asked = async || {
        // A port that nobody listens on yet refuses; that is no reason to give up.
        socket.send(&question).await.ok()?;
        timeout(ANSWER, socket.recv(&mut answer)).await.ok()?.ok()
    };
    wait::until(&format!("the agent at {agent} answers"), deadline, asked).await?;
    Ok(())
}
