//! Whom a device sees: what it was told, what it has learnt and what it has resolved.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use super::{noted, table};
use crate::Error;
use crate::client::{Index, Reader, Row, Table};
use crate::topology::{
    ArpEntry, CdpNeighbour, Device, Learnt, LldpNeighbour, LldpPort, Mac, Named,
};

/// Bits of LLDP's system capabilities, the first being the highest of the first byte.
const LLDP_BRIDGE: u8 = 0x20;
const LLDP_ROUTER: u8 = 0x08;
/// Bits of CDP's capabilities, in the last byte.
const CDP_ROUTER: u8 = 0x01;
const CDP_BRIDGE: u8 = 0x0a;
/// Status of a forwarding entry: learned.
const LEARNED: i64 = 3;
/// Type of a resolved address: invalid.
const INVALID: i64 = 2;

/// Ports of its own, and the neighbours that they hear. Some agents have the neighbours alone.
pub(super) async fn lldp(reader: &Reader, device: &mut Device) -> Result<(), Error> {
    let columns = ["lldpLocPortIdSubtype", "lldpLocPortId", "lldpLocPortDesc"];
    let ports = noted(reader, device, "lldpLocPortTable", &columns).await?;
    for (index, row) in ports.rows() {
        if let [number] = *index {
            device.lldp_ports.insert(number, lldp_port(row));
        }
    }
    let columns = [
        "lldpRemChassisIdSubtype",
        "lldpRemChassisId",
        "lldpRemPortIdSubtype",
        "lldpRemPortId",
        "lldpRemPortDesc",
        "lldpRemSysName",
        "lldpRemSysDesc",
        "lldpRemSysCapEnabled",
    ];
    let neighbours = noted(reader, device, "lldpRemTable", &columns).await?;
    if ports.is_empty() && neighbours.is_empty() {
        device.missing.push("LLDP-MIB".to_owned());
        return Ok(());
    }
    let (indexes, heard): (Vec<&[u32]>, Vec<LldpNeighbour>) = neighbours
        .rows()
        .filter_map(|(index, row)| Some((index, lldp_neighbour(index, row)?)))
        .unzip();
    // Kept before anything else is asked, which may take longer than there is time.
    device.lldp = heard;
    let own = reader.scalars(&["lldpLocSysCapEnabled"]).await?;
    device.is_bridge |= has_bits(&own, "lldpLocSysCapEnabled", LLDP_BRIDGE);
    let columns = ["lldpRemManAddrIfSubtype"];
    let managed = noted(reader, device, "lldpRemManAddrTable", &columns).await?;
    let mut managed = management(&managed);
    for (neighbour, index) in device.lldp.iter_mut().zip(indexes) {
        neighbour.addresses = managed.remove(index).unwrap_or_default();
    }
    Ok(())
}

fn lldp_port(row: &Row) -> LldpPort {
    let id = || {
        let subtype = row.number("lldpLocPortIdSubtype")?;
        Named::port(subtype, row.octets("lldpLocPortId")?)
    };
    LldpPort {
        id: id(),
        description: row.text("lldpLocPortDesc"),
    }
}

/// The addresses of each neighbour, by time mark, port and number.
fn management(table: &Table) -> BTreeMap<Vec<u32>, Vec<IpAddr>> {
    let mut addresses: BTreeMap<Vec<u32>, Vec<IpAddr>> = BTreeMap::new();
    for (index, _) in table.rows() {
        let Some((neighbour, address)) = index.split_at_checked(3) else {
            continue;
        };
        if let Some(address) = Index::new(address).inet_address() {
            addresses
                .entry(neighbour.to_vec())
                .or_default()
                .push(address);
        }
    }
    addresses
}

fn lldp_neighbour(index: &[u32], row: &Row) -> Option<LldpNeighbour> {
    let chassis = || {
        let subtype = row.number("lldpRemChassisIdSubtype")?;
        Named::chassis(subtype, row.octets("lldpRemChassisId")?)
    };
    let port = || {
        let subtype = row.number("lldpRemPortIdSubtype")?;
        Named::port(subtype, row.octets("lldpRemPortId")?)
    };
    let [_, local_port, _] = *index else {
        return None;
    };
    Some(LldpNeighbour {
        local_port,
        chassis: chassis(),
        port: port(),
        port_description: row.text("lldpRemPortDesc"),
        name: row.text("lldpRemSysName"),
        description: row.text("lldpRemSysDesc"),
        is_router: has_bits(row, "lldpRemSysCapEnabled", LLDP_ROUTER),
        is_bridge: has_bits(row, "lldpRemSysCapEnabled", LLDP_BRIDGE),
        addresses: Vec::new(),
    })
}

fn has_bits(row: &Row, name: &str, bits: u8) -> bool {
    let first = row.octets(name).and_then(<[u8]>::first);
    first.is_some_and(|octet| octet & bits != 0)
}

pub(super) async fn cdp(reader: &Reader, device: &mut Device) -> Result<(), Error> {
    let columns = [
        "cdpCacheAddress",
        "cdpCacheDeviceId",
        "cdpCacheDevicePort",
        "cdpCachePlatform",
        "cdpCacheCapabilities",
        "cdpCachePrimaryMgmtAddr",
    ];
    let table = table(reader, device, "CISCO-CDP-MIB", "cdpCacheTable", &columns).await?;
    for (index, row) in table.rows() {
        let [if_index, _] = *index else {
            continue;
        };
        let capabilities = row.octets("cdpCacheCapabilities").and_then(<[u8]>::last);
        let has = |bits: u8| capabilities.is_some_and(|octet| octet & bits != 0);
        let addresses = ["cdpCacheAddress", "cdpCachePrimaryMgmtAddr"];
        let addresses = addresses
            .iter()
            .filter_map(|name| ip_address(row.octets(name)?));
        let addresses: BTreeSet<IpAddr> = addresses.collect();
        device.cdp.push(CdpNeighbour {
            if_index,
            device: row.text("cdpCacheDeviceId"),
            port: row.text("cdpCacheDevicePort"),
            platform: row.text("cdpCachePlatform"),
            is_router: has(CDP_ROUTER),
            is_bridge: has(CDP_BRIDGE),
            addresses: addresses.into_iter().collect(),
        });
    }
    Ok(())
}

/// Ports, and what was learnt on them, by VLAN where the device has VLANs.
pub(super) async fn bridge(reader: &Reader, device: &mut Device) -> Result<(), Error> {
    let columns = ["dot1dBasePortIfIndex"];
    let ports = table(reader, device, "BRIDGE-MIB", "dot1dBasePortTable", &columns).await?;
    let if_index = |port: Option<i64>| {
        let port = u32::try_from(port?).ok().filter(|port| *port != 0)?;
        let mapped = ports
            .row(&[port])
            .and_then(|row| row.number("dot1dBasePortIfIndex"));
        // Where the table is missing, both numbers are mostly the same.
        mapped.map_or(ports.is_empty().then_some(port), |number| {
            u32::try_from(number).ok()
        })
    };
    device.is_bridge |= !ports.is_empty();
    for (prefix, n_before_mac) in [("dot1qTpFdb", 1), ("dot1dTpFdb", 0)] {
        let (port, status) = (format!("{prefix}Port"), format!("{prefix}Status"));
        let name = format!("{prefix}Table");
        let entries = noted(reader, device, &name, &[&port, &status]).await?;
        for (index, row) in entries.rows() {
            let is_learnt = row.number(&status) == Some(LEARNED);
            let if_index = if_index(row.number(&port));
            let mac = index.get(n_before_mac..).unwrap_or_default();
            let mac = Index::new(mac).octets(6).and_then(|it| Mac::new(&it));
            if let (true, Some(if_index), Some(mac)) = (is_learnt, if_index, mac) {
                device.learnt.push(Learnt { if_index, mac });
            }
        }
    }
    Ok(())
}

pub(super) async fn arp(reader: &Reader, device: &mut Device) -> Result<(), Error> {
    let columns = ["ipNetToMediaPhysAddress", "ipNetToMediaType"];
    let old = noted(reader, device, "ipNetToMediaTable", &columns).await?;
    // Most agents have each entry in both tables.
    let mut known = HashSet::new();
    for (index, row) in old.rows() {
        let mut index = Index::new(index);
        let (if_index, address) = (index.number(), index.ipv4());
        let mac = row.octets("ipNetToMediaPhysAddress").and_then(Mac::new);
        let is_valid = row.number("ipNetToMediaType") != Some(INVALID);
        let entry = entry(if_index, address.map(Ipv4Addr::into), mac).filter(|_| is_valid);
        device.arp.extend(entry.filter(|it| known.insert(*it)));
    }
    let columns = ["ipNetToPhysicalPhysAddress", "ipNetToPhysicalType"];
    let new = noted(reader, device, "ipNetToPhysicalTable", &columns).await?;
    for (index, row) in new.rows() {
        let mut index = Index::new(index);
        let (if_index, address) = (index.number(), index.inet_address());
        let mac = row.octets("ipNetToPhysicalPhysAddress").and_then(Mac::new);
        let is_valid = row.number("ipNetToPhysicalType") != Some(INVALID);
        let entry = entry(if_index, address, mac).filter(|_| is_valid);
        device.arp.extend(entry.filter(|it| known.insert(*it)));
    }
    Ok(())
}

fn entry(if_index: Option<u32>, address: Option<IpAddr>, mac: Option<Mac>) -> Option<ArpEntry> {
    Some(ArpEntry {
        if_index: if_index?,
        address: address?,
        mac: mac?,
    })
}

/// An address without a word on its kind.
fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| v6()).ok()
}
