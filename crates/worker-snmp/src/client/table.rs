//! Tables: several columns read side by side.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::error::Fault;
use crate::value::Value;
use crate::{Error, Oid, mib};

/// One column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(super) name: String,
    pub(super) oid: Oid,
}

impl Column {
    /// A column by its name and object identifier, without an index.
    #[must_use]
    pub(crate) fn new(name: impl Into<String>, oid: Oid) -> Self {
        Self {
            name: name.into(),
            oid,
        }
    }

    /// Columns of a built-in table.
    ///
    /// # Errors
    /// [`Error::UnknownName`].
    pub(crate) fn named(table: &str, columns: &[&str]) -> Result<Vec<Self>, Error> {
        let unknown = |name: &str| Error::UnknownName(name.to_owned());
        let table = mib::table(table).ok_or_else(|| unknown(table))?;
        let column = |name: &&str| {
            let found = table.columns().find(|object| object.name == *name);
            let object = found.ok_or_else(|| unknown(name))?;
            Ok(Self::new(object.name, object.oid.clone()))
        };
        columns.iter().map(column).collect()
    }
}

/// Rows by index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    rows: BTreeMap<Vec<u32>, Row>,
    notes: Vec<String>,
    is_cut: bool,
    n_values: usize,
    n_bytes: usize,
}

impl Table {
    /// The rows in the order of their indexes.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&[u32], &Row)> {
        self.rows.iter().map(|(index, row)| (index.as_slice(), row))
    }

    /// The row of an index.
    #[must_use]
    pub(crate) fn row(&self, index: &[u32]) -> Option<&Row> {
        self.rows.get(index)
    }

    /// Number of rows.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What the agent did wrong on the way, so that rows or cells may be missing.
    #[must_use]
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether it was not read to its end.
    #[must_use]
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Number of values in all rows.
    #[must_use]
    pub(crate) fn n_values(&self) -> usize {
        self.n_values
    }

    /// Bytes of all values and indexes.
    pub(super) fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// Puts a value in its place.
    pub(crate) fn put(&mut self, index: &[u32], column: &str, value: Value) {
        self.n_values += 1;
        self.n_bytes += size_of_val(index) + value.size();
        self.rows
            .entry(index.to_vec())
            .or_default()
            .set(column, value);
    }

    /// Says what was wrong.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Says why it was not read to its end.
    pub(crate) fn cut(&mut self, why: impl Into<String>) {
        self.is_cut = true;
        self.note(why);
    }
}

/// The cells of a row, or objects without an index, by name. What the agent does not have is not
/// there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    cells: BTreeMap<String, Value>,
}

impl Row {
    /// A cell.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.cells.get(name).filter(|value| value.fault().is_none())
    }

    /// The names of objects that the agent failed to read, and why.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (&str, Fault)> {
        let cells = self.cells.iter();
        cells.filter_map(|(name, value)| Some((name.as_str(), value.fault()?)))
    }

    /// Whether no cell is there.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.cells.values().all(|value| value.fault().is_some())
    }

    /// A cell as text, without padding; `None` of an empty one.
    #[must_use]
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.text()
    }

    /// A cell as a number.
    #[must_use]
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.number()
    }

    /// A cell as a number that is not negative.
    #[must_use]
    pub(crate) fn unsigned(&self, name: &str) -> Option<u64> {
        self.get(name)?.unsigned()
    }

    /// A cell as bytes.
    #[must_use]
    pub(crate) fn octets(&self, name: &str) -> Option<&[u8]> {
        self.get(name)?.octets()
    }

    /// A cell as an object identifier.
    #[must_use]
    pub(crate) fn oid(&self, name: &str) -> Option<&Oid> {
        self.get(name)?.oid()
    }

    /// A cell as an IPv4 address.
    #[must_use]
    pub(crate) fn ipv4(&self, name: &str) -> Option<Ipv4Addr> {
        match self.get(name)? {
            Value::IpAddress(address) => Some(*address),
            _ => None,
        }
    }

    /// A cell of hundredths of a second.
    #[must_use]
    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        self.get(name)?.duration()
    }

    /// A cell as a MAC address, `00:1b:21:0a:0b:0c`; `None` where it has not six bytes.
    #[must_use]
    pub(crate) fn mac(&self, name: &str) -> Option<String> {
        mib::mac(self.octets(name)?)
    }

    /// A cell of a built-in enumeration by the name of its value, such as `up`; the number where
    /// the value has no name.
    #[must_use]
    pub(crate) fn label(&self, name: &str) -> Option<String> {
        let number = self.number(name)?;
        let label = mib::object(name).and_then(|object| object.label(number));
        Some(label.map_or_else(|| number.to_string(), str::to_owned))
    }

    pub(super) fn set(&mut self, name: &str, value: Value) {
        if !value.is_absent() {
            self.cells.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::client::Version;
    use crate::client::scripted::{Agent, reader, text};
    use crate::error::Status;
    use crate::value::Value;

    /// Three interfaces, the second without a name, and something behind the table.
    fn interfaces(version: Version) -> Agent {
        let entry = "1.3.6.1.2.1.2.2.1";
        let agent = (1..=3).fold(Agent::new(version), |agent, n| {
            agent
                .with(&format!("{entry}.1.{n}"), Value::Integer(n))
                .with(&format!("{entry}.8.{n}"), Value::Integer(2 - n % 2))
        });
        agent
            .with(&format!("{entry}.2.1"), text("lo"))
            .with(&format!("{entry}.2.3"), text("eth0"))
            .with("1.3.6.1.2.1.4.1.0", Value::Integer(1))
    }

    const COLUMNS: [&str; 4] = ["ifIndex", "ifDescr", "ifOperStatus", "ifSpeed"];

    #[tokio::test]
    async fn rows_are_by_index_and_cells_by_name() {
        for version in [Version::V1, Version::V2c] {
            let table = reader(interfaces(version)).table("ifTable", &COLUMNS).await;
            let table = table.unwrap();
            assert_eq!(table.len(), 3, "{version}: {table:?}");
            assert_eq!(table.row(&[1]).unwrap().text("ifDescr").unwrap(), "lo");
            let second = table.row(&[2]).unwrap();
            assert_eq!(second.text("ifDescr"), None);
            assert_eq!(second.label("ifOperStatus").unwrap(), "down");
            assert_eq!(second.get("ifSpeed"), None);
            assert_eq!(table.row(&[3]).unwrap().text("ifDescr").unwrap(), "eth0");
            assert!(table.notes().is_empty(), "{:?}", table.notes());
        }
    }

    #[tokio::test]
    async fn a_table_that_is_not_there_has_no_rows() {
        for version in [Version::V1, Version::V2c] {
            let table = reader(interfaces(version));
            let table = table
                .table("hrStorageTable", &["hrStorageDescr"])
                .await
                .unwrap();
            assert!(table.is_empty());
        }
    }

    #[tokio::test]
    async fn an_agent_that_cannot_answer_much_gives_the_same_table() {
        let whole = reader(interfaces(Version::V2c))
            .table("ifTable", &COLUMNS)
            .await;
        let whole = whole.unwrap();
        for most in [0, 1, 2, 4] {
            for status in [Status::TooBig, Status::GenErr] {
                let agent = interfaces(Version::V2c).bears(most, status);
                let table = reader(agent).table("ifTable", &COLUMNS).await.unwrap();
                assert_eq!(table, whole, "{status} above {most}");
            }
            let agent = interfaces(Version::V2c).silent_above(most);
            let table = reader(agent).table("ifTable", &COLUMNS).await.unwrap();
            assert_eq!(table, whole, "silent above {most}");
        }
    }

    #[tokio::test]
    async fn what_was_too_much_of_many_columns_is_not_too_much_of_one() {
        let entry = "1.3.6.1.2.1.2.2.1";
        let agent = (1..=8).fold(Agent::new(Version::V2c), |agent, column| {
            (1..=50).fold(agent, |agent, n| {
                agent.with(&format!("{entry}.{column}.{n}"), Value::Integer(n))
            })
        });
        let agent = agent.bears_values(30, Status::TooBig);
        let asked = agent.asked();
        let reader = reader(agent);
        let names = [
            "ifIndex",
            "ifDescr",
            "ifType",
            "ifMtu",
            "ifSpeed",
            "ifPhysAddress",
            "ifAdminStatus",
            "ifOperStatus",
        ];
        let table = reader.table("ifTable", &names).await.unwrap();
        assert_eq!(table.len(), 50);
        let before = asked.repetitions();
        assert_eq!(before.iter().filter(|n| **n > 3).count(), 1, "{before:?}");
        reader.table("ifTable", &["ifIndex"]).await.unwrap();
        let after = asked.repetitions().split_off(before.len());
        assert!(after.iter().all(|n| *n == 24), "{after:?}");
    }

    #[tokio::test]
    async fn a_broken_column_does_not_take_the_others_with_it() {
        let agent = interfaces(Version::V2c).breaks_at("1.3.6.1.2.1.2.2.1.2.1");
        let table = reader(agent).table("ifTable", &COLUMNS).await.unwrap();
        assert_eq!(table.len(), 3);
        assert_eq!(table.row(&[1]).unwrap().text("ifDescr"), None);
        assert_eq!(table.row(&[1]).unwrap().number("ifIndex"), Some(1));
        let is_named = |note: &String| note.starts_with("ifDescr: ");
        assert!(table.notes().iter().any(is_named), "{:?}", table.notes());
    }

    #[tokio::test]
    async fn a_column_in_circles_ends_with_a_note() {
        let entry = "1.3.6.1.2.1.2.2.1";
        let from = format!("{entry}.1.3");
        let agent = interfaces(Version::V2c).circles_from(&from, &format!("{entry}.1.1"));
        let table = reader(agent).table("ifTable", &COLUMNS).await.unwrap();
        assert_eq!(table.len(), 3);
        assert!(table.notes()[0].contains("does not increase"));
    }
}
