use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::table::{Column, Row, Table};
use super::{Client, Columns, Version, Walk};
use crate::error::{Fault, Status};
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
pub(crate) struct Reader {
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
    pub(crate) fn new(client: Arc<dyn Client>) -> Self {
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
    pub(crate) fn agent(&self) -> SocketAddr {
        self.client.agent()
    }

    /// Values of any number of objects, in their order. Absent ones are so by their value, and so
    /// are those that the agent fails to read.
    ///
    /// # Errors
    /// See [`Error`]: the agent does not answer, or refuses the credentials.
    pub(crate) async fn get(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        self.ask(Ask::These, oids).await
    }

    /// For each of any number of objects the next one, in their order.
    ///
    /// # Errors
    /// As of [`Reader::get`].
    pub(crate) async fn get_next(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        self.ask(Ask::Next, oids).await
    }

    /// Everything below `root`, a batch at a time.
    #[must_use]
    pub(crate) fn walk(&self, root: Oid) -> Walk {
        Walk::new(self.clone(), root)
    }

    /// Everything below `root` from the object that follows `position`, which is in it.
    #[must_use]
    pub(crate) fn walk_from(&self, root: Oid, position: Oid) -> Walk {
        Walk::from(self.clone(), root, position)
    }

    /// Columns of a built-in table by name, rows by index. A table that the agent does not have
    /// has no rows.
    ///
    /// # Errors
    /// [`Error::UnknownName`], or as of [`Reader::get`].
    pub(crate) async fn table(&self, name: &str, columns: &[&str]) -> Result<Table, Error> {
        let mut columns = self.columns(Column::named(name, columns)?);
        while columns.next().await?.is_some() {}
        Ok(columns.into_table())
    }

    /// Columns of any table, by their names and object identifiers, a batch of rows at a time.
    #[must_use]
    pub(crate) fn columns(&self, columns: Vec<Column>) -> Columns {
        Columns::new(self.clone(), columns)
    }

    /// Objects without an index, by name: `sysName` stands for `sysName.0`. Those that the agent
    /// fails to read are [`Row::failed`].
    ///
    /// # Errors
    /// [`Error::UnknownName`], or as of [`Reader::get`].
    pub(crate) async fn scalars(&self, names: &[&str]) -> Result<Row, Error> {
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

    /// Asks in pieces, and in smaller ones where the agent says that it is too much or gives what
    /// was not asked for, down to single objects.
    async fn ask(&self, ask: Ask, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        let mut answers = Vec::with_capacity(oids.len());
        let mut waiting: Vec<&[Oid]> = oids.chunks(OBJECTS).rev().collect();
        while let Some(piece) = waiting.pop() {
            let answer = match ask {
                Ask::These => self.client.get(piece).await,
                Ask::Next => self.client.get_next(piece).await,
            };
            let fault = match answer {
                Ok(values) => match ask.fitting(piece, values) {
                    Some(values) => {
                        answers.extend(values);
                        continue;
                    }
                    None => Fault::Unfit,
                },
                Err(Error::Refused { status, .. }) if status.may_be_of_one_object() => {
                    status.into()
                }
                Err(error) => return Err(error),
            };
            if let [oid] = piece {
                answers.push(ask.without(oid, fault));
            } else {
                let (first, rest) = piece.split_at(piece.len() / 2);
                waiting.extend([rest, first]);
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

impl Ask {
    /// The values of an answer in the order of what was asked for; `None` where it is not that.
    /// What follows an object, nobody but the agent knows.
    fn fitting(self, asked: &[Oid], values: Vec<VarBind>) -> Option<Vec<VarBind>> {
        if self == Self::Next {
            return (values.len() == asked.len()).then_some(values);
        }
        if asked.iter().eq(values.iter().map(|value| &value.oid)) {
            return Some(values);
        }
        let of = |oid: &Oid| values.iter().find(|value| value.oid == *oid).cloned();
        asked.iter().map(of).collect()
    }

    /// What stands for the value of an object that there is none of.
    fn without(self, oid: &Oid, fault: Fault) -> VarBind {
        let value = match (self, fault) {
            // What later versions say by a value, SNMP v1 says by this status.
            (Self::These, Fault::Status(Status::NoSuchName)) => Value::NoSuchInstance,
            (Self::Next, Fault::Status(Status::NoSuchName)) => Value::EndOfMibView,
            (_, fault) => Value::Failed(fault),
        };
        VarBind {
            oid: oid.clone(),
            value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::scripted::{Agent, reader, text};

    const SYSTEM: [&str; 4] = ["sysDescr", "sysContact", "sysName", "sysLocation"];

    fn agent(version: Version) -> Agent {
        Agent::new(version)
            .with("1.3.6.1.2.1.1.1.0", text("descr"))
            .with("1.3.6.1.2.1.1.4.0", text("contact"))
            .with("1.3.6.1.2.1.1.5.0", text("name"))
            .with("1.3.6.1.2.1.1.6.0", text("location"))
    }

    /// The texts that are read, and the objects whose reading fails.
    async fn system(agent: Agent) -> (Vec<Option<String>>, Vec<(String, Fault)>) {
        let row = reader(agent).scalars(&SYSTEM).await.unwrap();
        let failed = row.failed().map(|(name, fault)| (name.to_owned(), fault));
        (SYSTEM.map(|name| row.text(name)).to_vec(), failed.collect())
    }

    fn texts(texts: [&str; 4]) -> Vec<Option<String>> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        texts.map(text).to_vec()
    }

    #[tokio::test]
    async fn values_are_those_of_their_objects_whatever_their_order() {
        let whole = texts(["descr", "contact", "name", "location"]);
        let reversed = agent(Version::V2c).distorts(|values| values.into_iter().rev().collect());
        assert_eq!(system(reversed).await, (whole.clone(), Vec::new()));
        let repeated = agent(Version::V2c).distorts(|mut values| {
            if let [first, second, ..] = values.as_mut_slice() {
                *second = first.clone();
            }
            values
        });
        assert_eq!(system(repeated).await, (whole.clone(), Vec::new()));
        let shortened = agent(Version::V2c).distorts(|mut values| {
            values.truncate(1);
            values
        });
        assert_eq!(system(shortened).await, (whole, Vec::new()));
    }

    #[tokio::test]
    async fn a_value_of_another_object_is_none() {
        let astray = agent(Version::V2c).distorts(|mut values| {
            let contact: Oid = "1.3.6.1.2.1.1.4.0".parse().unwrap();
            let name = values
                .iter_mut()
                .find(|it| it.oid.arcs().ends_with(&[5, 0]));
            if let Some(name) = name {
                name.oid = contact;
            }
            values
        });
        let (found, failed) = system(astray).await;
        assert_eq!(found, texts(["descr", "contact", "", "location"]));
        assert_eq!(failed, [("sysName".to_owned(), Fault::Unfit)]);
    }

    #[tokio::test]
    async fn an_object_that_fails_does_not_take_the_others_with_it() {
        for version in [Version::V1, Version::V2c] {
            let broken = || agent(version).breaks_at("1.3.6.1.2.1.1.5.0");
            let (found, failed) = system(broken()).await;
            assert_eq!(found, texts(["descr", "contact", "", "location"]));
            let fault = Fault::Status(Status::GenErr);
            assert_eq!(failed, [("sysName".to_owned(), fault)]);
            let before = [
                "1.3.6.1.2.1.1.1.0",
                "1.3.6.1.2.1.1.4.0",
                "1.3.6.1.2.1.1.5.0",
            ];
            let before = before.map(|oid| oid.parse().unwrap());
            let next = reader(broken()).get_next(&before).await.unwrap();
            let values: Vec<Value> = next.into_iter().map(|it| it.value).collect();
            let expected = [text("contact"), Value::Failed(fault), text("location")];
            assert_eq!(values, expected, "{version}");
        }
    }
}
