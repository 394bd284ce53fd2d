//! Sizes in bytes.

use std::fmt;
use std::str::FromStr;

use super::text::setting;

/// Most bytes of one message: 64 KiB to 512 MiB, the range between what an announcement of some
/// tools needs and what RabbitMQ can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageSize(u32);

impl MessageSize {
    const MIN: u32 = 64 << 10;
    const MAX: u32 = 512 << 20;

    /// The number of bytes.
    #[must_use]
    pub fn get(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Default for MessageSize {
    /// What RabbitMQ 4 takes without being told otherwise: 16 MiB.
    fn default() -> Self {
        Self(16 << 20)
    }
}

impl FromStr for MessageSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes: u32 = text
            .parse()
            .map_err(|_| "it is no whole number of bytes".to_owned())?;
        if !(Self::MIN..=Self::MAX).contains(&bytes) {
            return Err("the size is out of range".to_owned());
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for MessageSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

setting!(MessageSize, allowed: "65536 to 536870912 bytes");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_64_kib_at_least_and_512_mib_at_most() {
        let read = |text: &str| text.parse::<MessageSize>().map(MessageSize::get);
        assert_eq!(read("65536"), Ok(65_536));
        assert_eq!(read("536870912"), Ok(536_870_912));
        for text in ["65535", "536870913", "", "-1", "1M", "99999999999"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(MessageSize::default().get(), bus::MAX_MESSAGE_SIZE);
    }
}
