use std::fmt;

use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use schemars::JsonSchema;
use serde::Serialize;

/// One resource record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Answer {
    /// Owner of the record, without the final dot.
    pub(super) name: String,
    /// Record type, such as `A`; `TYPE` with a number where it has no name (RFC 3597).
    #[serde(rename = "type")]
    pub(super) record_type: String,
    /// Seconds for which the record may be kept.
    pub(super) ttl: u32,
    /// What the record says, in the form of its type.
    pub(super) data: Data,
}

/// Data of a record: a text, or an object for the types with several fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(super) enum Data {
    /// A, AAAA: the address. CNAME, NS, PTR: the name, without the final dot. TXT: the text, its
    /// parts joined; bytes that are not printable stand as `\DDD`. Any other type: as it stands
    /// in a zone file.
    Text(String),
    /// MX.
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// Mail server.
        exchange: String,
    },
    /// SRV.
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share among servers of the same priority.
        weight: u16,
        /// Port of the service.
        port: u16,
        /// Host of the service; `.` means that the service is not offered.
        target: String,
    },
    /// SOA.
    Soa {
        /// Name server that the zone comes from.
        primary: String,
        /// Mailbox of the zone's administrator, its first dot in place of the `@`.
        mailbox: String,
        /// Version of the zone.
        serial: u32,
        /// Seconds after which a secondary looks for a new version.
        refresh_seconds: u32,
        /// Seconds after which it tries again.
        retry_seconds: u32,
        /// Seconds after which it stops answering.
        expire_seconds: u32,
        /// Seconds for which the absence of a name may be kept.
        negative_ttl_seconds: u32,
    },
    /// CAA.
    Caa {
        /// Whether an authority that does not know the property must refuse.
        critical: bool,
        /// Property, such as `issue`.
        property: String,
        /// Its value, such as the authority's domain.
        value: String,
    },
}

impl From<&Record> for Answer {
    fn from(record: &Record) -> Self {
        Self {
            name: shown(&record.name),
            record_type: type_name(record.record_type()),
            ttl: record.ttl,
            data: Data::from(&record.data),
        }
    }
}

impl From<&RData> for Data {
    fn from(data: &RData) -> Self {
        match data {
            RData::CNAME(name) => Self::Text(shown(&name.0)),
            RData::NS(name) => Self::Text(shown(&name.0)),
            RData::PTR(name) => Self::Text(shown(&name.0)),
            RData::TXT(text) => Self::Text(printable(&text.txt_data.concat())),
            RData::MX(mx) => Self::Mx {
                preference: mx.preference,
                exchange: shown(&mx.exchange),
            },
            RData::SRV(srv) => Self::Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: shown(&srv.target),
            },
            RData::SOA(soa) => Self::Soa {
                primary: shown(&soa.mname),
                mailbox: shown(&soa.rname),
                serial: soa.serial,
                refresh_seconds: soa.refresh.cast_unsigned(),
                retry_seconds: soa.retry.cast_unsigned(),
                expire_seconds: soa.expire.cast_unsigned(),
                negative_ttl_seconds: soa.minimum,
            },
            RData::CAA(caa) => Self::Caa {
                critical: caa.issuer_critical,
                property: caa.tag.clone(),
                value: printable(&caa.value),
            },
            other => Self::Text(other.to_string()),
        }
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Mx {
                preference,
                exchange,
            } => write!(f, "{preference} {exchange}"),
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => write!(f, "{target}:{port} (priority {priority}, weight {weight})"),
            Self::Soa {
                primary,
                mailbox,
                serial,
                ..
            } => write!(f, "{primary} {mailbox} serial {serial}"),
            Self::Caa {
                property, value, ..
            } => write!(f, "{property} {value:?}"),
        }
    }
}

/// A name as callers write hosts: no final dot, but for the root.
pub(super) fn shown(name: &Name) -> String {
    if name.is_root() {
        return ".".to_owned();
    }
    let labels: Vec<String> = name.iter().map(label).collect();
    labels.join(".")
}

/// A label in zone-file form (RFC 4343 section 2.1).
fn label(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&byte| match byte {
            b'.' | b'\\' => format!("\\{}", char::from(byte)),
            b'!'..=b'~' => char::from(byte).to_string(),
            _ => format!("\\{byte:03}"),
        })
        .collect()
}

pub(super) fn type_name(record_type: RecordType) -> String {
    match record_type {
        RecordType::Unknown(number) => format!("TYPE{number}"),
        known => known.to_string(),
    }
}

/// Text as it is where it is printable UTF-8, otherwise with `\DDD` as in a zone file
/// (RFC 1035 section 5.1), so that nothing is lost.
fn printable(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.chars().any(char::is_control)
    {
        return text.to_owned();
    }
    bytes
        .iter()
        .map(|&byte| match byte {
            b'\\' => "\\\\".to_owned(),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\{byte:03}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_of_a_text_is_lost() {
        assert_eq!(printable(b"v=spf1 -all"), "v=spf1 -all");
        assert_eq!(printable("grün".as_bytes()), "grün");
        assert_eq!(printable(b"a\\b\n\xff"), "a\\\\b\\010\\255");
    }

    #[test]
    fn a_name_is_shown_as_a_caller_writes_it() {
        assert_eq!(shown(&"example.com.".parse().unwrap()), "example.com");
        assert_eq!(shown(&Name::root()), ".");
        let labels: [&[u8]; 3] = [b"0/25", b"a.b\\ \0", b"_x"];
        let name = Name::from_labels(labels).unwrap();
        assert_eq!(shown(&name), "0/25.a\\.b\\\\\\032\\000._x");
    }

    #[test]
    fn a_type_without_a_name_is_shown_by_its_number() {
        assert_eq!(type_name(RecordType::AAAA), "AAAA");
        assert_eq!(type_name(RecordType::Unknown(65_400)), "TYPE65400");
    }
}
