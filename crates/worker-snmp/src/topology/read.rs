//! Asking one device for all that [`Device`] holds.

mod neighbours;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::name::hexadecimal;
use super::{Device, Identity, Interface, Mac, Named};
use crate::client::{Index, Reader, Table};
use crate::{Error, mib};

/// Longest time for one section of a device.
const SECTION: Duration = Duration::from_mins(1);
/// Sections without an answer after which the others are not asked for.
const MOST_SILENT: usize = 2;
/// `entPhysicalClass`: a chassis.
const CHASSIS: i64 = 3;

/// A part of what a device says, which it may be unable to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    System,
    Serial,
    Interfaces,
    Addresses,
    Lldp,
    Cdp,
    Bridge,
    Arp,
}

/// By what a device is told from others.
pub(super) const WHO: [Section; 4] = [
    Section::System,
    Section::Serial,
    Section::Interfaces,
    Section::Addresses,
];
/// Whom it sees, the surest first.
pub(super) const NEIGHBOURS: [Section; 4] =
    [Section::Lldp, Section::Cdp, Section::Bridge, Section::Arp];

/// How the reading of sections ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All that the device has was read, as far as it tells.
    Whole,
    /// There was no time for all of it.
    Cut,
    /// The device does not answer any more.
    Silent,
}

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

/// Reads sections into the record of a device. What it cannot say, and what there is no time for
/// until `end`, is noted in the record; what was read of it is kept.
pub(super) async fn sections(
    reader: &Reader,
    device: &mut Device,
    sections: &[Section],
    end: Instant,
) -> Outcome {
    let mut outcome = Outcome::Whole;
    let mut n_silent = 0;
    for section in sections {
        let until = (Instant::now() + SECTION).min(end);
        let read = timeout_at(until, section.read(reader, device)).await;
        let is_silent = matches!(read, Ok(Err(Error::Timeout { .. } | Error::Network { .. })));
        n_silent = if is_silent { n_silent + 1 } else { 0 };
        match read {
            Ok(Ok(())) => {}
            Ok(Err(error)) => device.notes.push(format!("{section}: {error}")),
            Err(_) => {
                outcome = Outcome::Cut;
                let why = if until == end {
                    "the deadline came".to_owned()
                } else {
                    format!("it takes longer than {SECTION:?}")
                };
                device
                    .notes
                    .push(format!("{section}: not read to the end, {why}"));
            }
        }
        if n_silent == MOST_SILENT {
            let note = "the agent fell silent, and was not asked for the rest";
            device.notes.push(note.to_owned());
            return Outcome::Silent;
        }
    }
    outcome
}

impl Section {
    async fn read(self, reader: &Reader, device: &mut Device) -> Result<(), Error> {
        match self {
            Self::System => system(reader, device).await,
            Self::Serial => serial(reader, device).await,
            Self::Interfaces => interfaces(reader, device).await,
            Self::Addresses => addresses(reader, device).await,
            Self::Lldp => neighbours::lldp(reader, device).await,
            Self::Cdp => neighbours::cdp(reader, device).await,
            Self::Bridge => neighbours::bridge(reader, device).await,
            Self::Arp => neighbours::arp(reader, device).await,
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::Serial => "serial number",
            Self::Interfaces => "interfaces",
            Self::Addresses => "addresses",
            Self::Lldp => "neighbours in LLDP",
            Self::Cdp => "neighbours in CDP",
            Self::Bridge => "forwarding tables",
            Self::Arp => "resolved addresses",
        })
    }
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
    if device.identity.base_mac.is_none() {
        // Of a device without a bridge the lowest address does as well.
        device.identity.base_mac = device.interfaces.values().filter_map(|it| it.mac).min();
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
    let table = noted(reader, device, "ipAddrTable", &["ipAdEntIfIndex"]).await?;
    let v4 = table
        .rows()
        .filter_map(|(index, _)| Index::new(index).ipv4());
    device.addresses.extend(v4.map(IpAddr::from));
    let columns = ["ipAddressIfIndex", "ipAddressType"];
    let table = noted(reader, device, "ipAddressTable", &columns).await?;
    let unicast = table
        .rows()
        .filter(|(_, row)| row.number("ipAddressType") == Some(1));
    device
        .addresses
        .extend(unicast.filter_map(|(index, _)| Index::new(index).inet_address()));
    Ok(())
}

/// A table, and a note in the record where it is missing or damaged.
async fn table(
    reader: &Reader,
    device: &mut Device,
    mib: &str,
    name: &str,
    columns: &[&str],
) -> Result<Table, Error> {
    let table = noted(reader, device, name, columns).await?;
    if table.is_empty() {
        device.missing.push(mib.to_owned());
    }
    Ok(table)
}

/// A table, and a note in the record where it is damaged.
async fn noted(
    reader: &Reader,
    device: &mut Device,
    name: &str,
    columns: &[&str],
) -> Result<Table, Error> {
    let table = reader.table(name, columns).await?;
    device.notes.extend(table.notes().iter().cloned());
    Ok(table)
}
