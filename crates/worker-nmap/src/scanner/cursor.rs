//! Where a page goes on.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::ports::{Place, Protocol, port};

/// The first address that is not done: `from-10.0.0.7`. Where some of its ports are done, also the
/// last address of which these are, and the first port that is not:
/// `from-10.0.0.7-to-10.0.0.9-tcp-1001`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) first: IpAddr,
    pub(crate) ports: Option<(IpAddr, Place)>,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from-{}", self.first)?;
        if let Some((last, (protocol, port))) = self.ports {
            write!(f, "-to-{last}-{}-{port}", protocol.as_str())?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let address = |word: &str| word.parse::<IpAddr>().map_err(drop);
        let words: Vec<&str> = text.split('-').collect();
        match words.as_slice() {
            ["from", first] => Ok(Self {
                first: address(first)?,
                ports: None,
            }),
            ["from", first, "to", last, protocol, number] => {
                let protocol = Protocol::from_nmap(protocol).ok_or(())?;
                let place = (protocol, port(number).ok_or(())?);
                Ok(Self {
                    first: address(first)?,
                    ports: Some((address(last)?, place)),
                })
            }
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        for text in [
            "from-10.0.0.7",
            "from-fd00::7",
            "from-10.0.0.7-to-10.0.0.9-tcp-1001",
            "from-fd00::7-to-fd00::9-udp-65535",
        ] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "from-",
            "10.0.0.7",
            "from-10.0.0.7-to-10.0.0.9",
            "from-10.0.0.7-to-10.0.0.9-tcp-0",
            "from-10.0.0.7-to-10.0.0.9-ip-1",
            "from-10.0.0.7-tcp-1",
        ] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
