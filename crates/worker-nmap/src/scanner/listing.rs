//! Which ports a scan is of, one by one, where nmap's table says so.

use std::time::Duration;

use tokio::time::timeout;

use super::page::MAX_PORTS;
use crate::Error;
use crate::ports::{PortSet, PortSets, Protocol};
use crate::privileges::Nmap;
use crate::process::{Process, read_complaints};
use crate::scan::{Scan, Selection};
use crate::xml::{Document, Said};

/// nmap has only to read its table.
const LISTING_TIME: Duration = Duration::from_secs(10);

/// The ports of a scan, by number where one run of nmap does not take them all.
///
/// # Errors
/// nmap could not be started, or does not list them.
pub(super) async fn ports(nmap: &Nmap, scan: &Scan) -> Result<Selection, Error> {
    if !matches!(scan.ports, Selection::MostOften(..)) || !scan.needs_several_runs() {
        return Ok(scan.ports.clone());
    }
    let (process, streams) = Process::start(&nmap.program, &scan.listing())?;
    let mut document = Document::new(streams.output, MAX_PORTS);
    let mut complaints = Vec::new();
    let listed = timeout(LISTING_TIME, async {
        let complaints = read_complaints(streams.complaints, &mut complaints);
        let listed = async {
            let mut ports = PortSets::default();
            while let Some(said) = document.next().await? {
                if let Said::Ports(protocol, listed) = said {
                    let listed = PortSet::listed(&listed).ok_or_else(|| not_listed(&listed))?;
                    match protocol {
                        Protocol::Udp => ports.udp = listed,
                        _ => ports.tcp = listed,
                    }
                }
            }
            Ok::<_, Error>(ports)
        };
        tokio::try_join!(listed, async {
            complaints.await;
            Ok(())
        })
    });
    let listed = listed.await;
    process.kill().await;
    let (ports, ()) = listed.map_err(|_| not_listed("nothing"))??;
    if ports.is_empty() {
        return Err(not_listed(&String::from_utf8_lossy(&complaints)));
    }
    Ok(Selection::Named(ports))
}

fn not_listed(said: &str) -> Error {
    let said: String = said.chars().take(100).collect();
    Error::Xml(format!("in place of its list of ports it wrote {said:?}"))
}
