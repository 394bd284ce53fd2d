//! Names of machines and ports in bytes: MAC addresses, and identifiers of LLDP.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A MAC address that can belong to one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mac([u8; 6]);

impl Mac {
    /// Reads six bytes; `None` for zeros, and for addresses of groups or of virtual routers,
    /// which say nothing of who has them (RFC 5798, section 7.3).
    pub(crate) fn new(octets: &[u8]) -> Option<Self> {
        let octets = <[u8; 6]>::try_from(octets).ok()?;
        let is_group = octets.first()? & 1 == 1;
        let is_virtual =
            octets.starts_with(&[0, 0, 0x5e, 0, 1]) || octets.starts_with(&[0, 0, 0x5e, 0, 2]);
        (octets != [0; 6] && !is_group && !is_virtual).then_some(Self(octets))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, octet) in self.0.iter().enumerate() {
            let colon = if n == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02x}")?;
        }
        Ok(())
    }
}

/// A chassis or port identifier of LLDP: bytes, and what they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Named {
    /// A MAC address.
    Mac(Mac),
    /// An IP address.
    Address(IpAddr),
    /// The name of an interface.
    Interface(String),
    /// An alias that an operator gave to an interface.
    Alias(String),
    /// Text of any other meaning.
    Other(String),
}

impl Named {
    /// A chassis identifier (IEEE 802.1AB, section 8.5.2); `None` of an empty one.
    pub(crate) fn chassis(subtype: i64, octets: &[u8]) -> Option<Self> {
        match subtype {
            2 => text(octets).map(Self::Alias),
            4 => Self::mac(octets),
            5 => Self::address(octets),
            6 => text(octets).map(Self::Interface),
            _ => text(octets).map(Self::Other),
        }
    }

    /// A port identifier (IEEE 802.1AB, section 8.5.3); `None` of an empty one.
    pub(crate) fn port(subtype: i64, octets: &[u8]) -> Option<Self> {
        match subtype {
            1 => text(octets).map(Self::Alias),
            3 => Self::mac(octets),
            4 => Self::address(octets),
            5 => text(octets).map(Self::Interface),
            _ => text(octets).map(Self::Other),
        }
    }

    fn mac(octets: &[u8]) -> Option<Self> {
        Mac::new(octets)
            .map(Self::Mac)
            .or_else(|| text(octets).map(Self::Other))
    }

    /// An address family number of IANA, and the address.
    fn address(octets: &[u8]) -> Option<Self> {
        let address = match octets.split_first() {
            Some((1, v4)) => <[u8; 4]>::try_from(v4)
                .ok()
                .map(|it| Ipv4Addr::from(it).into()),
            Some((2, v6)) => <[u8; 16]>::try_from(v6)
                .ok()
                .map(|it| Ipv6Addr::from(it).into()),
            _ => None,
        };
        address
            .map(Self::Address)
            .or_else(|| text(octets).map(Self::Other))
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => mac.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Interface(text) | Self::Alias(text) | Self::Other(text) => f.write_str(text),
        }
    }
}

/// Bytes as text without padding, or in hexadecimal digits where they are none.
fn text(octets: &[u8]) -> Option<String> {
    let is_padding = |character: char| character == '\0' || character.is_whitespace();
    let text = std::str::from_utf8(octets).map(|text| text.trim_matches(is_padding));
    match text {
        Ok("") => None,
        Ok(text) if !text.chars().any(char::is_control) => Some(text.to_owned()),
        _ => Some(hexadecimal(octets)),
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hexadecimal(octets: &[u8]) -> String {
    let digits: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    digits.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_that_many_may_have_names_nobody() {
        let read = |octets: [u8; 6]| Mac::new(&octets).map(|mac| mac.to_string());
        assert_eq!(
            read([0, 0x1b, 0x21, 1, 2, 0xff]).as_deref(),
            Some("00:1b:21:01:02:ff")
        );
        assert_eq!(read([0; 6]), None);
        assert_eq!(read([0xff; 6]), None);
        assert_eq!(read([1, 0x80, 0xc2, 0, 0, 0x0e]), None);
        assert_eq!(read([0, 0, 0x5e, 0, 1, 7]), None);
        assert_eq!(Mac::new(&[1, 2, 3]), None);
    }

    #[test]
    fn identifiers_are_read_by_their_subtype() {
        let check = |read: Option<Named>, expected: Option<&str>| {
            assert_eq!(read.map(|it| it.to_string()).as_deref(), expected);
        };
        check(
            Named::chassis(4, &[2, 0, 0, 0, 0, 1]),
            Some("02:00:00:00:00:01"),
        );
        check(Named::chassis(5, &[1, 10, 0, 0, 1]), Some("10.0.0.1"));
        check(Named::chassis(7, b"chassis-1\0\0"), Some("chassis-1"));
        check(Named::port(5, b"ge-0/0/1"), Some("ge-0/0/1"));
        check(Named::port(3, &[2, 0]), Some("0200"));
        check(Named::port(7, &[0xff, 0x01]), Some("ff01"));
        check(Named::port(5, b" \0"), None);
        check(Named::chassis(4, b""), None);
    }
}
