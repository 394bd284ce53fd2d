//! What one run of nmap takes, and what it finds.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::ExitStatus;

use tokio::io::AsyncBufRead;
use tokio::time::{Instant, timeout_at};

use super::progress::Tracker;
use crate::Error;
use crate::addresses::AddressSet;
use crate::privileges::Nmap;
use crate::process::{Process, read_complaints};
use crate::report::{Host, HostState};
use crate::scan::{Scan, Selection};
use crate::xml::{Document, Said};

/// Addresses and ports, and what nmap has found out about them.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) addresses: AddressSet,
    pub(crate) ports: Selection,
    /// Whether all addresses have answered an earlier run.
    pub(crate) is_up: bool,
    /// Ports that are kept one by one; of the others there are counts.
    max_ports: usize,
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
    /// Whether nmap has told of every address.
    pub(crate) is_finished: bool,
}

impl Chunk {
    pub(crate) fn new(addresses: AddressSet, ports: Selection, max_ports: usize) -> Self {
        Self {
            addresses,
            ports,
            is_up: false,
            max_ports,
            hosts: Vec::new(),
            down: BTreeSet::new(),
            skipped: BTreeSet::new(),
            hinted: BTreeSet::new(),
            nmap_version: None,
            complaints: String::new(),
            is_finished: false,
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
        let has_raw_sockets = nmap.raw_sockets.is_ok();
        let arguments = scan.arguments(&self.addresses, &self.ports, self.is_up, has_raw_sockets);
        let (process, streams) = Process::start(&nmap.program, &arguments)?;
        let document = Document::new(streams.output, self.max_ports);
        // What was read of them is there however the reading ends.
        let mut complaints = Vec::new();
        let both = async {
            // Complaints are read beside the document, or nmap would wait for their reader. They
            // may go on when the document cannot be read any more, and nobody waits for that.
            tokio::try_join!(self.read(document, scan, tracker), async {
                read_complaints(streams.complaints, &mut complaints).await;
                Ok(())
            })
        };
        let ended = timeout_at(end, both).await;
        self.complaints = String::from_utf8_lossy(&complaints).into_owned();
        // What comes after the last address is of no interest, nor how it ends then.
        let is_complete = self.is_finished || self.first_open().is_none();
        let ended = match ended {
            Ok(Ok(_)) => {
                let status = process.end().await;
                if is_complete {
                    Ok(())
                } else {
                    Err(self.failed(status))
                }
            }
            Ok(Err(error)) => {
                process.kill().await;
                Err(error)
            }
            Err(_) => {
                process.kill().await;
                Ok(())
            }
        };
        self.is_finished = is_complete;
        ended
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
                Said::Ports(..) => {}
                Said::Finished(None) => self.is_finished = true,
                Said::Finished(Some(why)) => {
                    return Err(Error::failed("an error".to_owned(), &why));
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
        let status = status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
        if said.is_empty() {
            return Error::failed(status, "it said nothing");
        }
        Error::failed(status, &said.join("; "))
    }
}
