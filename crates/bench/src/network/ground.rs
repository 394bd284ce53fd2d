//! The network: this process on the near side of a cable, hosts and agents on the far side.
//!
//! Hosts are addresses that the far side takes for its own; what is sent to any other address of
//! its networks it drops in silence, as real networks do. Its SNMP agent answers at every address
//! of a host, from that address.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use testkit::namespaces::{far_side, ip, run};
use testkit::process::{Process, Program};
use testkit::snmp::{COMMUNITY, answers, program};

use crate::site::{Server, released};

/// The far side itself.
pub(super) const FAR: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
/// Everything that lies behind it.
const BEHIND: &str = "10.64.0.0/10";
/// Pairs of interfaces that the agent tells of, beside its own two.
const PAIRS: usize = 195;
/// How long the agent may take to start.
const START: Duration = Duration::from_secs(20);
/// Bytes of requests that the agent's socket keeps. One agent stands for thousands here, which
/// would each have a socket of its own; the kernel may give less.
const AGENT_BUFFER: usize = 4 << 20;

/// A network with a host at every so manieth address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    base: Ipv4Addr,
    prefix: u8,
    /// From one host to the next.
    step: u8,
}

/// A /20 with an agent at every address.
pub(crate) const FULL: Range = Range::new(Ipv4Addr::new(10, 64, 0, 0), 20, 1);
/// A /20 with few agents, and silence between them.
pub(crate) const SPARSE: Range = Range::new(Ipv4Addr::new(10, 80, 0, 0), 20, 16);
/// A /26 with four hosts, and silence between them.
pub(crate) const FILTERED: Range = Range::new(Ipv4Addr::new(10, 96, 0, 0), 26, 16);

impl Range {
    const fn new(base: Ipv4Addr, prefix: u8, step: u8) -> Self {
        Self { base, prefix, step }
    }

    /// In CIDR notation.
    pub(crate) fn cidr(self) -> String {
        format!("{}/{}", self.base, self.prefix)
    }

    /// All addresses, those of the network and for broadcasts included.
    pub(crate) fn size(self) -> u32 {
        1 << (32 - self.prefix)
    }

    /// The first and the last address that a host can have.
    pub(super) fn ends(self) -> [Ipv4Addr; 2] {
        [self.at(1), self.at(self.size() - 2)]
    }

    /// Where the hosts are.
    pub(crate) fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        let step = u32::from(self.step);
        let places = (0..self.size()).filter(move |place| place % step == step / 2);
        let may_be_host = move |place: &u32| (1..=self.size() - 2).contains(place);
        places.filter(may_be_host).map(move |place| self.at(place))
    }

    fn at(self, place: u32) -> Ipv4Addr {
        (u32::from(self.base) + place).into()
    }
}

/// The network with its agent and the platform; all of it goes with the namespaces.
pub(super) struct Ground {
    pub(super) platform: Server,
    pub(super) folder: TempDir,
    _agent: Process,
}

impl Ground {
    /// Builds it in the namespaces that this process is in, and waits until everybody answers.
    pub(super) async fn build() -> Result<Self> {
        ip("link set lo up");
        // What lies here is the namespaces' own from now on, their names for `ip` included.
        run(&["mount", "-t", "tmpfs", "tmpfs", "/run"]);
        far_side();
        let folder = tempfile::Builder::new().tempdir_in("/run")?;
        ip(&format!("route add {BEHIND} via {FAR}"));
        let batch = folder.path().join("far");
        fs::write(&batch, far_of_cable()?)?;
        ip(&format!("-netns far -batch {}", batch.display()));
        let start = Program::new("nsenter").args(["--net=/run/netns/far", "snmpd"]);
        let lines = format!("agentAddress udp:161\n[snmp] serverRecvBuf {AGENT_BUFFER}");
        let agent = program(start, folder.path(), &lines)?.start()?;
        answers(SocketAddr::from((FAR, 161)), COMMUNITY, START).await?;
        let program = Program::new(released("discovery")?).arg("up");
        Ok(Self {
            platform: Server::start(program.folder(folder.path()))?,
            folder,
            _agent: agent,
        })
    }
}

/// Lines for `ip` on the far side.
fn far_of_cable() -> Result<String> {
    let mut lines = format!("route add blackhole {BEHIND}\n");
    for range in [FULL, SPARSE, FILTERED] {
        for host in range.hosts() {
            writeln!(lines, "route add local {host} dev lo table local")?;
        }
    }
    for pair in 0..PAIRS {
        writeln!(lines, "link add a{pair} type veth peer name b{pair}")?;
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_addresses_that_hosts_can_have() {
        let check = |range: Range, n_hosts, first: [u8; 4], last: [u8; 4]| {
            let hosts: Vec<Ipv4Addr> = range.hosts().collect();
            assert_eq!(hosts.len(), n_hosts, "{}", range.cidr());
            assert_eq!(hosts.first(), Some(&first.into()));
            assert_eq!(hosts.last(), Some(&last.into()));
        };
        check(FULL, 4094, [10, 64, 0, 1], [10, 64, 15, 254]);
        check(SPARSE, 256, [10, 80, 0, 8], [10, 80, 15, 248]);
        check(FILTERED, 4, [10, 96, 0, 8], [10, 96, 0, 56]);
        let ends = [[10, 64, 0, 1], [10, 64, 15, 254]];
        assert_eq!(FULL.ends(), ends.map(Ipv4Addr::from));
    }
}
