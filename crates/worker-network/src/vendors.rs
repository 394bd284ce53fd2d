//! Who makes network interfaces: the IEEE's assignments, as `build.rs` writes them.

/// See `build.rs` for what is where.
static TABLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vendors.bin"));

/// Bytes of the number of prefixes.
const COUNT: usize = 4;
/// Bytes of one prefix.
const PREFIX: usize = 5;
/// Bytes of one prefix and its place.
const RECORD: usize = PREFIX + 4;
/// Numbers of hexadecimal digits that prefixes have, the longest first.
const LENGTHS: [u32; 3] = [9, 7, 6];

/// The organisation to which a MAC address was assigned, by its longest prefix that was.
pub(crate) fn of(mac: [u8; 6]) -> Option<&'static str> {
    let mut bytes = [0; 8];
    bytes[2..].copy_from_slice(&mac);
    let mac = u64::from_be_bytes(bytes);
    LENGTHS.iter().find_map(|digits| {
        // Of an address's twelve digits nine fit into a prefix.
        let kept = (mac >> (4 * (12 - digits))) << (4 * (9 - digits));
        find((kept << 4) | u64::from(*digits))
    })
}

fn find(prefix: u64) -> Option<&'static str> {
    let (count, rest) = TABLE.split_at_checked(COUNT)?;
    let count = usize::try_from(u32::from_be_bytes(count.try_into().ok()?)).ok()?;
    let (records, names) = rest.split_at_checked(count * RECORD)?;
    let (records, _) = records.as_chunks::<RECORD>();
    let wanted = &prefix.to_be_bytes()[8 - PREFIX..];
    let found = records
        .binary_search_by(|record| record[..PREFIX].cmp(wanted))
        .ok()?;
    let place = u32::from_be_bytes(records[found][PREFIX..].try_into().ok()?);
    let name = names.get(usize::try_from(place).ok()?..)?;
    let (length, name) = name.split_first()?;
    std::str::from_utf8(name.get(..usize::from(*length))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_assignment_of_the_source_is_found() {
        for (digits, record) in oui_data::OUI_ENTRIES.entries() {
            let mut mac = u64::from_str_radix(digits, 16).unwrap();
            mac <<= 4 * (12 - digits.len());
            let [_, _, mac @ ..] = mac.to_be_bytes();
            // A longer prefix of the same digits is more to the point.
            let expected = oui_data::lookup(&mac.map(|byte| format!("{byte:02X}")).join(":"));
            let expected = expected.unwrap_or(record).organization();
            assert_eq!(of(mac), Some(expected), "{digits}");
        }
    }

    #[test]
    fn an_address_of_nobody_has_no_vendor() {
        assert_eq!(of([0xff; 6]), None);
        assert_eq!(of([2, 0, 0, 0, 0, 0]), None);
    }
}
