use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;

use crate::Oid;
use crate::error::Fault;

/// What an agent says under an object identifier, typed as on the wire (RFC 2578, section 7.1;
/// RFC 3416, section 2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A signed number; enumerations are such.
    Integer(i32),
    /// Bytes: text, an address, bits; only the object's definition knows.
    Octets(Bytes),
    /// Nothing.
    Null,
    /// An object identifier.
    Oid(Oid),
    /// An IPv4 address.
    IpAddress(Ipv4Addr),
    /// A number that grows and begins again at 0 after 2^32 - 1.
    Counter32(u32),
    /// A number that grows and falls.
    Gauge32(u32),
    /// Hundredths of a second.
    TimeTicks(u32),
    /// Anything, wrapped once more.
    Opaque(Bytes),
    /// A number that grows and begins again at 0 after 2^64 - 1.
    Counter64(u64),
    /// The agent knows no such object.
    NoSuchObject,
    /// The agent knows the object, and not this instance of it.
    NoSuchInstance,
    /// Nothing follows.
    EndOfMibView,
    /// There is no value: the agent was asked for this object alone, and failed.
    Failed(Fault),
    /// A type that is not among these, by its tag.
    Other(u8, Bytes),
}

impl Value {
    /// The type as the specification calls it.
    #[must_use]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Integer(_) => "INTEGER",
            Self::Octets(_) => "OCTET STRING",
            Self::Null => "NULL",
            Self::Oid(_) => "OBJECT IDENTIFIER",
            Self::IpAddress(_) => "IpAddress",
            Self::Counter32(_) => "Counter32",
            Self::Gauge32(_) => "Gauge32",
            Self::TimeTicks(_) => "TimeTicks",
            Self::Opaque(_) => "Opaque",
            Self::Counter64(_) => "Counter64",
            Self::NoSuchObject => "noSuchObject",
            Self::NoSuchInstance => "noSuchInstance",
            Self::EndOfMibView => "endOfMibView",
            Self::Failed(fault) => fault.kind(),
            Self::Other(..) => "unknown",
        }
    }

    /// Whether the agent says that there is nothing.
    #[must_use]
    pub(crate) fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::NoSuchObject | Self::NoSuchInstance | Self::EndOfMibView
        )
    }

    /// Why there is no value, where the agent failed.
    #[must_use]
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self {
            Self::Failed(fault) => Some(*fault),
            _ => None,
        }
    }

    /// Bytes that hold it, the type left out.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Octets(bytes) | Self::Opaque(bytes) | Self::Other(_, bytes) => bytes.len(),
            Self::Oid(oid) => size_of_val(oid.arcs()),
            _ => size_of::<u64>(),
        }
    }

    /// A number of any type.
    #[must_use]
    pub(crate) fn number(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some((*number).into()),
            _ => self.unsigned().and_then(|number| number.try_into().ok()),
        }
    }

    /// A number that is not negative, of any type.
    #[must_use]
    pub(crate) fn unsigned(&self) -> Option<u64> {
        match self {
            Self::Integer(number) => u64::try_from(*number).ok(),
            Self::Counter32(number) | Self::Gauge32(number) | Self::TimeTicks(number) => {
                Some((*number).into())
            }
            Self::Counter64(number) => Some(*number),
            _ => None,
        }
    }

    /// Bytes of any meaning.
    #[must_use]
    pub(crate) fn octets(&self) -> Option<&[u8]> {
        match self {
            Self::Octets(bytes) | Self::Opaque(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Bytes as text: UTF-8, or else Latin-1, without what agents pad with at the end. `None` of
    /// an empty one.
    #[must_use]
    pub(crate) fn text(&self) -> Option<String> {
        let bytes = self.octets()?;
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        };
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A time that the agent counts in hundredths of a second.
    #[must_use]
    pub(crate) fn duration(&self) -> Option<Duration> {
        let hundredths = self.unsigned()?;
        Some(Duration::from_millis(hundredths.saturating_mul(10)))
    }

    /// An object identifier.
    #[must_use]
    pub(crate) fn oid(&self) -> Option<&Oid> {
        match self {
            Self::Oid(oid) => Some(oid),
            _ => None,
        }
    }
}

/// One value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VarBind {
    /// Where.
    pub(crate) oid: Oid,
    /// What.
    pub(crate) value: Value,
}

impl VarBind {
    /// Bytes that hold it.
    pub(crate) fn size(&self) -> usize {
        size_of_val(self.oid.arcs()) + self.value.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_without_the_padding_of_agents() {
        let check = |bytes: &'static [u8], expected: Option<&str>| {
            let text = Value::Octets(Bytes::from_static(bytes)).text();
            assert_eq!(text.as_deref(), expected, "{bytes:?}");
        };
        check(b"eth0", Some("eth0"));
        check(b" eth0 \0\0", Some("eth0"));
        check("Zürich".as_bytes(), Some("Zürich"));
        check(b"Z\xfcrich", Some("Zürich"));
        check(b"", None);
        check(b"\0", None);
    }

    #[test]
    fn numbers_are_read_from_every_type_of_number() {
        assert_eq!(Value::Integer(-1).number(), Some(-1));
        assert_eq!(Value::Integer(-1).unsigned(), None);
        assert_eq!(Value::Counter64(u64::MAX).unsigned(), Some(u64::MAX));
        assert_eq!(Value::Counter64(u64::MAX).number(), None);
        assert_eq!(Value::Null.number(), None);
        let ticks = Value::TimeTicks(150);
        assert_eq!(ticks.duration(), Some(Duration::from_millis(1500)));
    }
}
