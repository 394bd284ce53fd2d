//! An agent of a test's own making, without a network.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Client, Reader, Version};
use crate::error::{AuthenticationFault, Status};
use crate::value::{Value, VarBind};
use crate::{Error, Oid};

/// The repetitions of every GETBULK in order; 0 of a GETNEXT.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked(Arc<Mutex<Vec<u32>>>);

impl Asked {
    pub(crate) fn repetitions(&self) -> Vec<u32> {
        self.0.lock().unwrap().clone()
    }
}

/// What the agent holds, and what it does wrong.
#[derive(Debug)]
pub(crate) struct Agent {
    version: Version,
    values: BTreeMap<Oid, Value>,
    asked: Asked,
    bears: Option<(u32, Status)>,
    bears_values: Option<(usize, Status)>,
    silent_above: Option<u32>,
    is_silent: bool,
    circle: Option<(Oid, Oid)>,
    refuses_from: Option<(Oid, AuthenticationFault)>,
    breaks_at: Option<Oid>,
    distorts: fn(Vec<VarBind>) -> Vec<VarBind>,
    stalls_after: Option<usize>,
}

/// A reader of an agent.
pub(crate) fn reader(agent: Agent) -> Reader {
    Reader::new(Arc::new(agent))
}

/// A value of text.
pub(crate) fn text(text: &'static str) -> Value {
    Value::Octets(Bytes::from_static(text.as_bytes()))
}

fn oid(text: &str) -> Oid {
    text.parse().unwrap()
}

impl Agent {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            values: BTreeMap::new(),
            asked: Asked::default(),
            bears: None,
            bears_values: None,
            silent_above: None,
            is_silent: false,
            circle: None,
            refuses_from: None,
            breaks_at: None,
            distorts: |values| values,
            stalls_after: None,
        }
    }

    pub(crate) fn with(mut self, at: &str, value: Value) -> Self {
        self.values.insert(oid(at), value);
        self
    }

    /// Answers requests of more repetitions with a status.
    pub(crate) fn bears(mut self, repetitions: u32, status: Status) -> Self {
        self.bears = Some((repetitions, status));
        self
    }

    /// Answers GETBULK requests for more values, of all columns together, with a status.
    pub(crate) fn bears_values(mut self, values: usize, status: Status) -> Self {
        self.bears_values = Some((values, status));
        self
    }

    /// Does not answer at all.
    pub(crate) fn silent(mut self) -> Self {
        self.is_silent = true;
        self
    }

    /// Does not answer requests of more repetitions.
    pub(crate) fn silent_above(mut self, repetitions: u32) -> Self {
        self.silent_above = Some(repetitions);
        self
    }

    /// Says that one object follows another, whatever their order.
    pub(crate) fn circles_from(mut self, from: &str, to: &str) -> Self {
        self.circle = Some((oid(from), oid(to)));
        self
    }

    /// Refuses whatever would come to this object or beyond.
    pub(crate) fn refuses_from(mut self, at: &str, fault: AuthenticationFault) -> Self {
        self.refuses_from = Some((oid(at), fault));
        self
    }

    /// Answers `genErr` to whatever asks for this object, or would come to it.
    pub(crate) fn breaks_at(mut self, at: &str) -> Self {
        self.breaks_at = Some(oid(at));
        self
    }

    /// Answers so many GETBULK requests, and leaves whoever asks again waiting.
    pub(crate) fn stalls_after(mut self, n_requests: usize) -> Self {
        self.stalls_after = Some(n_requests);
        self
    }

    /// Gives these values for those that a GET is to be answered with.
    pub(crate) fn distorts(mut self, distorts: fn(Vec<VarBind>) -> Vec<VarBind>) -> Self {
        self.distorts = distorts;
        self
    }

    pub(crate) fn asked(&self) -> Asked {
        self.asked.clone()
    }

    fn refused(&self, status: Status) -> Error {
        Error::Refused {
            agent: self.agent(),
            status,
            oid: None,
        }
    }

    fn silence(&self) -> Error {
        Error::Timeout {
            agent: self.agent(),
            n_asked: 2,
            waited: Duration::from_secs(10),
        }
    }

    fn next(&self, after: &Oid) -> Result<VarBind, Error> {
        let end = || VarBind {
            oid: after.clone(),
            value: Value::EndOfMibView,
        };
        let next = match &self.circle {
            Some((from, to)) if from == after => self.values.get_key_value(to),
            _ => self.values.iter().find(|(oid, _)| *oid > after),
        };
        let varbind = next.map_or_else(end, |(oid, value)| VarBind {
            oid: oid.clone(),
            value: value.clone(),
        });
        match &self.refuses_from {
            Some((from, fault)) if &varbind.oid >= from => {
                return Err(Error::Authentication {
                    agent: self.agent(),
                    fault: *fault,
                });
            }
            _ => {}
        }
        if self.breaks_at.as_ref() == Some(&varbind.oid) {
            return Err(self.refused(Status::GenErr));
        }
        match (self.version, &varbind.value) {
            (Version::V1, Value::EndOfMibView) => Err(self.refused(Status::NoSuchName)),
            _ => Ok(varbind),
        }
    }
}

#[async_trait]
impl Client for Agent {
    fn agent(&self) -> SocketAddr {
        ([127, 0, 0, 1], 161).into()
    }

    fn version(&self) -> Version {
        self.version
    }

    async fn get(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        let value = |oid: &Oid| match (self.values.get(oid), self.version) {
            _ if self.breaks_at.as_ref() == Some(oid) => Err(self.refused(Status::GenErr)),
            (Some(value), _) => Ok(value.clone()),
            (None, Version::V1) => Err(self.refused(Status::NoSuchName)),
            (None, _) => Ok(Value::NoSuchObject),
        };
        let varbind = |oid: &Oid| {
            value(oid).map(|value| VarBind {
                oid: oid.clone(),
                value,
            })
        };
        let values: Result<Vec<VarBind>, Error> = oids.iter().map(varbind).collect();
        values.map(self.distorts)
    }

    async fn get_next(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        self.asked.0.lock().unwrap().push(0);
        if self.is_silent {
            return Err(self.silence());
        }
        oids.iter().map(|oid| self.next(oid)).collect()
    }

    async fn get_bulk(&self, oids: &[Oid], max_repetitions: u32) -> Result<Vec<VarBind>, Error> {
        let n_asked = {
            let mut asked = self.asked.0.lock().unwrap();
            asked.push(max_repetitions);
            asked.len()
        };
        if self.stalls_after.is_some_and(|most| n_asked > most) {
            std::future::pending::<()>().await;
        }
        match self.bears {
            Some((most, status)) if max_repetitions > most => return Err(self.refused(status)),
            _ => {}
        }
        let n_values = oids.len() * usize::try_from(max_repetitions).unwrap();
        match self.bears_values {
            Some((most, status)) if n_values > most => return Err(self.refused(status)),
            _ => {}
        }
        if self.is_silent || self.silent_above.is_some_and(|most| max_repetitions > most) {
            return Err(self.silence());
        }
        let mut positions = oids.to_vec();
        let mut answer = Vec::new();
        for _ in 0..max_repetitions {
            for position in &mut positions {
                let next = match self.next(position) {
                    // What fits before the fault is given, as agents do.
                    Err(_) if !answer.is_empty() => return Ok(answer),
                    next => next?,
                };
                *position = next.oid.clone();
                answer.push(next);
            }
        }
        Ok(answer)
    }
}
