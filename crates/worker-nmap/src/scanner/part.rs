//! A part of a call's addresses: one run of nmap.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::ExitStatus;

use tokio::io::AsyncBufRead;
use tokio::time::{Instant, timeout_at};

use super::page::MAX_PORTS;
use super::progress::Tracker;
use crate::Error;
use crate::addresses::AddressSet;
use crate::privileges::Nmap;
use crate::process::{Process, read_complaints};
use crate::report::{Host, HostState};
use crate::scan::Scan;
use crate::xml::{Document, Said};

/// What nmap found out about a part of the addresses.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) addresses: AddressSet,
    /// Hosts that are up, in the order in which nmap was done with them.
    pub(crate) hosts: Vec<Host>,
    /// Addresses where nothing answers.
    pub(crate) down: BTreeSet<IpAddr>,
    /// Addresses that nmap cannot scan.
    pub(crate) skipped: BTreeSet<IpAddr>,
    /// Hosts that are up, whether nmap is done with them or not.
    pub(crate) hinted: BTreeSet<IpAddr>,
    pub(crate) nmap_version: Option<String>,
    pub(crate) complaints: String,
    /// Whether nmap came to its end.
    pub(crate) is_finished: bool,
}

impl Part {
    pub(crate) fn new(addresses: AddressSet) -> Self {
        Self {
            addresses,
            ..Self::default()
        }
    }

    /// Whether nothing is known yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.n_done() == 0 && self.hinted.is_empty()
    }

    /// The first address that nmap is not done with.
    pub(crate) fn first_open(&self) -> Option<IpAddr> {
        let scanned: BTreeSet<IpAddr> = self.hosts.iter().map(|host| host.address).collect();
        self.addresses.addresses().find(|address| {
            ![&scanned, &self.down, &self.skipped]
                .iter()
                .any(|done| done.contains(address))
        })
    }

    /// Runs nmap to its end, or until `end`; then it is killed, and what it said before counts.
    ///
    /// # Errors
    /// nmap could not be started, failed, or cannot be understood.
    pub(crate) async fn scan(
        &mut self,
        nmap: &Nmap,
        scan: &Scan,
        end: Instant,
        tracker: &mut Tracker<'_>,
    ) -> Result<(), Error> {
        let arguments = scan.arguments(&self.addresses, nmap.raw_sockets.is_ok());
        tracker.say(&format!(
            "{} of {}",
            scan.technique.in_words(),
            self.addresses
        ));
        let (process, streams) = Process::start(&nmap.program, &arguments)?;
        let document = Document::new(streams.output, MAX_PORTS);
        let both = async {
            // Complaints are read beside the document, or nmap would wait for their reader.
            tokio::join!(
                self.read(document, scan, tracker),
                read_complaints(streams.complaints)
            )
        };
        let Ok((read, complaints)) = timeout_at(end, both).await else {
            process.kill().await;
            return Ok(());
        };
        self.complaints = complaints;
        if let Err(error) = read {
            process.kill().await;
            return Err(error);
        }
        let status = process.end().await;
        if self.is_finished {
            return Ok(());
        }
        Err(self.failed(status))
    }

    async fn read<R: AsyncBufRead + Unpin>(
        &mut self,
        mut document: Document<R>,
        scan: &Scan,
        tracker: &mut Tracker<'_>,
    ) -> Result<(), Error> {
        while let Some(said) = document.next().await? {
            match said {
                Said::Version(version) => self.nmap_version = Some(version),
                Said::Hint(address) => drop(self.hinted.insert(address)),
                Said::Host(host) => self.host(*host),
                Said::Skipped(target) => self.skipped.extend(target.parse::<IpAddr>()),
                Said::Progress(progress) => {
                    tracker.stage(scan.technique, &self.addresses, self.n_done(), &progress);
                }
                Said::Finished(None) => self.is_finished = true,
                Said::Finished(Some(why)) => {
                    let status = "an error".to_owned();
                    return Err(Error::Failed { status, said: why });
                }
            }
        }
        Ok(())
    }

    fn host(&mut self, host: Host) {
        // What nmap was not asked about does not count, whatever it says.
        if !self.addresses.contains(host.address) {
            return;
        }
        match host.state {
            HostState::Up => self.hosts.push(host),
            HostState::Down => drop(self.down.insert(host.address)),
            HostState::Unknown | HostState::Skipped => drop(self.skipped.insert(host.address)),
        }
    }

    fn n_done(&self) -> usize {
        self.hosts.len() + self.down.len() + self.skipped.len()
    }

    fn failed(&self, status: Option<ExitStatus>) -> Error {
        let said = self
            .complaints
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty());
        let said: Vec<&str> = said.take(5).collect();
        Error::Failed {
            status: status.map_or_else(|| "no status".to_owned(), |status| status.to_string()),
            said: if said.is_empty() {
                "it said nothing".to_owned()
            } else {
                said.join("; ")
            },
        }
    }
}
