//! Between our types and the library's.

use async_snmp as library;

use crate::Oid;
use crate::value::{Value, VarBind};

/// A value as we have it.
pub(crate) fn from_library(varbind: library::VarBind) -> VarBind {
    VarBind {
        oid: oid_from_library(&varbind.oid),
        value: value(varbind.value),
    }
}

/// An object identifier as we have it.
pub(crate) fn oid_from_library(oid: &library::Oid) -> Oid {
    oid.arcs().into()
}

/// An object identifier as the library has it.
pub(crate) fn oid_to_library(oid: &Oid) -> library::Oid {
    library::Oid::from_slice(oid.arcs())
}

fn value(value: library::Value) -> Value {
    match value {
        library::Value::Integer(number) => Value::Integer(number),
        library::Value::OctetString(bytes) | library::Value::Nsap(bytes) => Value::Octets(bytes),
        library::Value::ObjectIdentifier(oid) => Value::Oid(oid_from_library(&oid)),
        library::Value::IpAddress(octets) => Value::IpAddress(octets.into()),
        library::Value::Counter32(number) => Value::Counter32(number),
        library::Value::Gauge32(number) | library::Value::UInteger32(number) => {
            Value::Gauge32(number)
        }
        library::Value::TimeTicks(number) => Value::TimeTicks(number),
        library::Value::Opaque(bytes) => Value::Opaque(bytes),
        library::Value::Counter64(number) => Value::Counter64(number),
        library::Value::NoSuchObject => Value::NoSuchObject,
        library::Value::NoSuchInstance => Value::NoSuchInstance,
        library::Value::EndOfMibView => Value::EndOfMibView,
        library::Value::Unknown { tag, data } => Value::Other(tag, data),
        // NULL; and what the library may learn beyond the specification.
        _ => Value::Null,
    }
}
