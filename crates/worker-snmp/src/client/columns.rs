//! Columns on their way down, some side by side.

use super::table::{Column, Table};
use super::{MOST_BYTES, Reader, too_large};
use crate::value::VarBind;
use crate::{Error, Oid};

/// Columns that are read side by side.
const COLUMNS: usize = 8;
/// Values that a table is read up to.
const MOST_VALUES: usize = 200_000;

/// Columns of a table, each read to its end, a batch of rows at a time.
#[derive(Debug)]
pub(crate) struct Columns {
    reader: Reader,
    readings: Vec<Reading>,
    table: Table,
}

/// A column on its way down.
#[derive(Debug)]
struct Reading {
    column: Column,
    position: Oid,
    is_over: bool,
}

impl Columns {
    pub(super) fn new(reader: Reader, columns: Vec<Column>) -> Self {
        Self {
            reader,
            readings: columns.into_iter().map(Reading::new).collect(),
            table: Table::default(),
        }
    }

    /// Reads on, and says how many values there are by now; `None` when nothing follows. Whoever
    /// stops waiting loses nothing that was read before.
    ///
    /// # Errors
    /// See [`Error`]; what was read before is good.
    pub(crate) async fn next(&mut self) -> Result<Option<usize>, Error> {
        let is_open = |reading: &&mut Reading| !reading.is_over;
        let groups = self.readings.chunks_mut(COLUMNS);
        let open = groups.map(|group| group.iter_mut().filter(is_open).collect::<Vec<_>>());
        let Some(mut open) = { open }.find(|open| !open.is_empty()) else {
            return Ok(None);
        };
        let values = ask(&self.reader, &open).await?;
        take(&mut open, values, &mut self.table);
        if self.table.n_values() > MOST_VALUES {
            self.cut(format!(
                "more than {MOST_VALUES} values; the rest is left out"
            ));
        } else if self.table.n_bytes() > MOST_BYTES {
            self.cut(format!("{}; the rest is left out", too_large(MOST_BYTES)));
        }
        Ok(Some(self.table.n_values()))
    }

    /// What was read.
    #[must_use]
    pub(crate) fn into_table(self) -> Table {
        self.table
    }

    fn cut(&mut self, why: String) {
        self.table.cut(why);
        for reading in &mut self.readings {
            reading.is_over = true;
        }
    }
}

/// The next values of all open columns, those of one row side by side.
async fn ask(reader: &Reader, open: &[&mut Reading]) -> Result<Vec<VarBind>, Error> {
    let positions: Vec<Oid> = open
        .iter()
        .map(|reading| reading.position.clone())
        .collect();
    let borne = reader.values();
    let values = reader.many(&positions).await?;
    if values.iter().any(|value| value.value.fault().is_some()) {
        // A column is broken, and not the number of values too large.
        reader.forgive(borne);
    }
    Ok(values)
}

fn take(open: &mut [&mut Reading], values: Vec<VarBind>, table: &mut Table) {
    if values.is_empty() {
        table.note("the agent answers nothing at all");
        for reading in open.iter_mut() {
            reading.is_over = true;
        }
        return;
    }
    let n_open = open.len();
    let mut has_moved = vec![false; n_open];
    for (n, varbind) in values.into_iter().enumerate() {
        let Some(reading) = open.get_mut(n % n_open).filter(|reading| !reading.is_over) else {
            continue;
        };
        has_moved[n % n_open] = true;
        reading.take(varbind, table);
    }
    // A column that is left out of the answer would be asked for without end.
    let is_stuck = !has_moved.iter().any(|moved| *moved);
    for reading in open.iter_mut().filter(|_| is_stuck) {
        reading.is_over = true;
    }
}

impl Reading {
    fn new(column: Column) -> Self {
        Self {
            position: column.oid.clone(),
            column,
            is_over: false,
        }
    }

    fn take(&mut self, varbind: VarBind, table: &mut Table) {
        if let Some(fault) = varbind.value.fault() {
            self.is_over = true;
            table.note(format!(
                "{}: the agent answers {fault} after {}",
                self.column.name, self.position
            ));
            return;
        }
        let index = varbind.oid.after(&self.column.oid);
        let Some(index) = index.filter(|_| !varbind.value.is_absent()) else {
            self.is_over = true;
            return;
        };
        if varbind.oid <= self.position {
            self.is_over = true;
            table.note(format!(
                "{}: the agent answers {} after {}, which does not increase",
                self.column.name, varbind.oid, self.position
            ));
            return;
        }
        table.put(index, &self.column.name, varbind.value);
        self.position = varbind.oid;
    }
}
