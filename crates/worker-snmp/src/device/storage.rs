//! Disks and memory areas: HOST-RESOURCES-MIB.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Survey, percent, size};
use crate::client::{Row, Table};
use crate::{Oid, markdown};

/// `hrStorageTypes`.
const TYPES: Oid = Oid::new(&[1, 3, 6, 1, 2, 1, 25, 2, 1]);
/// Kinds of storage by their number there.
const KINDS: [(u32, Kind); 10] = [
    (1, Kind::Other),
    (2, Kind::Ram),
    (3, Kind::VirtualMemory),
    (4, Kind::FixedDisk),
    (5, Kind::RemovableDisk),
    (6, Kind::FloppyDisk),
    (7, Kind::CompactDisc),
    (8, Kind::RamDisk),
    (9, Kind::FlashMemory),
    (10, Kind::NetworkDisk),
];

/// A disk, a file system or an area of memory.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Storage {
    /// Name: a path such as `/var`, a drive, or a word such as `Physical memory`.
    pub(crate) name: String,
    /// Kind of storage.
    pub(crate) kind: Kind,
    /// Size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size_bytes: Option<u64>,
    /// Bytes in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) used_bytes: Option<u64>,
    /// Hundredths in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) used_percent: Option<f64>,
    /// Requests for room that could not be met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allocation_failures: Option<u64>,
}

/// Kinds of storage (`hrStorageTypes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// None of the others, or not told.
    Other,
    /// Physical memory, or a part of it.
    Ram,
    /// Memory with swap space, or swap space.
    VirtualMemory,
    /// A disk, or a file system on it.
    FixedDisk,
    /// A disk that can be taken out.
    RemovableDisk,
    /// A floppy disk.
    FloppyDisk,
    /// A CD or DVD.
    CompactDisc,
    /// A file system in memory.
    RamDisk,
    /// Flash memory.
    FlashMemory,
    /// A file system of another host.
    NetworkDisk,
}

impl Kind {
    /// Whether it is filled by what somebody stores; caches of memory are full by nature.
    pub(crate) fn is_disk(self) -> bool {
        !matches!(
            self,
            Self::Other | Self::Ram | Self::VirtualMemory | Self::CompactDisc
        )
    }
}

const COLUMNS: [&str; 6] = [
    "hrStorageType",
    "hrStorageDescr",
    "hrStorageAllocationUnits",
    "hrStorageSize",
    "hrStorageUsed",
    "hrStorageAllocationFailures",
];

/// Reads them in the device's order.
pub(crate) async fn read(survey: &mut Survey<'_>) -> Vec<Storage> {
    survey.part("storage");
    let table = survey
        .table("HOST-RESOURCES-MIB", "hrStorageTable", &COLUMNS)
        .await;
    let disks = if table.is_empty() {
        let columns = ["dskPath", "dskTotal", "dskUsed"];
        survey.optional_table("dskTable", &columns).await
    } else {
        Table::default()
    };
    let own = table.rows().map(|(index, row)| storage(index, row));
    own.chain(disks.rows().map(|(_, row)| disk(row))).collect()
}

fn storage(index: &[u32], row: &Row) -> Storage {
    let unit = row
        .unsigned("hrStorageAllocationUnits")
        .filter(|unit| *unit > 0);
    let bytes = |column: &str| Some(count(row, column)?.saturating_mul(unit.unwrap_or(1)));
    let number = row
        .oid("hrStorageType")
        .and_then(|kind| kind.after(&TYPES)?.first().copied());
    let known = KINDS.iter().find(|(known, _)| Some(*known) == number);
    let (size, used) = (bytes("hrStorageSize"), bytes("hrStorageUsed"));
    Storage {
        name: row
            .text("hrStorageDescr")
            .unwrap_or_else(|| format!("storage {index:?}")),
        kind: known.map_or(Kind::Other, |(_, kind)| *kind),
        size_bytes: size,
        used_bytes: used,
        used_percent: used.zip(size).and_then(|(used, size)| percent(used, size)),
        allocation_failures: row.unsigned("hrStorageAllocationFailures"),
    }
}

/// A number of units. The type is signed, and large disks make it negative.
fn count(row: &Row, column: &str) -> Option<u64> {
    let number = row.number(column)?;
    let wrapped = if number < 0 {
        number + (1 << 32)
    } else {
        number
    };
    u64::try_from(wrapped).ok()
}

/// A disk as net-snmp counts it, in KiB.
fn disk(row: &Row) -> Storage {
    let bytes = |column: &str| Some(count(row, column)?.saturating_mul(1024));
    let (size, used) = (bytes("dskTotal"), bytes("dskUsed"));
    Storage {
        name: row.text("dskPath").unwrap_or_else(|| "disk".to_owned()),
        kind: Kind::FixedDisk,
        size_bytes: size,
        used_bytes: used,
        used_percent: used.zip(size).and_then(|(used, size)| percent(used, size)),
        allocation_failures: None,
    }
}

/// Storage as a table of a summary.
pub(crate) fn summary(storage: &[Storage]) -> String {
    let heads = ["storage", "kind", "size", "used"];
    markdown::table(&heads, storage, |item| {
        let used = item.used_percent.map(|percent| format!("{percent} %"));
        vec![
            item.name.clone(),
            format!("{:?}", item.kind),
            markdown::or_dash(item.size_bytes.map(size).as_ref()),
            markdown::or_dash(used.as_ref()),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mib;

    #[test]
    fn the_kinds_are_those_that_the_mib_names() {
        for (number, _) in KINDS {
            let name = mib::name(&TYPES.join(&[number])).unwrap();
            assert!(name.starts_with("HOST-RESOURCES-MIB::hrStorage"), "{name}");
        }
    }
}
