//! A part of a call's addresses, with all its ports: one run of nmap, or several with some of
//! the ports each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::chunk::Chunk;
use super::cursor::Cursor;
use super::page::MAX_PORTS;
use crate::addresses::AddressSet;
use crate::ports::{Place, Protocol};
use crate::report::Host;
use crate::scan::{RUN_TIME, Scan, Selection};

/// How many times as many ports as before a run takes at most: the others may be slower.
const GROWTH: u32 = 8;

/// What is known of a part of the addresses.
///
/// nmap tells of a host's ports when it is done with all of them. So a scan of many ports is done
/// in several runs: what the finished ones have found is known at a deadline, and a page can go
/// on behind them.
#[derive(Debug)]
pub(crate) struct Part {
    addresses: AddressSet,
    start: Cursor,
    /// Ports that are left.
    rest: Selection,
    /// All ports of the part, those done included.
    n_ports: u32,
    /// Whether it is known which hosts are up.
    is_explored: bool,
    hosts: BTreeMap<IpAddr, Host>,
    down: BTreeSet<IpAddr>,
    skipped: BTreeSet<IpAddr>,
    /// Hosts that did not answer any more when the later ports were scanned.
    gone: BTreeSet<IpAddr>,
    pub(crate) nmap_version: Option<String>,
    pub(crate) warnings: Vec<String>,
    /// The last run: its protocol, ports and time.
    measured: Option<(Protocol, u32, Duration)>,
    /// Where to go on, if it was ended before it was done.
    left: Option<Cursor>,
}

/// What a page takes of a part.
#[derive(Debug)]
pub(crate) struct Found {
    /// Hosts that are up, by address.
    pub(crate) hosts: Vec<Host>,
    pub(crate) down: BTreeSet<IpAddr>,
    pub(crate) skipped: BTreeSet<IpAddr>,
}

impl Part {
    /// The ports are those that are left at these addresses, from `start` on.
    pub(crate) fn new(addresses: AddressSet, ports: Selection, start: Cursor) -> Self {
        Self {
            addresses,
            start,
            n_ports: ports.len(),
            rest: ports,
            is_explored: false,
            hosts: BTreeMap::new(),
            down: BTreeSet::new(),
            skipped: BTreeSet::new(),
            gone: BTreeSet::new(),
            nmap_version: None,
            warnings: Vec::new(),
            measured: None,
            left: None,
        }
    }

    pub(crate) fn addresses(&self) -> &AddressSet {
        &self.addresses
    }

    /// Whether nothing is known yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.down.is_empty() && self.skipped.is_empty()
    }

    /// Whether a host was found at few of the addresses.
    pub(crate) fn is_sparse(&self) -> bool {
        (self.hosts.len() as u128) < self.addresses.len() / 8
    }

    /// Where to go on, if the part was ended before it was done.
    pub(crate) fn left(&self) -> Option<Cursor> {
        self.left
    }

    /// The part from one of its addresses on.
    pub(crate) fn from(&self, first: IpAddr) -> Cursor {
        Cursor {
            first,
            ..self.start
        }
    }

    /// What the next run of nmap takes, when so much time is left; `None` when the part is done.
    pub(crate) fn next(&self, scan: &Scan, left: Duration) -> Option<Chunk> {
        let mut addresses = self.addresses.clone();
        if self.is_explored {
            addresses = AddressSet::of(self.hosts.keys().map(|address| (*address).into()));
            if self.rest.is_empty() || addresses.is_empty() {
                return None;
            }
        }
        let (ports, _) = self.split(scan, left);
        let listed: usize = self.hosts.values().map(|host| host.ports.len()).sum();
        let mut chunk = Chunk::new(addresses, ports, MAX_PORTS.saturating_sub(listed));
        chunk.is_up = self.is_explored;
        Some(chunk)
    }

    /// The ports of the next run, and the others.
    fn split(&self, scan: &Scan, left: Duration) -> (Selection, Selection) {
        let Selection::Named(rest) = &self.rest else {
            return (self.rest.clone(), Selection::None);
        };
        let (mut n_tcp, mut n_udp) = scan.first_ports();
        if let Some((protocol, count, time)) = self.measured {
            // Some of the time that is left is for nmap's start and its last retries.
            let aim = RUN_TIME.min(left * 3 / 4).as_millis();
            let fits = u128::from(count) * aim / time.as_millis().max(1);
            let fits = u32::try_from(fits).unwrap_or(u32::MAX);
            let fits = fits.min(count.saturating_mul(GROWTH));
            match protocol {
                Protocol::Tcp => n_tcp = fits,
                _ => n_udp = fits,
            }
        }
        let (first, rest) = rest.split(n_tcp, n_udp);
        (Selection::Named(first), Selection::Named(rest))
    }

    /// The shares of the part's ports that are done, and that this run takes.
    pub(crate) fn shares(&self, chunk: &Chunk) -> (f64, f64) {
        if self.n_ports == 0 {
            return (0.0, 1.0);
        }
        let share = |count: u32| f64::from(count) / f64::from(self.n_ports);
        let done = self.n_ports - self.rest.len();
        (share(done), share(chunk.ports.len()))
    }

    /// Takes what a run has found that nmap has finished, and how long that took.
    pub(crate) fn take(&mut self, mut chunk: Chunk, time: Duration) {
        self.learn(&mut chunk);
        self.rest = without(&self.rest, &chunk.ports);
        if let Selection::Named(ports) = &chunk.ports
            && let Some((protocol, _)) = ports.first()
        {
            self.measured = Some((protocol, ports.len(), time));
        }
        if self.is_explored {
            let found: BTreeSet<IpAddr> = chunk.hosts.iter().map(|host| host.address).collect();
            let gone = chunk.addresses.addresses();
            let gone: Vec<IpAddr> = gone.filter(|address| !found.contains(address)).collect();
            if let Some(first) = gone.first() {
                self.warnings.push(format!(
                    "{} of the hosts did not answer any more while their ports were scanned, {first} for one",
                    gone.len()
                ));
            }
            self.gone.extend(gone);
            self.add(chunk.hosts);
        } else {
            self.is_explored = true;
            self.down = chunk.down;
            self.skipped = chunk.skipped;
            self.hosts = by_address(chunk.hosts);
        }
        let is_done = self.rest.is_empty();
        for (address, host) in &mut self.hosts {
            host.complete = is_done && !self.gone.contains(address);
        }
    }

    /// Takes what is known of a run that nmap has not finished; it is the last of the part.
    pub(crate) fn take_unfinished(&mut self, mut chunk: Chunk) {
        self.learn(&mut chunk);
        self.end();
        if self.is_explored {
            // Which of their ports were done the cursor cannot say, so they are scanned again.
            self.add(chunk.hosts);
            return;
        }
        let rest = without(&self.rest, &chunk.ports);
        let covers_all = rest.is_empty();
        let open = chunk.first_open();
        if covers_all {
            self.left = open.map(|address| self.from(address));
        } else if let (Some(last), Some(place), None) = (
            open.and_then(|address| self.addresses.before(address)),
            first_port(&rest),
            self.start.ports,
        ) {
            self.left = Some(Cursor {
                first: self.start.first,
                ports: Some((last, place)),
            });
        }
        let begun = std::mem::take(&mut chunk.hinted).into_iter().map(Host::at);
        self.hosts = by_address(begun);
        let done = chunk.hosts.into_iter().map(|mut host| {
            host.complete &= covers_all;
            host
        });
        self.hosts.extend(by_address(done));
        self.down = chunk.down;
        self.skipped = chunk.skipped;
    }

    /// Ends the part before it is done.
    pub(crate) fn end(&mut self) {
        let last = self.addresses.last().filter(|_| self.is_explored);
        self.left = Some(match (last, first_port(&self.rest)) {
            (Some(last), Some(place)) => Cursor {
                first: self.start.first,
                ports: Some((last, place)),
            },
            _ => self.start,
        });
    }

    pub(crate) fn found(&mut self) -> Found {
        Found {
            hosts: std::mem::take(&mut self.hosts).into_values().collect(),
            down: std::mem::take(&mut self.down),
            skipped: std::mem::take(&mut self.skipped),
        }
    }

    fn add(&mut self, hosts: Vec<Host>) {
        for later in hosts {
            if let Some(host) = self.hosts.get_mut(&later.address) {
                host.add_ports(later);
            }
        }
    }

    fn learn(&mut self, chunk: &mut Chunk) {
        if let Some(version) = chunk.nmap_version.take() {
            self.nmap_version = Some(version);
        }
        self.warnings
            .extend(chunk.complaints.lines().map(str::to_owned));
    }
}

fn by_address(hosts: impl IntoIterator<Item = Host>) -> BTreeMap<IpAddr, Host> {
    hosts.into_iter().map(|host| (host.address, host)).collect()
}

/// What is left of ports without the first of them.
fn without(ports: &Selection, done: &Selection) -> Selection {
    match (ports, done) {
        (Selection::Named(ports), Selection::Named(done)) => Selection::Named(ports.without(done)),
        _ => Selection::None,
    }
}

fn first_port(ports: &Selection) -> Option<Place> {
    match ports {
        Selection::Named(ports) => ports.first(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
