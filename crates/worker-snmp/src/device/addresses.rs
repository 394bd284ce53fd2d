//! IP addresses of a device, by interface: IP-MIB.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Survey;
use crate::Oid;
use crate::client::Index;

/// `ipAddressType` of what is no address of a host (RFC 4293).
const BROADCAST: i64 = 3;

/// Addresses with their prefix lengths, where those are known, by interface number.
pub(crate) type Addresses = BTreeMap<u32, BTreeSet<(IpAddr, Option<u8>)>>;

/// Reads them from the table of RFC 4293 and from the older one; devices have either or both.
pub(crate) async fn read(survey: &mut Survey<'_>) -> Addresses {
    survey.part("addresses");
    let columns = ["ipAddressIfIndex", "ipAddressType", "ipAddressPrefix"];
    let new = survey.optional_table("ipAddressTable", &columns).await;
    let mut found: BTreeMap<(u32, IpAddr), Option<u8>> = BTreeMap::new();
    for (index, row) in new.rows() {
        let address = Index::new(index).inet_address();
        let interface = interface(row.unsigned("ipAddressIfIndex"));
        let (Some(address), Some(interface)) = (address, interface) else {
            continue;
        };
        if row.number("ipAddressType") == Some(BROADCAST) {
            continue;
        }
        let length = row
            .oid("ipAddressPrefix")
            .and_then(|prefix| length(prefix, address));
        found.insert((interface, address), length);
    }
    let columns = ["ipAdEntIfIndex", "ipAdEntNetMask"];
    let old = if new.is_empty() {
        survey.table("IP-MIB", "ipAddrTable", &columns).await
    } else {
        survey.optional_table("ipAddrTable", &columns).await
    };
    for (index, row) in old.rows() {
        let address = Index::new(index).ipv4().map(IpAddr::from);
        let interface = interface(row.unsigned("ipAdEntIfIndex"));
        let (Some(address), Some(interface)) = (address, interface) else {
            continue;
        };
        let mask = row
            .ipv4("ipAdEntNetMask")
            .map(|mask| mask.to_bits().leading_ones());
        let length = mask.and_then(|length| u8::try_from(length).ok());
        let known = found.entry((interface, address)).or_default();
        *known = known.or(length);
    }
    let mut addresses = Addresses::new();
    for ((interface, address), length) in found {
        addresses
            .entry(interface)
            .or_default()
            .insert((address, length));
    }
    addresses
}

fn interface(number: Option<u64>) -> Option<u32> {
    number.and_then(|number| number.try_into().ok())
}

/// The prefix length at the end of a pointer to a row of `ipAddressPrefixTable`.
fn length(pointer: &Oid, address: IpAddr) -> Option<u8> {
    /// `ipAddressPrefixOrigin`, the column that such pointers name.
    const COLUMN: Oid = Oid::new(&[1, 3, 6, 1, 2, 1, 4, 32, 1, 5]);
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = *pointer.after(&COLUMN)?.last()?;
    u8::try_from(length).ok().filter(|length| *length <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_length_is_the_end_of_the_pointer() {
        let check = |pointer: &str, expected: Option<u8>| {
            let found = length(&pointer.parse().unwrap(), [10, 0, 0, 1].into());
            assert_eq!(found, expected, "{pointer}");
        };
        check("1.3.6.1.2.1.4.32.1.5.2.1.4.10.0.0.0.24", Some(24));
        check("1.3.6.1.2.1.4.32.1.5.2.1.4.10.0.0.0.33", None);
        check("0.0", None);
    }
}
