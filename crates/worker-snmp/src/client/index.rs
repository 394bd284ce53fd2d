use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The index of a row, taken apart from its front (RFC 2578, section 7.7). Each method takes what
/// it reads away, and gives `None` where that is not there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Index<'a> {
    rest: &'a [u32],
}

impl<'a> Index<'a> {
    /// The index of a row.
    #[must_use]
    pub(crate) fn new(index: &'a [u32]) -> Self {
        Self { rest: index }
    }

    /// A number.
    pub(crate) fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*number)
    }

    /// Bytes of a known length.
    pub(crate) fn octets(&mut self, length: usize) -> Option<Vec<u8>> {
        let (octets, rest) = self.rest.split_at_checked(length)?;
        let octets = octets.iter().map(|arc| u8::try_from(*arc).ok());
        let octets = octets.collect::<Option<Vec<u8>>>()?;
        self.rest = rest;
        Some(octets)
    }

    /// Bytes that come after their length.
    pub(crate) fn counted_octets(&mut self) -> Option<Vec<u8>> {
        let mut ahead = *self;
        let length = ahead.number()?;
        let octets = ahead.octets(usize::try_from(length).ok()?)?;
        *self = ahead;
        Some(octets)
    }

    /// A MAC address in its usual form.
    pub(crate) fn mac(&mut self) -> Option<String> {
        self.octets(6).and_then(|octets| crate::mib::mac(&octets))
    }

    /// An IPv4 address of four numbers.
    pub(crate) fn ipv4(&mut self) -> Option<Ipv4Addr> {
        let octets = <[u8; 4]>::try_from(self.octets(4)?).ok()?;
        Some(octets.into())
    }

    /// An `InetAddressType` and an `InetAddress` after it (RFC 4001, section 3); zones are left
    /// out.
    pub(crate) fn inet_address(&mut self) -> Option<IpAddr> {
        let _kind = self.number()?;
        let octets = self.counted_octets()?;
        Self::address(&octets)
    }

    /// The address of an `InetAddress`; the zone of one that has it is left out.
    #[must_use]
    pub(crate) fn address(octets: &[u8]) -> Option<IpAddr> {
        match octets.len() {
            4 | 8 => {
                let address = octets.first_chunk::<4>()?;
                Some(Ipv4Addr::from(*address).into())
            }
            16 | 20 => {
                let address = octets.first_chunk::<16>()?;
                Some(Ipv6Addr::from(*address).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_taken_apart_from_its_front() {
        let mut index = Index::new(&[7, 0, 27, 33, 10, 11, 12, 1, 4, 10, 0, 0, 1, 2, 104, 105, 9]);
        assert_eq!(index.number(), Some(7));
        assert_eq!(index.mac().as_deref(), Some("00:1b:21:0a:0b:0c"));
        assert_eq!(index.inet_address(), Some([10, 0, 0, 1].into()));
        assert_eq!(index.counted_octets().as_deref(), Some(&b"hi"[..]));
        assert_eq!(index.rest, [9]);
    }

    #[test]
    fn what_is_not_there_is_not_taken() {
        let mut index = Index::new(&[3, 2]);
        assert_eq!(index.ipv4(), None);
        assert_eq!(index.counted_octets(), None);
        assert_eq!(index.rest, [3, 2]);
        assert_eq!(Index::new(&[256]).octets(1), None);
        assert_eq!(Index::new(&[u32::MAX, 1]).counted_octets(), None);
        assert_eq!(Index::new(&[]).number(), None);
    }
}
