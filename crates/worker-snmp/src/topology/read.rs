//! Asking one device for all that [`Device`] holds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::name::hexadecimal;
use super::{
    ArpEntry, CdpNeighbour, Device, Identity, Interface, Learnt, LldpNeighbour, LldpPort, Mac,
    Named,
};
use crate::client::{Index, Reader, Row, Table};
use crate::{Error, mib};

/// Bits of LLDP's system capabilities, the first being the highest of the first byte.
const LLDP_BRIDGE: u8 = 0x20;
const LLDP_ROUTER: u8 = 0x08;
/// Bits of CDP's capabilities, in the last byte.
const CDP_ROUTER: u8 = 0x01;
const CDP_BRIDGE: u8 = 0x0a;
/// `entPhysicalClass`: a chassis.
const CHASSIS: i64 = 3;
/// Status of a forwarding entry: learned.
const LEARNED: i64 = 3;
/// Type of a resolved address: invalid.
const INVALID: i64 = 2;

/// What can be had of a device by a single request, enough to know it again.
///
/// # Errors
/// The device does not answer, or refuses.
pub(super) async fn identify(reader: &Reader) -> Result<Identity, Error> {
    let names = [
        "sysName",
        "snmpEngineID",
        "lldpLocChassisIdSubtype",
        "lldpLocChassisId",
        "dot1dBaseBridgeAddress",
    ];
    let row = reader.scalars(&names).await?;
    let chassis = || {
        let subtype = row.number("lldpLocChassisIdSubtype")?;
        Named::chassis(subtype, row.octets("lldpLocChassisId")?)
    };
    let engine = row.octets("snmpEngineID").filter(|it| !it.is_empty());
    let identity = Identity {
        serial: None,
        engine: engine.map(hexadecimal),
        chassis: chassis(),
        base_mac: row.octets("dot1dBaseBridgeAddress").and_then(Mac::new),
        name: row.text("sysName"),
    };
    Ok(identity.meaningful())
}

/// Everything that a device says of itself and its neighbours. What it cannot say is noted in the
/// record.
///
/// # Errors
/// The device stopped answering before it had told anything of its interfaces.
pub(super) async fn read(
    reader: &Reader,
    address: IpAddr,
    identity: Identity,
) -> Result<Device, Error> {
    let mut device = Device {
        asked_at: BTreeSet::from([address]),
        identity,
        ..Device::default()
    };
    system(reader, &mut device).await?;
    interfaces(reader, &mut device).await?;
    let mut notes = Vec::new();
    for failed in [
        serial(reader, &mut device).await,
        addresses(reader, &mut device).await,
        lldp(reader, &mut device).await,
        cdp(reader, &mut device).await,
        bridge(reader, &mut device).await,
        arp(reader, &mut device).await,
    ] {
        notes.extend(failed.err().map(|error| error.to_string()));
    }
    notes.dedup();
    device.notes.extend(notes);
    if device.identity.base_mac.is_none() {
        // Of a device without a bridge the lowest address does as well.
        device.identity.base_mac = device.interfaces.values().filter_map(|it| it.mac).min();
    }
    Ok(device)
}

async fn system(reader: &Reader, device: &mut Device) -> Result<(), Error> {
    let names = ["sysDescr", "sysObjectID", "ipForwarding"];
    let row = reader.scalars(&names).await?;
    device.description = row.text("sysDescr");
    device.object_id = row.oid("sysObjectID").map(mib::name_or_number);
    device.is_router = row.number("ipForwarding") == Some(1);
    Ok(())
}

async fn serial(reader: &Reader, device: &mut Device) -> Result<(), Error> {
    let columns = ["entPhysicalClass", "entPhysicalSerialNum"];
    let table = table(reader, device, "ENTITY-MIB", "entPhysicalTable", &columns).await?;
    let chassis = table
        .rows()
        .filter(|(_, row)| row.number("entPhysicalClass") == Some(CHASSIS));
    let mut serials = chassis.filter_map(|(_, row)| row.text("entPhysicalSerialNum"));
    device.identity.serial = serials.next();
    device.identity = std::mem::take(&mut device.identity).meaningful();
    Ok(())
}

async fn interfaces(reader: &Reader, device: &mut Device) -> Result<(), Error> {
    let columns = ["ifDescr", "ifPhysAddress"];
    let basic = table(reader, device, "IF-MIB", "ifTable", &columns).await?;
    for (index, row) in basic.rows() {
        if let [if_index] = *index {
            let interface = device.interfaces.entry(if_index).or_default();
            interface.description = row.text("ifDescr");
            interface.mac = row.octets("ifPhysAddress").and_then(Mac::new);
        }
    }
    let columns = ["ifName", "ifAlias"];
    let more = table(reader, device, "IF-MIB (ifXTable)", "ifXTable", &columns).await?;
    for (index, row) in more.rows() {
        if let [if_index] = *index {
            let interface: &mut Interface = device.interfaces.entry(if_index).or_default();
            interface.name = row.text("ifName");
            interface.alias = row.text("ifAlias");
        }
    }
    Ok(())
}

async fn addresses(reader: &Reader, device: &mut Device) -> Result<(), Error> {
    let table = reader.table("ipAddrTable", &["ipAdEntIfIndex"]).await?;
    let v4 = table
        .rows()
        .filter_map(|(index, _)| Index::new(index).ipv4());
    device.addresses.extend(v4.map(IpAddr::from));
    let table = reader
        .table("ipAddressTable", &["ipAddressIfIndex", "ipAddressType"])
        .await?;
    let unicast = table
        .rows()
        .filter(|(_, row)| row.number("ipAddressType") == Some(1));
    device
        .addresses
        .extend(unicast.filter_map(|(index, _)| Index::new(index).inet_address()));
    Ok(())
}

async fn lldp(reader: &Reader, device: &mut Device) -> Result<(), Error> {
    let columns = ["lldpLocPortIdSubtype", "lldpLocPortId", "lldpLocPortDesc"];
    let ports = table(reader, device, "LLDP-MIB", "lldpLocPortTable", &columns).await?;
    for (index, row) in ports.rows() {
        if let [number] = *index {
            let id = || {
                let subtype = row.number("lldpLocPortIdSubtype")?;
                Named::port(subtype, row.octets("lldpLocPortId")?)
            };
            let description = row.text("lldpLocPortDesc");
            device.lldp_ports.insert(
                number,
                LldpPort {
                    id: id(),
                    description,
                },
            );
        }
    }
    if ports.is_empty() {
        return Ok(());
    }
    let own = reader.scalars(&["lldpLocSysCapEnabled"]).await?;
    device.is_bridge |= has_bits(&own, "lldpLocSysCapEnabled", LLDP_BRIDGE);
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
    let neighbours = reader.table("lldpRemTable", &columns).await?;
    let columns = ["lldpRemManAddrIfSubtype"];
    let managed = reader.table("lldpRemManAddrTable", &columns).await?;
    let managed = management(&managed);
    for (index, row) in neighbours.rows() {
        let addresses = managed.get(index).cloned().unwrap_or_default();
        device.lldp.extend(lldp_neighbour(index, row, addresses));
    }
    Ok(())
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

fn lldp_neighbour(index: &[u32], row: &Row, addresses: Vec<IpAddr>) -> Option<LldpNeighbour> {
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
        addresses,
    })
}

fn has_bits(row: &Row, name: &str, bits: u8) -> bool {
    let first = row.octets(name).and_then(<[u8]>::first);
    first.is_some_and(|octet| octet & bits != 0)
}

async fn cdp(reader: &Reader, device: &mut Device) -> Result<(), Error> {
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
async fn bridge(reader: &Reader, device: &mut Device) -> Result<(), Error> {
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
    let columns = ["dot1qTpFdbPort", "dot1qTpFdbStatus"];
    let by_vlan = reader.table("dot1qTpFdbTable", &columns).await?;
    let columns = ["dot1dTpFdbPort", "dot1dTpFdbStatus"];
    let plain = reader.table("dot1dTpFdbTable", &columns).await?;
    let entries = by_vlan
        .rows()
        .map(|(index, row)| (index.get(1..).unwrap_or_default(), row, "dot1qTpFdb"))
        .chain(plain.rows().map(|(index, row)| (index, row, "dot1dTpFdb")));
    for (index, row, prefix) in entries {
        let is_learnt = row.number(&format!("{prefix}Status")) == Some(LEARNED);
        let port = if_index(row.number(&format!("{prefix}Port")));
        let mac = Index::new(index).octets(6).and_then(|it| Mac::new(&it));
        if let (true, Some(if_index), Some(mac)) = (is_learnt, port, mac) {
            device.learnt.push(Learnt { if_index, mac });
        }
    }
    Ok(())
}

async fn arp(reader: &Reader, device: &mut Device) -> Result<(), Error> {
    let columns = ["ipNetToMediaPhysAddress", "ipNetToMediaType"];
    let table = reader.table("ipNetToMediaTable", &columns).await?;
    for (index, row) in table.rows() {
        let mut index = Index::new(index);
        let (if_index, address) = (index.number(), index.ipv4());
        let mac = row.octets("ipNetToMediaPhysAddress").and_then(Mac::new);
        let is_valid = row.number("ipNetToMediaType") != Some(INVALID);
        device
            .arp
            .extend(entry(if_index, address.map(Ipv4Addr::into), mac).filter(|_| is_valid));
    }
    let columns = ["ipNetToPhysicalPhysAddress", "ipNetToPhysicalType"];
    let table = reader.table("ipNetToPhysicalTable", &columns).await?;
    for (index, row) in table.rows() {
        let mut index = Index::new(index);
        let (if_index, address) = (index.number(), index.inet_address());
        let mac = row.octets("ipNetToPhysicalPhysAddress").and_then(Mac::new);
        let is_valid = row.number("ipNetToPhysicalType") != Some(INVALID);
        let entry = entry(if_index, address, mac).filter(|_| is_valid);
        device
            .arp
            .extend(entry.filter(|it| !device.arp.contains(it)));
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

/// A table, and a note in the record where it is missing or damaged.
async fn table(
    reader: &Reader,
    device: &mut Device,
    mib: &str,
    name: &str,
    columns: &[&str],
) -> Result<Table, Error> {
    let table = reader.table(name, columns).await?;
    if table.is_empty() {
        device.missing.push(mib.to_owned());
    }
    device.notes.extend(table.notes().iter().cloned());
    Ok(table)
}

/// An address without a word on its kind.
fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| v6()).ok()
}
