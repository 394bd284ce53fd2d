//! Values as tools give them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value as Json;

use crate::mib;
use crate::value::{Value, VarBind};

/// One value that an agent gave.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Reading {
    /// Object identifier.
    pub(crate) oid: String,
    /// Name and index, such as `IF-MIB::ifDescr.3`; absent where the built-in MIBs have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(flatten)]
    pub(crate) cell: Cell,
}

/// The value itself.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Cell {
    /// Type on the wire: INTEGER, OCTET STRING, OBJECT IDENTIFIER, `IpAddress`, Counter32, Gauge32,
    /// `TimeTicks`, Counter64, Opaque, NULL; or noSuchObject, noSuchInstance, endOfMibView where the
    /// agent has nothing; or genErr, tooBig, errorStatus, unfitAnswer where it failed to read this
    /// one object.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// The value as it is: a number; text; bytes that are not text as `0x` and hexadecimal digits;
    /// null where there is nothing.
    #[schemars(schema_with = "raw_schema")]
    pub(crate) raw: Json,
    /// The value in words: names of enumerations, times, addresses, units.
    pub(crate) display: String,
}

impl From<&VarBind> for Reading {
    fn from(VarBind { oid, value }: &VarBind) -> Self {
        let found = mib::lookup(oid);
        Self {
            oid: oid.to_string(),
            name: found.and_then(|(object, rest)| object.name_with(rest)),
            cell: Cell::new(found.map(|(object, _)| object), value),
        }
    }
}

impl Cell {
    /// A value of an object, where that is known.
    pub(crate) fn new(object: Option<&mib::Object>, value: &Value) -> Self {
        Self {
            kind: value.kind(),
            raw: mib::raw(object, value),
            display: mib::display(object, value),
        }
    }
}

impl Reading {
    /// The name, or the number of one that has none.
    pub(crate) fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.oid)
    }
}

fn raw_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["integer", "string", "null"] })
}
