//! What runs on a device and where it listens: HOST-RESOURCES-MIB, TCP-MIB, UDP-MIB.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use super::Survey;
use crate::client::{Index, Row, Table};
use crate::mib;

/// A process.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ProcessInfo {
    /// Number of the process (`hrSWRunIndex`), mostly that of its operating system.
    pub(crate) pid: u32,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Path of its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// Parameters it was started with; only where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parameters: Option<String>,
    /// Kind: operatingSystem, deviceDriver, application, unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// State: running, runnable (it waits for something), notRunnable, invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// Seconds of processor time it has used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_seconds: Option<f64>,
    /// Bytes of memory it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<u64>,
}

/// Installed software.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Software {
    /// Name, mostly with the version.
    pub(crate) name: String,
    /// Kind: operatingSystem, deviceDriver, application, unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// When it was installed, by the device's clock (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) installed_at: Option<String>,
}

/// A port on which the device listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct Listener {
    /// Protocol.
    pub(crate) protocol: Protocol,
    /// Number of the port.
    pub(crate) port: u16,
    /// Address it listens on; `0.0.0.0` and `::` stand for all.
    pub(crate) address: IpAddr,
    /// Number of the process that listens, where the device tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pid: Option<u32>,
    /// Name of that process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<String>,
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// `tcpConnState` of a port that listens.
const LISTEN: i64 = 2;

/// Reads processes in the order of their numbers.
pub(crate) async fn processes(survey: &mut Survey<'_>, parameters: bool) -> Vec<ProcessInfo> {
    survey.part("processes");
    let mut columns = vec!["hrSWRunName", "hrSWRunPath", "hrSWRunType", "hrSWRunStatus"];
    if parameters {
        columns.push("hrSWRunParameters");
    }
    let table = survey
        .table("HOST-RESOURCES-MIB", "hrSWRunTable", &columns)
        .await;
    let columns = ["hrSWRunPerfCPU", "hrSWRunPerfMem"];
    let usage = if table.is_empty() {
        Table::default()
    } else {
        survey
            .table("HOST-RESOURCES-MIB", "hrSWRunPerfTable", &columns)
            .await
    };
    let process = |(index, row): (&[u32], &Row)| {
        let [pid] = index else {
            return None;
        };
        let usage = usage.row(index);
        let hundredths = usage.and_then(|row| row.unsigned("hrSWRunPerfCPU"));
        let seconds = hundredths.and_then(|hundredths| u32::try_from(hundredths).ok());
        let memory = usage.and_then(|row| row.unsigned("hrSWRunPerfMem"));
        Some(ProcessInfo {
            pid: *pid,
            name: row.text("hrSWRunName"),
            path: row.text("hrSWRunPath"),
            parameters: row.text("hrSWRunParameters"),
            kind: row.label("hrSWRunType"),
            status: row.label("hrSWRunStatus"),
            cpu_seconds: seconds.map(|hundredths| f64::from(hundredths) / 100.0),
            memory_bytes: memory.map(|kibibytes| kibibytes.saturating_mul(1024)),
        })
    };
    table.rows().filter_map(process).collect()
}

/// Reads installed software in the device's order.
pub(crate) async fn software(survey: &mut Survey<'_>) -> Vec<Software> {
    survey.part("installed software");
    let columns = [
        "hrSWInstalledName",
        "hrSWInstalledType",
        "hrSWInstalledDate",
    ];
    let table = survey
        .table("HOST-RESOURCES-MIB", "hrSWInstalledTable", &columns)
        .await;
    let software = table.rows().filter_map(|(_, row)| {
        Some(Software {
            name: row.text("hrSWInstalledName")?,
            kind: row.label("hrSWInstalledType"),
            installed_at: row.octets("hrSWInstalledDate").and_then(mib::date_and_time),
        })
    });
    software.collect()
}

/// Reads listening ports, from the tables of today and from the older ones: devices have either.
pub(crate) async fn ports(survey: &mut Survey<'_>, processes: &[ProcessInfo]) -> Vec<Listener> {
    survey.part("listening ports");
    let mut found: BTreeMap<(Protocol, u16, IpAddr), Option<u32>> = BTreeMap::new();
    let listeners = survey
        .optional_table("tcpListenerTable", &["tcpListenerProcess"])
        .await;
    found.extend(listeners.rows().filter_map(|(index, row)| {
        let (address, port) = inet_end(index)?;
        Some((
            (Protocol::Tcp, port, address),
            pid(row, "tcpListenerProcess"),
        ))
    }));
    let endpoints = survey
        .optional_table("udpEndpointTable", &["udpEndpointProcess"])
        .await;
    found.extend(endpoints.rows().filter_map(|(index, row)| {
        let (address, port) = open_end(index)?;
        Some((
            (Protocol::Udp, port, address),
            pid(row, "udpEndpointProcess"),
        ))
    }));
    for (protocol, old) in [
        (Protocol::Tcp, old_tcp(survey, !listeners.is_empty()).await),
        (Protocol::Udp, old_udp(survey, !endpoints.is_empty()).await),
    ] {
        for (address, port) in old {
            found.entry((protocol, port, address)).or_default();
        }
    }
    let names: BTreeMap<u32, &str> = processes
        .iter()
        .filter_map(|process| Some((process.pid, process.name.as_deref()?)))
        .collect();
    let port =
        |((protocol, port, address), pid): ((Protocol, u16, IpAddr), Option<u32>)| Listener {
            protocol,
            port,
            address,
            pid,
            process: pid
                .and_then(|pid| names.get(&pid))
                .map(|name| (*name).to_owned()),
        };
    found.into_iter().map(port).collect()
}

/// Ports of the table that RFC 4022 has replaced. It lists connections too, so it is read only
/// where the new one is not there, or is there beside it for IPv4 alone.
async fn old_tcp(survey: &mut Survey<'_>, has_new: bool) -> BTreeSet<(IpAddr, u16)> {
    if has_new {
        return BTreeSet::new();
    }
    let table = survey
        .table("TCP-MIB", "tcpConnTable", &["tcpConnState"])
        .await;
    let listening = table.rows().filter_map(|(index, row)| {
        (row.number("tcpConnState") == Some(LISTEN)).then(|| ipv4_end(index))?
    });
    listening.collect()
}

/// Ports of the table that RFC 4113 has replaced.
async fn old_udp(survey: &mut Survey<'_>, has_new: bool) -> BTreeSet<(IpAddr, u16)> {
    if has_new {
        return BTreeSet::new();
    }
    let table = survey.table("UDP-MIB", "udpTable", &["udpLocalPort"]).await;
    table
        .rows()
        .filter_map(|(index, _)| ipv4_end(index))
        .collect()
}

/// The local end of a UDP endpoint that takes datagrams from everybody: one with a remote end is
/// connected to it, and its remote port is not 0 (RFC 4113).
fn open_end(index: &[u32]) -> Option<(IpAddr, u16)> {
    let mut rest = Index::new(index);
    let local = take_inet_end(&mut rest)?;
    let is_connected = take_inet_end(&mut rest).is_some_and(|(_, port)| port != 0);
    (!is_connected).then_some(local)
}

fn inet_end(index: &[u32]) -> Option<(IpAddr, u16)> {
    take_inet_end(&mut Index::new(index))
}

/// An address of either version and a port at the front of an index. An address without bytes
/// stands for all of either version (RFC 4022).
fn take_inet_end(index: &mut Index<'_>) -> Option<(IpAddr, u16)> {
    let kind = index.number()?;
    let octets = index.counted_octets()?;
    let address = match (octets.as_slice(), kind) {
        ([], _) => IpAddr::from([0; 16]),
        (octets, _) => Index::address(octets)?,
    };
    Some((address, index.number()?.try_into().ok()?))
}

fn ipv4_end(index: &[u32]) -> Option<(IpAddr, u16)> {
    let mut index = Index::new(index);
    Some((index.ipv4()?.into(), index.number()?.try_into().ok()?))
}

/// 0 means that the device does not know.
fn pid(row: &Row, column: &str) -> Option<u32> {
    let pid = row.unsigned(column).filter(|pid| *pid != 0)?;
    pid.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_from_indexes() {
        assert_eq!(
            inet_end(&[1, 4, 127, 0, 0, 1, 22]),
            Some(([127, 0, 0, 1].into(), 22))
        );
        assert_eq!(inet_end(&[0, 0, 80]), Some((IpAddr::from([0; 16]), 80)));
        assert_eq!(inet_end(&[1, 4, 127, 0, 0, 1, 65_536]), None);
        assert_eq!(inet_end(&[1, 4, 127]), None);
        let dns = Some(([10, 0, 0, 1].into(), 53));
        let local = [1, 4, 10, 0, 0, 1, 53];
        let end = |remote: &[u32]| open_end(&[&local[..], remote].concat());
        assert_eq!(end(&[1, 4, 0, 0, 0, 0, 0, 7]), dns);
        assert_eq!(end(&[0, 0, 0, 7]), dns);
        assert_eq!(end(&[]), dns, "an agent that leaves the remote end out");
        assert_eq!(end(&[1, 4, 10, 0, 0, 2, 3053, 7]), None);
        assert_eq!(
            ipv4_end(&[10, 0, 0, 1, 53, 9, 9]),
            Some(([10, 0, 0, 1].into(), 53))
        );
    }
}
