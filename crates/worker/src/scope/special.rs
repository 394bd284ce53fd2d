//! Addresses that are not what they look like, or that no scan may touch by accident.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A kind of address with a rule of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// Not a host; says what it is.
    Never(&'static str),
    /// Gives out credentials to whoever can reach it.
    Metadata,
}

/// Metadata services of public clouds, from their providers' documentation.
const METADATA: [IpAddr; 12] = [
    // AWS, Google, Azure, OpenStack, DigitalOcean, Oracle, Hetzner and others.
    v4(169, 254, 169, 254),
    // AWS: container credentials and EKS pod identity.
    v4(169, 254, 170, 2),
    v4(169, 254, 170, 23),
    // Scaleway.
    v4(169, 254, 42, 42),
    // Tencent.
    v4(169, 254, 0, 23),
    // Azure's wire server.
    v4(168, 63, 129, 16),
    // Alibaba.
    v4(100, 100, 100, 200),
    // Oracle Cloud Classic.
    v4(192, 0, 0, 192),
    // AWS.
    v6(0xfd00_0ec2_0000_0000_0000_0000_0000_0254),
    v6(0xfd00_0ec2_0000_0000_0000_0000_0000_0023),
    // Google.
    v6(0xfd20_00ce_0000_0000_0000_0000_0000_0254),
    // Scaleway.
    v6(0xfd00_0042_0000_0000_0000_0000_0000_0042),
];

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(bits: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(bits))
}

/// The rule of its own that an address has, if any.
pub(super) fn special(address: IpAddr) -> Option<Special> {
    if address.is_multicast() {
        Some(Special::Never("a multicast address"))
    } else if address.is_unspecified() {
        Some(Special::Never("the unspecified address"))
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some(Special::Never("the broadcast address"))
    } else {
        METADATA.contains(&address).then_some(Special::Metadata)
    }
}

/// Everything an address may be taken for: itself and an IPv4 address that it carries.
///
/// A mapped address is nothing but the IPv4 address; of the others the gateway on the way
/// decides, so both must be in scope.
pub(super) fn faces(address: IpAddr) -> Vec<IpAddr> {
    let canonical = address.to_canonical();
    let mut faces = vec![canonical];
    if let IpAddr::V6(address) = canonical {
        faces.extend(embedded(address).map(IpAddr::V4));
    }
    faces
}

/// The IPv4 address inside an IPv6 address that is not a mapped one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        // Unspecified and loopback, which only look like IPv4-compatible addresses.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // IPv4-compatible (RFC 4291 section 2.5.5.1), NAT64 (RFC 6052 section 2.1), and
        // NAT64 of local use with the same layout (RFC 8215).
        [0, 0, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        // 6to4 (RFC 3056 section 2).
        | [0x2002, high, low, ..] => Some(of(high, low)),
        // Teredo: the client's address, inverted (RFC 4380 section 4).
        [0x2001, 0, .., high, low] => Some(of(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_ipv4_address_is_found() {
        let check = |address: &str, expected: &[&str]| {
            let expected: Vec<IpAddr> = expected.iter().map(|face| face.parse().unwrap()).collect();
            assert_eq!(faces(address.parse().unwrap()), expected, "{address}");
        };
        check("10.0.0.1", &["10.0.0.1"]);
        check("::ffff:10.0.0.1", &["10.0.0.1"]);
        check("::10.0.0.1", &["::10.0.0.1", "10.0.0.1"]);
        check("64:ff9b::10.0.0.1", &["64:ff9b::10.0.0.1", "10.0.0.1"]);
        check("64:ff9b:1::10.0.0.1", &["64:ff9b:1::10.0.0.1", "10.0.0.1"]);
        check("2002:a00:1::7", &["2002:a00:1::7", "10.0.0.1"]);
        check("2001:0:1::f5ff:fffe", &["2001:0:1::f5ff:fffe", "10.0.0.1"]);
        check("::1", &["::1"]);
        check("::", &["::"]);
        check("2001:db8::1", &["2001:db8::1"]);
    }
}
