//! Names of the standard MIBs and of some makers', built in.
//!
//! It is *not* a MIB compiler: `names/*.txt` holds what operators read most, in a form of our
//! own; what it does not hold has its number for a name. To add objects, add lines there.

mod display;
mod parse;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::LazyLock;

use crate::Oid;
use crate::client::Index;

pub(crate) use display::{date_and_time, mac};
pub(crate) use display::{display, hex, raw};

const FILES: [&str; 5] = [
    include_str!("names/system.txt"),
    include_str!("names/network.txt"),
    include_str!("names/layer2.txt"),
    include_str!("names/host.txt"),
    include_str!("names/vendor.txt"),
];

/// How the values of an object are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// As its type says.
    Plain,
    /// Text.
    Text,
    /// Bytes of no other meaning.
    Hex,
    /// A MAC address.
    Mac,
    /// An IP address in bytes.
    Inet,
    /// Text, a MAC address or bytes: another object says which.
    Identifier,
    /// `DateAndTime` of RFC 2579.
    Date,
    /// 1 is true, 2 is false.
    Truth,
    /// A number with a fraction, wrapped in an `Opaque`.
    Float,
    /// A number in this unit.
    Units(&'static str),
    /// Numbers with names.
    Enum(Vec<(i64, &'static str)>),
    /// Bits with names, the first one being the highest of the first byte.
    Bits(Vec<(i64, &'static str)>),
    /// A secret of the agent, never shown.
    Hidden,
}

/// What stands at an object identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// A place in the tree, or what values of type OBJECT IDENTIFIER point at.
    Node,
    /// An object without an index.
    Scalar,
    /// A table; the object identifier is that of its entry.
    Table(Vec<IndexPart>),
    /// A column, with the object identifier of its table's entry.
    Column(Oid),
}

/// One part of the index of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexPart {
    pub(crate) name: &'static str,
    pub(crate) kind: IndexKind,
}

/// How a part of an index is written in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IndexKind {
    Number,
    Ipv4,
    Mac,
    /// An address after its length; its type is the part before.
    Inet,
}

/// A known object identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) oid: Oid,
    pub(crate) form: Form,
    pub(crate) role: Role,
}

impl Object {
    /// The name of a value of an enumeration.
    pub(crate) fn label(&self, number: i64) -> Option<&'static str> {
        let names = match &self.form {
            Form::Enum(names) => names.as_slice(),
            Form::Truth => &[(1, "true"), (2, "false")],
            _ => return None,
        };
        let found = names.iter().find(|(value, _)| *value == number);
        found.map(|(_, name)| *name)
    }

    /// The full name of what follows it by these numbers; `None` where it is only a root.
    pub(crate) fn name_with(&self, rest: &[u32]) -> Option<String> {
        if self.role == Role::Node && !rest.is_empty() {
            return None;
        }
        let mut name = [self.module, "::", self.name].concat();
        for arc in rest {
            // Writing to a String cannot fail.
            let _ = write!(name, ".{arc}");
        }
        Some(name)
    }

    /// The parts of the index of a table; none of what is no table.
    pub(crate) fn index(&self) -> &[IndexPart] {
        match &self.role {
            Role::Table(parts) => parts,
            _ => &[],
        }
    }

    /// The columns of a table, in their order.
    pub(crate) fn columns(&'static self) -> impl Iterator<Item = &'static Self> {
        let below = REGISTRY.by_oid.range(self.oid.clone()..);
        below
            .map(|(_, object)| object)
            .take_while(|object| object.oid.is_in(&self.oid))
            .filter(|object| matches!(&object.role, Role::Column(entry) if *entry == self.oid))
    }
}

/// Everything that is built in.
#[derive(Debug, Default)]
struct Registry {
    by_oid: BTreeMap<Oid, Object>,
    by_name: HashMap<&'static str, Oid>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry::default();
    // A line that cannot be read is left out; a test makes sure that there is none.
    for object in FILES.iter().flat_map(|file| parse::objects(file)).flatten() {
        registry.by_name.insert(object.name, object.oid.clone());
        registry.by_oid.insert(object.oid.clone(), object);
    }
    registry
});

/// The object of this name.
pub(crate) fn object(name: &str) -> Option<&'static Object> {
    REGISTRY.by_oid.get(REGISTRY.by_name.get(name)?)
}

/// The table of this name.
pub(crate) fn table(name: &str) -> Option<&'static Object> {
    object(name).filter(|object| matches!(object.role, Role::Table(_)))
}

/// The table whose entry this is, or that stands right above it.
pub(crate) fn table_at(oid: &Oid) -> Option<&'static Object> {
    let is_table = |object: &&Object| matches!(object.role, Role::Table(_));
    let entry = || REGISTRY.by_oid.get(&oid.join(&[1]));
    let found = REGISTRY.by_oid.get(oid).filter(is_table);
    found.or_else(|| entry().filter(is_table))
}

/// The known object that an object identifier lies in, and what follows.
pub(crate) fn lookup(oid: &Oid) -> Option<(&'static Object, &[u32])> {
    let mut above = oid.arcs();
    loop {
        let up_to = (Bound::Unbounded, Bound::Included(above));
        let (_, object) = REGISTRY.by_oid.range::<[u32], _>(up_to).next_back()?;
        if let Some(rest) = oid.after(&object.oid) {
            return Some((object, rest));
        }
        // Whatever is above both stands before the first number in which they differ.
        let arcs = object.oid.arcs().iter();
        let n_common = arcs.zip(above).take_while(|(a, b)| a == b).count();
        above = &above[..n_common];
    }
}

/// The name of an object identifier: `IF-MIB::ifDescr.3`. `None` where only a root such as
/// `enterprises` is known of it.
pub(crate) fn name(oid: &Oid) -> Option<String> {
    let (object, rest) = lookup(oid)?;
    object.name_with(rest)
}

/// The name of an object identifier, or its numbers.
pub(crate) fn name_or_number(oid: &Oid) -> String {
    name(oid).unwrap_or_else(|| oid.to_string())
}

/// The parts of an index by name, as far as they can be read.
pub(crate) fn index_parts(parts: &[IndexPart], index: &[u32]) -> BTreeMap<String, String> {
    let mut index = Index::new(index);
    let mut named = BTreeMap::new();
    for part in parts {
        let text = match part.kind {
            IndexKind::Number => index.number().map(|number| number.to_string()),
            IndexKind::Ipv4 => index.ipv4().map(|address| address.to_string()),
            IndexKind::Mac => index.mac(),
            IndexKind::Inet => index.counted_octets().map(|octets| {
                let address = Index::address(&octets).map(|address| address.to_string());
                address.unwrap_or_else(|| format!("{octets:02x?}"))
            }),
        };
        let Some(text) = text else {
            break;
        };
        named.insert(part.name.to_owned(), text);
    }
    named
}

/// Reads `1.3.6.1.2.1.1.5.0`, `sysName.0`, `SNMPv2-MIB::sysName.0` or a name alone.
pub(crate) fn resolve(text: &str) -> Result<Oid, String> {
    if text.starts_with(|c: char| c == '.' || c.is_ascii_digit()) {
        return text.parse().map_err(str::to_owned);
    }
    let (module, local) = match text.split_once("::") {
        Some((module, local)) => (Some(module), local),
        None => (None, text),
    };
    let (name, rest) = match local.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (local, None),
    };
    let found = object(name).filter(|object| module.is_none_or(|it| it == object.module));
    let Some(object) = found else {
        return Err("it is no name of a built-in MIB; give the numbers".to_owned());
    };
    let Some(rest) = rest else {
        return Ok(match object.role {
            // The table itself, one above its entry.
            Role::Table(_) => {
                let arcs = object.oid.arcs();
                arcs[..arcs.len() - 1].into()
            }
            _ => object.oid.clone(),
        });
    };
    let joined = object.oid.join_text(rest);
    joined.map_err(|why| format!("with what follows the name {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(text: &str) -> Oid {
        text.parse().unwrap()
    }

    #[test]
    fn every_line_of_names_can_be_read() {
        let mut names = HashMap::new();
        let mut oids = HashMap::new();
        for object in FILES.iter().flat_map(|file| parse::objects(file)) {
            let object = object.unwrap();
            assert_eq!(names.insert(object.name, object.oid.clone()), None);
            let other = oids.insert(object.oid.clone(), object.name);
            assert_eq!(other, None, "{}", object.name);
        }
        assert!(names.len() > 400, "{}", names.len());
    }

    #[test]
    fn names_are_found_both_ways() {
        let check = |text: &str, expected: &str, name_of: Option<&str>| {
            let resolved = resolve(text).unwrap();
            assert_eq!(resolved, oid(expected), "{text}");
            assert_eq!(name(&resolved).as_deref(), name_of, "{text}");
        };
        check(
            "sysName.0",
            "1.3.6.1.2.1.1.5.0",
            Some("SNMPv2-MIB::sysName.0"),
        );
        check(
            "IF-MIB::ifDescr.3",
            "1.3.6.1.2.1.2.2.1.2.3",
            Some("IF-MIB::ifDescr.3"),
        );
        check("ifTable", "1.3.6.1.2.1.2.2", None);
        check(
            "lldpRemSysName",
            "1.0.8802.1.1.2.1.4.1.1.9",
            Some("LLDP-MIB::lldpRemSysName"),
        );
        check("1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.1", None);
        for text in [
            "",
            "nothing",
            "IP-MIB::ifDescr",
            "ifDescr.x",
            "ifDescr.",
            "ifDescr.+1",
            &format!("sysName{}", ".1".repeat(200)),
            "-Oq",
            "1.3.x",
        ] {
            assert!(resolve(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_an_object_identifier_lies_in_is_the_deepest_that_is_known() {
        let all: Vec<&Oid> = REGISTRY.by_oid.keys().collect();
        let deepest = |oid: &Oid| {
            let above = all.iter().filter(|it| oid.is_in(it));
            above
                .max_by_key(|it| it.arcs().len())
                .map(|it| (*it).clone())
        };
        let found = |oid: &Oid| {
            let (object, rest) = lookup(oid)?;
            assert_eq!(&object.oid.join(rest), oid);
            Some(object.oid.clone())
        };
        for known in &all {
            // Itself, what is below it, beside it, above it, and behind all that is below it.
            let (last, above) = known.arcs().split_last().unwrap();
            let above = Oid::from(above);
            for oid in [
                known.join(&[]),
                known.join(&[0]),
                known.join(&[u32::MAX, 7]),
                above.join(&[last.wrapping_add(1), 3]),
                above.join(&[last.wrapping_sub(1)]),
                above,
            ] {
                assert_eq!(found(&oid), deepest(&oid), "{oid}");
            }
        }
        assert_eq!(lookup(&Oid::new(&[])), None);
        assert_eq!(lookup(&Oid::new(&[0])), None);
        assert_eq!(lookup(&Oid::new(&[2, 999])), None);
    }

    #[test]
    fn a_table_has_its_columns_and_no_others() {
        let names: Vec<_> = table("tcpListenerTable").unwrap().columns().collect();
        assert_eq!(names.len(), 1);
        let columns = table("ifTable").unwrap().columns();
        let names: Vec<_> = columns.map(|column| column.name).collect();
        assert_eq!(names.len(), 22);
        assert_eq!((names[0], names[21]), ("ifIndex", "ifSpecific"));
        for at in ["1.3.6.1.2.1.2.2", "1.3.6.1.2.1.2.2.1"] {
            assert_eq!(table_at(&oid(at)).unwrap().name, "ifTable");
        }
        assert_eq!(table_at(&oid("1.3.6.1.2.1.1")), None);
    }
}
