//! Writes the vendors of MAC addresses as one block of bytes, which `src/vendors.rs` reads.
//!
//! As the library has them, a map of references, they are data that the loader changes when the
//! process starts: 4 MB of memory in every worker and 160,000 relocations, used or not. Bytes are
//! read from the file when somebody asks.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// Digits of the longest prefix.
const MAX_DIGITS: usize = 9;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = std::env::var_os("OUT_DIR").map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("Cargo sets OUT_DIR"))?;
    std::fs::write(folder.join("vendors.bin"), table()?)
}

/// The number of prefixes, then each with the place of its vendor's name, then the names.
///
/// Numbers are big-endian: the count in 4 bytes; a prefix in 5, as nine hexadecimal digits and
/// how many of them count; a place in 4, from the beginning of the names. A name has its length
/// in one byte before it.
fn table() -> io::Result<Vec<u8>> {
    let mut names: Vec<u8> = Vec::new();
    let mut places: BTreeMap<&str, u32> = BTreeMap::new();
    let mut prefixes: BTreeMap<u64, u32> = BTreeMap::new();
    for (digits, record) in oui_data::OUI_ENTRIES.entries() {
        let name = shortened(record.organization());
        let end = u32::try_from(names.len()).map_err(io::Error::other)?;
        let place = *places.entry(name).or_insert(end);
        if place == end {
            names.push(u8::try_from(name.len()).map_err(io::Error::other)?);
            names.extend(name.as_bytes());
        }
        prefixes.insert(prefix(digits)?, place);
    }
    let count = u32::try_from(prefixes.len()).map_err(io::Error::other)?;
    let mut table = count.to_be_bytes().to_vec();
    for (prefix, place) in prefixes {
        table.extend(&prefix.to_be_bytes()[3..]);
        table.extend(place.to_be_bytes());
    }
    table.extend(names);
    Ok(table)
}

fn prefix(digits: &str) -> io::Result<u64> {
    let value = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
    let missing = MAX_DIGITS
        .checked_sub(digits.len())
        .ok_or_else(|| io::Error::other("a prefix is longer than nine digits"))?;
    let count = u64::try_from(digits.len()).map_err(io::Error::other)?;
    Ok((value << (4 * missing)) << 4 | count)
}

/// As much of a name as its length in one byte allows.
fn shortened(name: &str) -> &str {
    let end = name.floor_char_boundary(usize::from(u8::MAX));
    &name[..end]
}
