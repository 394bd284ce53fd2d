//! Sets of addresses: what a call is to scan, and the parts that one nmap takes at a time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpAddrRange, IpNet, Ipv4AddrRange, Ipv4Subnets, Ipv6AddrRange, Ipv6Subnets};

/// Consecutive addresses of one IP version, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    first: IpAddr,
    last: IpAddr,
}

/// Addresses in ascending order, IPv4 before IPv6, none twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AddressSet {
    /// Ascending, with a gap between any two of one version.
    ranges: Vec<Range>,
}

impl AddressSet {
    /// The addresses of networks, which may overlap.
    pub(crate) fn of(networks: impl IntoIterator<Item = IpNet>) -> Self {
        let mut ranges: Vec<Range> = networks
            .into_iter()
            .map(|network| Range {
                first: network.network(),
                last: network.broadcast(),
            })
            .collect();
        ranges.sort();
        let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(before) if before.touches(&range) => before.last = before.last.max(range.last),
                _ => merged.push(range),
            }
        }
        Self { ranges: merged }
    }

    /// How many addresses there are; `u128::MAX` stands for all beyond it.
    pub(crate) fn len(&self) -> u128 {
        self.ranges
            .iter()
            .fold(0, |sum, range| range.len().saturating_add(sum))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let holds = |range: &Range| range.first <= address && address <= range.last;
        self.ranges.iter().any(holds)
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let meet = |a: &Range, b: &Range| a.first <= b.last && b.first <= a.last;
        self.ranges
            .iter()
            .any(|range| other.ranges.iter().any(|another| meet(range, another)))
    }

    pub(crate) fn first(&self) -> Option<IpAddr> {
        self.ranges.first().map(|range| range.first)
    }

    pub(crate) fn last(&self) -> Option<IpAddr> {
        self.ranges.last().map(|range| range.last)
    }

    /// Every address, ascending.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let range = |range: &Range| match (range.first, range.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Some(IpAddrRange::V4(Ipv4AddrRange::new(first, last)))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Some(IpAddrRange::V6(Ipv6AddrRange::new(first, last)))
            }
            _ => None,
        };
        self.ranges.iter().filter_map(range).flatten()
    }

    /// The addresses that are not before this one.
    pub(crate) fn starting_at(&self, start: IpAddr) -> Self {
        let ranges = self.ranges.iter().filter(|range| range.last >= start);
        let ranges = ranges.map(|range| Range {
            first: range.first.max(start),
            ..*range
        });
        // An IPv4 start leaves all IPv6 ranges as they are, because IPv4 comes first.
        Self {
            ranges: ranges.collect(),
        }
    }

    /// The addresses that are not behind this one.
    pub(crate) fn up_to(&self, end: IpAddr) -> Self {
        let ranges = self.ranges.iter().filter(|range| range.first <= end);
        let ranges = ranges.map(|range| Range {
            last: range.last.min(end),
            ..*range
        });
        // An IPv6 end leaves all IPv4 ranges as they are.
        Self {
            ranges: ranges.collect(),
        }
    }

    /// The last address before this one.
    pub(crate) fn before(&self, address: IpAddr) -> Option<IpAddr> {
        let range = self.ranges.iter().rfind(|range| range.first < address)?;
        Some(range.last.min(previous(address)))
    }

    /// The addresses behind this one.
    pub(crate) fn after(&self, address: IpAddr) -> Self {
        let mut rest = self.starting_at(address);
        if rest.first() == Some(address) {
            match next(address).filter(|_| rest.ranges[0].last != address) {
                Some(next) => rest.ranges[0].first = next,
                None => drop(rest.ranges.remove(0)),
            }
        }
        rest
    }

    /// The first addresses, of one IP version and at most so many.
    pub(crate) fn first_part(&self, most: u128) -> Self {
        let mut part = Self::default();
        let mut left = most;
        for range in &self.ranges {
            let is_other_version = part
                .first()
                .is_some_and(|first| first.is_ipv6() != range.first.is_ipv6());
            if left == 0 || is_other_version {
                break;
            }
            let taken = range.len().min(left);
            left -= taken;
            part.ranges.push(Range {
                first: range.first,
                last: offset(range.first, taken.saturating_sub(1)),
            });
        }
        part
    }

    /// The same addresses as networks, as few as possible, ascending.
    pub(crate) fn networks(&self) -> Vec<IpNet> {
        let networks = |range: &Range| -> Vec<IpNet> {
            match (range.first, range.last) {
                (IpAddr::V4(first), IpAddr::V4(last)) => {
                    Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
                }
                (IpAddr::V6(first), IpAddr::V6(last)) => {
                    Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
                }
                _ => Vec::new(),
            }
        };
        self.ranges.iter().flat_map(networks).collect()
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        self.first().is_some_and(|first| first.is_ipv6())
    }
}

impl Range {
    fn len(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }

    /// Whether the other one, which does not begin before this one, overlaps or follows it.
    fn touches(&self, other: &Self) -> bool {
        self.first.is_ipv6() == other.first.is_ipv6()
            && number(other.first) <= number(self.last).saturating_add(1)
    }
}

/// The address or network of a set of one, otherwise how many there are.
impl std::fmt::Display for AddressSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.networks().as_slice() {
            [network] => f.write_str(&in_short(*network)),
            [first, .., last] => write!(
                f,
                "{} addresses from {} to {}",
                self.len(),
                first.network(),
                last.broadcast()
            ),
            [] => f.write_str("no address"),
        }
    }
}

/// A network of one address as that address.
pub(crate) fn in_short(network: IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The address so many places further on, or the last one there is.
fn offset(address: IpAddr, places: u128) -> IpAddr {
    let number = number(address).saturating_add(places);
    match address {
        IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

/// The address before this one, which must not be the first one there is.
fn previous(address: IpAddr) -> IpAddr {
    let number = number(address).saturating_sub(1);
    match address {
        IpAddr::V4(_) => Ipv4Addr::from_bits(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(number).into(),
    }
}

fn next(address: IpAddr) -> Option<IpAddr> {
    let next = offset(address, 1);
    (next != address).then_some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(networks: &[&str]) -> AddressSet {
        AddressSet::of(networks.iter().map(|network| network.parse().unwrap()))
    }

    fn words(set: &AddressSet) -> Vec<String> {
        set.networks().into_iter().map(in_short).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_that_meet_are_one() {
        let check = |networks: &[&str], expected: &[&str], len: u128| {
            let set = set(networks);
            assert_eq!(words(&set), expected, "{networks:?}");
            assert_eq!(set.len(), len, "{networks:?}");
        };
        check(&[], &[], 0);
        check(&["10.0.0.0/31"], &["10.0.0.0/31"], 2);
        check(&["10.0.0.7/32"], &["10.0.0.7"], 1);
        check(&["10.0.1.0/24", "10.0.0.0/24"], &["10.0.0.0/23"], 512);
        check(&["10.0.0.0/24", "10.0.0.9/32"], &["10.0.0.0/24"], 256);
        check(
            &["::1/128", "255.255.255.255/32"],
            &["255.255.255.255", "::1"],
            2,
        );
        check(&["0.0.0.0/0"], &["0.0.0.0/0"], 1 << 32);
        check(&["::/0"], &["::/0"], u128::MAX);
    }

    #[test]
    fn a_part_has_one_version_and_no_more_than_its_size() {
        let check = |most: u128, part: &[&str], rest: &[&str]| {
            let set = set(&["10.0.0.0/30", "10.0.1.0/30", "fd00::/126"]);
            let first = set.first_part(most);
            assert_eq!(words(&first), part, "{most}");
            let last = first.networks().last().unwrap().broadcast();
            assert_eq!(words(&set.after(last)), rest, "{most}");
        };
        check(
            3,
            &["10.0.0.0/31", "10.0.0.2"],
            &["10.0.0.3", "10.0.1.0/30", "fd00::/126"],
        );
        check(4, &["10.0.0.0/30"], &["10.0.1.0/30", "fd00::/126"]);
        check(100, &["10.0.0.0/30", "10.0.1.0/30"], &["fd00::/126"]);
    }

    #[test]
    fn what_lies_behind_the_last_address_is_nothing() {
        assert!(
            set(&["255.255.255.254/31"])
                .after(ip("255.255.255.255"))
                .is_empty()
        );
        assert!(
            set(&["::/0"])
                .after(IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)))
                .is_empty()
        );
        assert_eq!(
            words(&set(&["10.0.0.0/30"]).after(ip("10.0.0.0"))),
            ["10.0.0.1", "10.0.0.2/31"]
        );
        assert_eq!(
            words(&set(&["10.0.0.0/30"]).after(ip("9.0.0.0"))),
            ["10.0.0.0/30"]
        );
        assert_eq!(
            words(&set(&["10.0.0.0/30", "::1/128"]).after(ip("11.0.0.0"))),
            ["::1"]
        );
    }

    #[test]
    fn a_set_is_cut_at_an_address() {
        let whole = set(&["10.0.0.0/30", "10.0.1.0/30", "fd00::/126"]);
        let check = |address: &str, up_to: &[&str], before: Option<&str>| {
            assert_eq!(words(&whole.up_to(ip(address))), up_to, "{address}");
            assert_eq!(whole.before(ip(address)), before.map(ip), "{address}");
        };
        check("10.0.0.0", &["10.0.0.0"], None);
        check("10.0.1.0", &["10.0.0.0/30", "10.0.1.0"], Some("10.0.0.3"));
        check(
            "fd00::1",
            &["10.0.0.0/30", "10.0.1.0/30", "fd00::/127"],
            Some("fd00::"),
        );
        check(
            "fd00::",
            &["10.0.0.0/30", "10.0.1.0/30", "fd00::"],
            Some("10.0.1.3"),
        );
    }

    #[test]
    fn sets_overlap_where_they_share_an_address() {
        let one = set(&["10.0.0.0/24", "fd00::1/128"]);
        assert!(one.overlaps(&set(&["10.0.0.255/32"])));
        assert!(one.overlaps(&set(&["fd00::/64"])));
        assert!(!one.overlaps(&set(&["10.0.1.0/24", "fd00::2/128"])));
        assert!(one.contains(ip("10.0.0.0")) && !one.contains(ip("10.0.1.0")));
    }

    proptest! {
        #[test]
        fn the_parts_together_are_the_set(
            networks in prop::collection::vec((any::<u32>(), 20u8..=32), 0..8),
            most in 1u128..5000,
        ) {
            let networks = networks.iter().map(|&(bits, length)| {
                IpNet::new(Ipv4Addr::from_bits(bits).into(), length).unwrap().trunc()
            });
            let whole = AddressSet::of(networks);
            let (mut rest, mut sum, mut parts) = (whole.clone(), 0, Vec::new());
            while !rest.is_empty() {
                let part = rest.first_part(most);
                prop_assert!((1..=most).contains(&part.len()));
                sum += part.len();
                rest = rest.after(part.networks().last().unwrap().broadcast());
                prop_assert!(!part.overlaps(&rest));
                parts.extend(part.networks());
            }
            prop_assert_eq!(sum, whole.len());
            prop_assert_eq!(AddressSet::of(parts), whole);
        }
    }
}
