use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::table::{self, Column, Row, Table};
use super::{Client, Version, Walk};
use crate::mib;
use crate::value::{Value, VarBind};
use crate::{Error, Oid};

/// Objects in one GET or GETNEXT: what agents with buffers of 1,500 bytes can answer.
const OBJECTS: usize = 16;
/// Values that one GETBULK begins with: so many short ones fit into a datagram without fragments.
const VALUES: u32 = 48;
/// Most repetitions of one GETBULK: of a single column as many values are wanted.
const REPETITIONS: u32 = 40;

/// Asks one agent for as much as is wanted, in as much as it bears at a time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    client: Arc<dyn Client>,
    learnt: Arc<Learnt>,
}

/// What became known of the agent on the way.
#[derive(Debug)]
struct Learnt {
    /// Values that it bears in one answer, of however many columns; 0 where it bears no GETBULK.
    values: AtomicU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    These,
    Next,
}

impl Reader {
    /// A reader that knows nothing of its agent yet.
    #[must_use]
    pub fn new(client: Arc<dyn Client>) -> Self {
        let values = match client.version() {
            Version::V1 => 0,
            Version::V2c | Version::V3 => VALUES,
        };
        let learnt = Learnt {
            values: AtomicU32::new(values),
        };
        Self {
            client,
            learnt: Arc::new(learnt),
        }
    }

    /// Whom it asks.
    #[must_use]
    pub fn agent(&self) -> SocketAddr {
        self.client.agent()
    }

    /// Values of any number of objects, in their order; absent ones are so by their value.
    ///
    /// # Errors
    /// See [`Error`]: the agent does not answer, or cannot answer for a single object.
    pub async fn get(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        self.ask(Ask::These, oids).await
    }

    /// For each of any number of objects the next one, in their order.
    ///
    /// # Errors
    /// As of [`Reader::get`].
    pub async fn get_next(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        self.ask(Ask::Next, oids).await
    }

    /// Everything below `root`, a batch at a time.
    #[must_use]
    pub fn walk(&self, root: Oid) -> Walk {
        Walk::new(self.clone(), root)
    }

    /// Everything below `root` from the object that follows `position`, which is in it.
    #[must_use]
    pub fn walk_from(&self, root: Oid, position: Oid) -> Walk {
        Walk::from(self.clone(), root, position)
    }

    /// Columns of a built-in table by name, rows by index. A table that the agent does not have
    /// has no rows.
    ///
    /// # Errors
    /// [`Error::UnknownName`], or as of [`Reader::get`].
    pub async fn table(&self, name: &str, columns: &[&str]) -> Result<Table, Error> {
        let table = mib::table(name).ok_or_else(|| Error::UnknownName(name.to_owned()))?;
        let columns: Result<Vec<Column>, Error> = columns
            .iter()
            .map(|column| {
                let found = table.columns().find(|object| object.name == *column);
                let object = found.ok_or_else(|| Error::UnknownName((*column).to_owned()))?;
                Ok(Column::new(object.name, object.oid.clone()))
            })
            .collect();
        table::read(self, columns?).await
    }

    /// Columns of any table, by their names and object identifiers.
    ///
    /// # Errors
    /// As of [`Reader::get`].
    pub async fn columns(&self, columns: Vec<Column>) -> Result<Table, Error> {
        table::read(self, columns).await
    }

    /// Objects without an index, by name: `sysName` stands for `sysName.0`.
    ///
    /// # Errors
    /// [`Error::UnknownName`], or as of [`Reader::get`].
    pub async fn scalars(&self, names: &[&str]) -> Result<Row, Error> {
        let objects: Result<Vec<_>, Error> = names
            .iter()
            .map(|name| mib::object(name).ok_or_else(|| Error::UnknownName((*name).to_owned())))
            .collect();
        let objects = objects?;
        let oids: Vec<Oid> = objects.iter().map(|object| object.oid.join(&[0])).collect();
        let values = self.get(&oids).await?;
        let mut row = Row::default();
        for (object, varbind) in objects.iter().zip(values) {
            row.set(object.name, varbind.value);
        }
        Ok(row)
    }

    /// Asks in pieces, and in smaller ones where the agent says that it is too much, down to
    /// single objects.
    async fn ask(&self, ask: Ask, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        let mut answers = Vec::with_capacity(oids.len());
        let mut waiting: Vec<&[Oid]> = oids.chunks(OBJECTS).rev().collect();
        while let Some(piece) = waiting.pop() {
            let answer = match ask {
                Ask::These => self.client.get(piece).await,
                Ask::Next => self.client.get_next(piece).await,
            };
            match (answer, piece) {
                (Ok(values), _) => answers.extend(values),
                (Err(error), [oid]) if error.is_no_such_name() => answers.push(absent(ask, oid)),
                (Err(error), [_, _, ..]) if error.is_too_much() || error.is_no_such_name() => {
                    let (first, rest) = piece.split_at(piece.len() / 2);
                    waiting.extend([rest, first]);
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// For each of these the next objects, by one GETBULK with as many repetitions as the agent is
    /// known to bear; by GETNEXT where it bears none.
    pub(super) async fn many(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        let n_oids = u32::try_from(oids.len()).unwrap_or(u32::MAX).max(1);
        loop {
            let repetitions = (self.values() / n_oids).min(REPETITIONS);
            if repetitions == 0 {
                return self.get_next(oids).await;
            }
            let n_values = repetitions.saturating_mul(n_oids);
            match self.client.get_bulk(oids, repetitions).await {
                Err(error) if error.is_too_much() => self.learn(n_values / 2),
                Err(silence @ Error::Timeout { .. }) => {
                    return self.few(oids, n_values, silence).await;
                }
                answer => return answer,
            }
        }
    }

    /// After silence to a request of many: the answer may have been lost in fragments, and whether
    /// it was, a small request tells. Each try costs all its timeouts, so the steps are large.
    async fn few(
        &self,
        oids: &[Oid],
        n_values: u32,
        silence: Error,
    ) -> Result<Vec<VarBind>, Error> {
        match self.get_next(oids).await {
            Err(Error::Timeout { .. }) => Err(silence),
            answer => {
                self.learn(n_values / 8);
                answer
            }
        }
    }

    /// How many values the agent is known to bear in one answer.
    pub(super) fn values(&self) -> u32 {
        self.learnt.values.load(Ordering::Relaxed)
    }

    /// Forgets what was learnt since: it was not the number that was at fault.
    pub(super) fn forgive(&self, values: u32) {
        self.learnt.values.store(values, Ordering::Relaxed);
    }

    fn learn(&self, values: u32) {
        self.learnt.values.fetch_min(values, Ordering::Relaxed);
    }
}

fn absent(ask: Ask, oid: &Oid) -> VarBind {
    let value = match ask {
        Ask::These => Value::NoSuchInstance,
        Ask::Next => Value::EndOfMibView,
    };
    VarBind {
        oid: oid.clone(),
        value,
    }
}
