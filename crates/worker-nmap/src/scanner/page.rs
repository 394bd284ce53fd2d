//! The hosts of one answer, which has as many as its caller and a message can take.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use worker::HostIdentity;

use super::CURSOR;
use super::part::Part;
use crate::report::Host;
use crate::result::{Scanned, Stats, TruncatedBy};
use crate::scan::{Scan, Technique};

/// Single ports in one answer: with what is said of each, some 4 MiB.
pub(crate) const MAX_PORTS: usize = 20_000;
/// Complaints of nmap in one answer, and characters of each.
const MAX_WARNINGS: usize = 20;
const MAX_WARNING: usize = 200;

/// The hosts found so far, and where to go on.
#[derive(Debug)]
pub(crate) struct PageOfHosts {
    limit: usize,
    /// What the caller called the addresses.
    names: BTreeMap<IpAddr, Vec<String>>,
    hosts: Vec<Host>,
    n_ports: usize,
    stats: Stats,
    warnings: Vec<String>,
    rest: Option<(TruncatedBy, IpAddr)>,
}

impl PageOfHosts {
    pub(crate) fn new(limit: usize, names: BTreeMap<IpAddr, Vec<String>>) -> Self {
        Self {
            limit,
            names,
            hosts: Vec::new(),
            n_ports: 0,
            stats: Stats::default(),
            warnings: Vec::new(),
            rest: None,
        }
    }

    /// Hosts that may still be listed.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.hosts.len())
    }

    /// Whether no address is done yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.stats.total == 0 && self.hosts.is_empty()
    }

    /// Whether nmap could scan nothing of what it was asked for.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.stats.skipped > 0 && self.stats.skipped == self.stats.total && self.rest.is_none()
    }

    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    pub(crate) fn warn(&mut self, warning: &str) {
        let warning: String = warning.trim().chars().take(MAX_WARNING).collect();
        let is_new = !warning.is_empty() && !self.warnings.contains(&warning);
        if is_new && self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        }
    }

    /// Says that the page ends before this address, if there is one.
    pub(crate) fn stop(&mut self, why: TruncatedBy, next: Option<IpAddr>) {
        self.rest = next.map(|next| (why, next));
    }

    /// Takes a part that nmap was done with. `next` is the first address behind it. False when
    /// the page is full.
    pub(crate) fn take(&mut self, mut part: Part, scan: &Scan, next: Option<IpAddr>) -> bool {
        part.hosts.sort_by_key(|host| host.address);
        self.learn(&part);
        let hosts = std::mem::take(&mut part.hosts);
        let mut up = Vec::with_capacity(hosts.len());
        for host in hosts {
            let address = host.address;
            if let Some(host) = self.prepared(host, scan) {
                if let Some(why) = self.is_full_for(&host) {
                    self.stop(why, Some(address));
                    break;
                }
                self.push(host);
            }
            up.push(address);
        }
        let end = self.rest.map(|(_, end)| end);
        let is_covered = |address: &&IpAddr| end.is_none_or(|end| **address < end);
        self.count(
            up.len(),
            part.down.iter().filter(is_covered).count(),
            part.skipped.iter().filter(is_covered).count(),
        );
        if self.rest.is_none() && self.room() == 0 {
            self.stop(TruncatedBy::Limit, next);
            return false;
        }
        self.rest.is_none()
    }

    /// Takes what is known of a part that nmap was not done with; it is the last of the page.
    pub(crate) fn take_unfinished(&mut self, mut part: Part, scan: &Scan, why: TruncatedBy) {
        part.hosts.sort_by_key(|host| host.address);
        self.learn(&part);
        let mut next = part.first_open();
        self.count(part.hosts.len(), part.down.len(), part.skipped.len());
        let done: Vec<IpAddr> = part.hosts.iter().map(|host| host.address).collect();
        let begun = part.hinted.iter().filter(|address| !done.contains(address));
        let begun: Vec<Host> = begun.map(|address| Host::at(*address)).collect();
        for host in part.hosts.into_iter().chain(begun) {
            let address = host.address;
            let is_complete = host.complete;
            let prepared = if is_complete {
                self.prepared(host, scan)
            } else {
                Some(self.named(host))
            };
            let Some(host) = prepared else { continue };
            if self.is_full_for(&host).is_some() {
                next = next.map(|next| next.min(address));
                break;
            }
            self.push(host);
        }
        self.hosts.sort_by_key(|host| host.address);
        self.stop(why, next);
    }

    pub(crate) fn into_result(
        self,
        scan: Technique,
        from: HostIdentity,
        elapsed: Duration,
    ) -> Scanned {
        let stats = Stats {
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            ..self.stats
        };
        Scanned {
            scan,
            from,
            hosts: self.hosts,
            stats,
            warnings: self.warnings,
            next_cursor: self.rest.map(|(_, next)| format!("{CURSOR}{next}")),
            truncated: self.rest.is_some(),
            truncated_by: self.rest.map(|(why, _)| why),
        }
    }

    fn learn(&mut self, part: &Part) {
        if let Some(version) = &part.nmap_version {
            self.stats.nmap_version = Some(version.clone());
        }
        for line in part.complaints.lines() {
            self.warn(line);
        }
    }

    /// The host as the caller wants to see it; `None` if not at all.
    fn prepared(&self, mut host: Host, scan: &Scan) -> Option<Host> {
        if scan.open_only {
            host.ports.retain(|port| port.state.may_be_open());
            host.other_ports.retain(|others| others.state.may_be_open());
            let has_ports = scan.n_tcp_ports + scan.n_udp_ports > 0;
            if has_ports && host.ports.is_empty() && host.other_ports.is_empty() {
                return None;
            }
        }
        if !scan.reason {
            host.reason = None;
            host.ports.iter_mut().for_each(|port| port.reason = None);
            host.other_ports
                .iter_mut()
                .for_each(|others| others.reasons.clear());
        }
        Some(self.named(host))
    }

    fn named(&self, mut host: Host) -> Host {
        host.hostnames = self.names.get(&host.address).cloned().unwrap_or_default();
        host
    }

    /// Why the host does not go into the page, if so. The first one always does.
    fn is_full_for(&self, host: &Host) -> Option<TruncatedBy> {
        if self.hosts.is_empty() {
            None
        } else if self.room() == 0 {
            Some(TruncatedBy::Limit)
        } else {
            let is_too_much = self.n_ports + host.ports.len() > MAX_PORTS || host.ports_omitted > 0;
            is_too_much.then_some(TruncatedBy::Size)
        }
    }

    fn push(&mut self, host: Host) {
        self.n_ports += host.ports.len();
        self.hosts.push(host);
    }

    fn count(&mut self, up: usize, down: usize, skipped: usize) {
        let add = |sum: &mut u64, count: usize| *sum += count as u64;
        add(&mut self.stats.up, up);
        add(&mut self.stats.down, down);
        add(&mut self.stats.skipped, skipped);
        add(&mut self.stats.total, up + down + skipped);
    }
}
