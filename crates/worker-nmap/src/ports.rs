//! Which ports a caller names.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Longest text that is read.
const MAX_LENGTH: usize = 1000;

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
    /// Stream Control Transmission Protocol.
    Sctp,
}

/// Ports as a caller writes them: `80,443`, `1-1024`, `T:22,U:53`, or `-` for all.
///
/// Ports before any prefix are of the protocol that a scan is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Ports {
    plain: PortSet,
    tcp: PortSet,
    udp: PortSet,
}

/// Ports of one protocol, ascending, in ranges with both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PortSet {
    ranges: Vec<(u16, u16)>,
}

/// Ports of TCP and of UDP, in the order in which they are scanned: those of TCP first, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PortSets {
    pub(crate) tcp: PortSet,
    pub(crate) udp: PortSet,
}

/// One port of one protocol.
pub(crate) type Place = (Protocol, u16);

impl Ports {
    /// Ports of TCP and of UDP, where those without a prefix are of `plain`.
    pub(crate) fn by_protocol(&self, plain: Protocol) -> PortSets {
        let with = |set: &PortSet, protocol| {
            let extra: &[(u16, u16)] = if plain == protocol {
                &self.plain.ranges
            } else {
                &[]
            };
            PortSet::of(set.ranges.iter().chain(extra).copied().collect())
        };
        PortSets {
            tcp: with(&self.tcp, Protocol::Tcp),
            udp: with(&self.udp, Protocol::Udp),
        }
    }
}

impl PortSet {
    fn of(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged }
    }

    /// These ports and some more.
    pub(crate) fn and(&self, more: &[u16]) -> Self {
        let more = more.iter().map(|port| (*port, *port));
        Self::of(self.ranges.iter().copied().chain(more).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many ports there are.
    pub(crate) fn len(&self) -> u32 {
        let count = |&(first, last): &(u16, u16)| u32::from(last - first) + 1;
        self.ranges.iter().map(count).sum()
    }

    fn first(&self) -> Option<u16> {
        self.ranges.first().map(|(first, _)| *first)
    }

    fn contains(&self, port: u16) -> bool {
        let holds = |&(first, last): &(u16, u16)| first <= port && port <= last;
        self.ranges.iter().any(holds)
    }

    /// The ports that are not below this one.
    fn starting_at(&self, port: u16) -> Self {
        let ranges = self.ranges.iter().filter(|(_, last)| *last >= port);
        Self {
            ranges: ranges
                .map(|&(first, last)| (first.max(port), last))
                .collect(),
        }
    }

    /// The first so many ports, and the others.
    fn split(&self, count: u32) -> (Self, Self) {
        let mut left = count;
        let (mut first, mut rest) = (Self::default(), Self::default());
        for &(begin, end) in &self.ranges {
            let len = u32::from(end - begin) + 1;
            let taken = u16::try_from(len.min(left)).unwrap_or(u16::MAX);
            left -= u32::from(taken);
            if taken > 0 {
                first.ranges.push((begin, begin + (taken - 1)));
            }
            if u32::from(taken) < len {
                rest.ranges.push((begin + taken, end));
            }
        }
        (first, rest)
    }

    /// Ports as nmap lists them.
    pub(crate) fn listed(text: &str) -> Option<Self> {
        let ranges: Option<Vec<_>> = text.split(',').map(range_of).collect();
        ranges.map(Self::of)
    }
}

impl PortSets {
    pub(crate) fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.udp.is_empty()
    }

    pub(crate) fn len(&self) -> u32 {
        self.tcp.len() + self.udp.len()
    }

    pub(crate) fn first(&self) -> Option<Place> {
        let tcp = self.tcp.first().map(|port| (Protocol::Tcp, port));
        tcp.or_else(|| Some((Protocol::Udp, self.udp.first()?)))
    }

    /// This port, which must be one of them, and those behind it.
    pub(crate) fn starting_at(&self, (protocol, port): Place) -> Option<Self> {
        let (rest, found) = match protocol {
            Protocol::Tcp => (
                Self {
                    tcp: self.tcp.starting_at(port),
                    udp: self.udp.clone(),
                },
                self.tcp.contains(port),
            ),
            _ => (
                Self {
                    tcp: PortSet::default(),
                    udp: self.udp.starting_at(port),
                },
                self.udp.contains(port),
            ),
        };
        found.then_some(rest)
    }

    /// What is left when the first so many of them are done.
    pub(crate) fn without(&self, done: &Self) -> Self {
        let (_, tcp) = self.tcp.split(done.tcp.len());
        let (_, udp) = self.udp.split(done.udp.len());
        Self { tcp, udp }
    }

    /// What one run of nmap takes, and the others: all if they are no more than so many of each
    /// protocol, otherwise the first ones, of one protocol.
    pub(crate) fn split(&self, n_tcp: u32, n_udp: u32) -> (Self, Self) {
        if self.tcp.len() <= n_tcp && self.udp.len() <= n_udp {
            return (self.clone(), Self::default());
        }
        let none = PortSet::default();
        if self.tcp.is_empty() {
            let (udp, rest) = self.udp.split(n_udp.max(1));
            return (
                Self {
                    tcp: none.clone(),
                    udp,
                },
                Self {
                    tcp: none,
                    udp: rest,
                },
            );
        }
        let (tcp, rest) = self.tcp.split(n_tcp.max(1));
        let udp = self.udp.clone();
        (Self { tcp, udp: none }, Self { tcp: rest, udp })
    }
}

/// As nmap's option `-p` takes it.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.ranges.iter().map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        });
        f.write_str(&words.collect::<Vec<_>>().join(","))
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("it is longer than {MAX_LENGTH} characters"));
        }
        if text == "-" {
            return Ok(Self {
                plain: PortSet::of(vec![(1, u16::MAX)]),
                ..Self::default()
            });
        }
        let (mut plain, mut tcp, mut udp) = (Vec::new(), Vec::new(), Vec::new());
        let mut into = &mut plain;
        for item in text.split(',') {
            let range = match item.split_once(':') {
                None => item,
                Some(("T", range)) => {
                    into = &mut tcp;
                    range
                }
                Some(("U", range)) => {
                    into = &mut udp;
                    range
                }
                Some(_) => return Err(refusal(item)),
            };
            into.push(range_of(range).ok_or_else(|| refusal(item))?);
        }
        Ok(Self {
            plain: PortSet::of(plain),
            tcp: PortSet::of(tcp),
            udp: PortSet::of(udp),
        })
    }
}

impl TryFrom<String> for Ports {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl JsonSchema for Ports {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Ports".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX_LENGTH })
    }
}

fn range_of(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

/// A decimal number from 1 to 65535, without sign or leading zeros.
pub(crate) fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    is_plain.then(|| text.parse().ok()).flatten()
}

fn refusal(item: &str) -> String {
    let item: String = item.chars().take(40).collect();
    format!(
        "{item:?} is neither a port from 1 to 65535 nor a range such as 1-1024; items are \
         separated by commas without blanks, and may begin with T: for TCP or U: for UDP"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ports_are_read_as_they_are_written() {
        let check = |text: &str, tcp: &str, udp: &str| {
            let ports: Ports = text.parse().unwrap();
            let sets = ports.by_protocol(Protocol::Tcp);
            assert_eq!(
                (sets.tcp.to_string(), sets.udp.to_string()),
                (tcp.to_owned(), udp.to_owned()),
                "{text}"
            );
        };
        check("80", "80", "");
        check("443,80,80", "80,443", "");
        check("1-1024", "1-1024", "");
        check("20-30,25-40,41", "20-41", "");
        check("-", "1-65535", "");
        check("U:53", "", "53");
        check("T:21-25,80,U:53,137", "21-25,80", "53,137");
        check("22,U:53,T:80", "22,80", "53");
        check("65535,1", "1,65535", "");
        let sets = "53,U:161"
            .parse::<Ports>()
            .unwrap()
            .by_protocol(Protocol::Udp);
        assert_eq!(
            (sets.tcp.len(), sets.udp.to_string()),
            (0, "53,161".to_owned())
        );
        assert_eq!("1-65535".parse::<Ports>().unwrap().plain.len(), 65_535);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in [
            "",
            " ",
            "0",
            "00",
            "080",
            "65536",
            "-80",
            "80-",
            "90-80",
            "80,",
            ",80",
            "80,,81",
            "80 ,81",
            "1-2-3",
            "http",
            "http*",
            "[1-10]",
            "+80",
            "S:80",
            "T:",
            "U:-",
            "P:0",
            "t:80",
            "80;id",
            "--script=x",
            "-oN/tmp/x",
            "８０",
            "1e3",
            "0x50",
        ] {
            let error = text.parse::<Ports>().unwrap_err();
            assert!(error.contains("65535"), "{text}: {error}");
        }
        assert!(
            "1,".repeat(600)
                .parse::<Ports>()
                .unwrap_err()
                .contains("1000")
        );
    }

    #[test]
    fn a_run_takes_all_ports_if_they_are_few_and_otherwise_the_first_of_one_protocol() {
        let check = |tcp: &str, udp: &str, sizes: (u32, u32), expected: [&str; 4]| {
            let set = |text: &str| PortSet::listed(text).unwrap_or_default();
            let all = PortSets {
                tcp: set(tcp),
                udp: set(udp),
            };
            let (first, rest) = all.split(sizes.0, sizes.1);
            let words = [&first.tcp, &first.udp, &rest.tcp, &rest.udp];
            assert_eq!(words.map(ToString::to_string), expected, "{tcp} {udp}");
            assert_eq!(all.without(&first), rest);
            if let Some(place) = rest.first() {
                assert_eq!(all.starting_at(place), Some(rest));
            }
        };
        check("22,80", "53", (2, 1), ["22,80", "53", "", ""]);
        check("22,80", "53", (1, 1), ["22", "", "80", "53"]);
        check("22", "53,161", (1, 1), ["22", "", "", "53,161"]);
        check("", "53,161", (1, 1), ["", "53", "", "161"]);
        check("1-65535", "", (1000, 1), ["1-1000", "", "1001-65535", ""]);
        check("1-5,9-12", "", (7, 1), ["1-5,9-10", "", "11-12", ""]);
        check("1-5", "", (0, 0), ["1", "", "2-5", ""]);
        check("1-65535", "", (70_000, 1), ["1-65535", "", "", ""]);
    }

    proptest! {
        #[test]
        fn a_set_is_written_as_it_is_read(text in "[-0-9TU:,]{1,30}") {
            if let Ok(ports) = text.parse::<Ports>() {
                for set in [&ports.plain, &ports.tcp, &ports.udp] {
                    let written = set.to_string();
                    prop_assert!(!written.starts_with('-'));
                    if !set.is_empty() {
                        prop_assert_eq!(&written.parse::<Ports>().unwrap().plain, set);
                    }
                }
            }
        }
    }
}
