//! The hosts of one answer, which has as many as its caller and a message can take.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use worker::HostIdentity;

use super::cursor::Cursor;
use super::part::{Found, Part};
use crate::report::Host;
use crate::result::{Scanned, Stats, TruncatedBy};
use crate::scan::{Scan, Technique};

/// Single ports in one answer: with what is said of each, some 4 MiB.
pub(crate) const MAX_PORTS: usize = 20_000;
/// Complaints of nmap in one answer, and characters of each.
const MAX_WARNINGS: usize = 20;
const MAX_WARNING: usize = 250;

/// What a caller is told who cannot go on.
const NO_PROGRESS: &str = "the deadline came before anything was finished: call again with fewer ports or addresses, or with more time (_meta opendiscovery/timeoutMs up to 900000)";

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
    /// Where the page begins.
    start: Option<Cursor>,
    /// Why it ends before the last address, and where the next one goes on.
    rest: Option<(TruncatedBy, Option<Cursor>)>,
}

impl PageOfHosts {
    pub(crate) fn new(
        limit: usize,
        names: BTreeMap<IpAddr, Vec<String>>,
        start: Option<Cursor>,
    ) -> Self {
        Self {
            limit,
            names,
            hosts: Vec::new(),
            n_ports: 0,
            stats: Stats::default(),
            warnings: Vec::new(),
            start,
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

    /// Says that the page ends here, and where the next one begins. One that would begin where
    /// this one does would find no more than this one: then there is none.
    pub(crate) fn stop(&mut self, why: TruncatedBy, next: Option<Cursor>) {
        let next = next.filter(|next| Some(*next) != self.start);
        if next.is_none() && why == TruncatedBy::Deadline {
            self.warn(NO_PROGRESS);
        }
        self.rest = Some((why, next));
    }

    /// Takes a part that is done. `behind` is where the next one begins. False when the page is
    /// full.
    pub(crate) fn take(&mut self, part: &mut Part, scan: &Scan, behind: Option<Cursor>) -> bool {
        self.learn(part);
        let found = part.found();
        let mut end = None;
        for host in &found.hosts {
            let Some(prepared) = self.prepared(host.clone(), scan) else {
                continue;
            };
            if let Some(why) = self.is_full_for(&prepared) {
                end = Some(host.address);
                self.stop(why, Some(part.from(host.address)));
                break;
            }
            self.push(prepared);
        }
        self.count(&found, end);
        if self.rest.is_none() && self.room() == 0 && behind.is_some() {
            self.stop(TruncatedBy::Limit, behind);
        }
        self.rest.is_none()
    }

    /// Takes what is known of a part that is not done; it is the last of the page.
    pub(crate) fn take_unfinished(&mut self, part: &mut Part, scan: &Scan, why: TruncatedBy) {
        self.learn(part);
        let found = part.found();
        let mut next = part.left();
        for host in &found.hosts {
            let Some(prepared) = self.prepared(host.clone(), scan) else {
                continue;
            };
            if self.is_full_for(&prepared).is_some() {
                if next.is_none_or(|next| host.address < next.first) {
                    next = Some(part.from(host.address));
                }
                break;
            }
            if next.is_some_and(|next| host.address >= next.first) {
                self.stats.unfinished += 1;
            }
            self.push(prepared);
        }
        self.count(&found, next.map(|next| next.first));
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
            next_cursor: self
                .rest
                .and_then(|(_, next)| next)
                .map(|next| next.to_string()),
            truncated: self.rest.is_some(),
            truncated_by: self.rest.map(|(why, _)| why),
        }
    }

    fn learn(&mut self, part: &mut Part) {
        if let Some(version) = part.nmap_version.take() {
            self.stats.nmap_version = Some(version);
        }
        for warning in std::mem::take(&mut part.warnings) {
            self.warn(&warning);
        }
    }

    /// The host as the caller wants to see it; `None` if not at all.
    fn prepared(&self, mut host: Host, scan: &Scan) -> Option<Host> {
        if scan.open_only {
            host.ports.retain(|port| port.state.may_be_open());
            host.other_ports.retain(|others| others.state.may_be_open());
            let is_bare = host.ports.is_empty() && host.other_ports.is_empty();
            if is_bare && host.complete && !scan.ports.is_empty() {
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
        host.hostnames = self.names.get(&host.address).cloned().unwrap_or_default();
        Some(host)
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

    /// Counts the addresses before `end`; those from there on are the next page's.
    fn count(&mut self, found: &Found, end: Option<IpAddr>) {
        let is_counted = |address: &IpAddr| end.is_none_or(|end| *address < end);
        let count = |addresses: &BTreeSet<IpAddr>| {
            addresses.iter().filter(|it| is_counted(it)).count() as u64
        };
        let up = found.hosts.iter().filter(|host| is_counted(&host.address));
        let (up, down, skipped) = (up.count() as u64, count(&found.down), count(&found.skipped));
        self.stats.up += up;
        self.stats.down += down;
        self.stats.skipped += skipped;
        self.stats.total += up + down + skipped;
    }
}
