use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::table::{self, Column, Row, Table};
use super::{Client, Version, Walk};
use crate::mib;
use crate::value::{Value, VarBind};
use crate::{Error, Oid};

/// Objects in one GET or GETNEXT: what agents with buffers of 1,500 bytes can answer.
const OBJECTS: usize = 16;
/// Repetitions that a walk begins with: 40 short values fit into one datagram without fragments.
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
    /// Repetitions that it bears; 0 where it bears no GETBULK.
    repetitions: AtomicU32,
    has_answered: AtomicBool,
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
        let repetitions = match client.version() {
            Version::V1 => 0,
            Version::V2c | Version::V3 => REPETITIONS,
        };
        let learnt = Learnt {
            repetitions: AtomicU32::new(repetitions),
            has_answered: AtomicBool::new(false),
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
                (Ok(values), _) => {
                    self.answered();
                    answers.extend(values);
                }
                (Err(error), [oid]) if error.is_no_such_name() => {
                    self.answered();
                    answers.push(absent(ask, oid));
                }
                (Err(error), [_, _, ..]) if error.is_too_much() || error.is_no_such_name() => {
                    self.answered();
                    let (first, rest) = piece.split_at(piece.len() / 2);
                    waiting.extend([rest, first]);
                }
                (Err(error), _) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// One GETBULK, with as many repetitions as the agent is known to bear but at most `most`;
    /// GETNEXT where it bears none.
    pub(super) async fn many(&self, oids: &[Oid], most: u32) -> Result<Vec<VarBind>, Error> {
        loop {
            let borne = self.repetitions();
            if borne == 0 {
                return self.get_next(oids).await;
            }
            let repetitions = borne.min(most).max(1);
            let error = match self.client.get_bulk(oids, repetitions).await {
                Ok(values) => {
                    self.answered();
                    return Ok(values);
                }
                Err(error) => error,
            };
            let less = match error {
                _ if error.is_too_much() => repetitions / 2,
                // A request of many that is not answered while others are: its answer may have
                // been lost in fragments. Each try costs all its timeouts, so the steps are large.
                Error::Timeout { .. } if repetitions > 1 && self.has_answered() => repetitions / 8,
                _ => return Err(error),
            };
            self.learnt.repetitions.fetch_min(less, Ordering::Relaxed);
        }
    }

    /// How many repetitions the agent is known to bear.
    pub(super) fn repetitions(&self) -> u32 {
        self.learnt.repetitions.load(Ordering::Relaxed)
    }

    /// Forgets what was learnt since: it was not the number that was at fault.
    pub(super) fn forgive(&self, repetitions: u32) {
        self.learnt
            .repetitions
            .store(repetitions, Ordering::Relaxed);
    }

    fn answered(&self) {
        self.learnt.has_answered.store(true, Ordering::Relaxed);
    }

    fn has_answered(&self) -> bool {
        self.learnt.has_answered.load(Ordering::Relaxed)
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
