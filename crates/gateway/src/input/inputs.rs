use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use protocol::json;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::peers::Peers;
use crate::session::Session;

/// Message to the replica that asked: its client has answered here.
const ANSWERED: &str = "opendiscovery/input/answered";
/// Most requests to clients that wait for their answers.
const MAX_PENDING: usize = 16_384;
/// Most of them to one client.
pub(super) const MAX_OF_SESSION: usize = 64;
/// Longest name of an instance, in bytes.
const MAX_INSTANCE: usize = 100;

/// The requests to clients that wait for their answers; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    peers: Peers,
    /// How long a client may take for its answers.
    pub(super) patience: Duration,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    by_id: HashMap<Uuid, Waiter>,
    of_session: HashMap<Uuid, usize>,
}

#[derive(Debug)]
struct Waiter {
    session: Uuid,
    /// Which of those that were asked together it is.
    index: usize,
    answers: mpsc::Sender<(usize, Bytes)>,
}

/// Requests to one client that were asked together; forgotten when this is dropped.
#[derive(Debug)]
pub(super) struct Expected {
    inputs: Inputs,
    ids: Vec<Uuid>,
    answers: mpsc::Receiver<(usize, Bytes)>,
}

/// Too many requests to clients wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

#[derive(Debug, Serialize, Deserialize)]
struct Answered<'a> {
    session: String,
    id: String,
    #[serde(borrow)]
    message: &'a RawValue,
}

impl Inputs {
    /// Clients may take for their answers as long as their sessions may be idle.
    pub(crate) fn new(peers: Peers, session_ttl: Duration) -> Self {
        Self {
            peers,
            patience: session_ttl,
            waiting: Arc::default(),
        }
    }

    /// Takes a JSON-RPC response of a client; false when it answers nothing that was asked of
    /// this session, or nothing any more.
    ///
    /// What another replica asked is handed over to it; whether it still waits is not known
    /// then.
    pub(crate) async fn answered(&self, session: &Session, id: &RawValue, message: &Bytes) -> bool {
        let Some(text) = json::as_string(id) else {
            return false;
        };
        let Some((instance, id)) = address(&text) else {
            return false;
        };
        if instance == self.peers.instance() {
            return self.deliver(session.id(), id, message.clone());
        }
        let Ok(message) = serde_json::from_slice(message) else {
            return false;
        };
        let answered = Answered {
            session: session.id().to_string(),
            id: id.to_string(),
            message,
        };
        self.peers.send(instance, ANSWERED, &answered).await.is_ok()
    }

    /// Takes what another replica has to say: a client that was asked here answered there.
    pub(crate) fn heard(&self, sender: &str, method: &str, params: &RawValue) {
        let answered = match serde_json::from_str::<Answered<'_>>(params.get()) {
            Ok(answered) if method == ANSWERED => answered,
            Ok(_) => return debug!(sender, method, "a message on input is not known here"),
            Err(error) => return warn!(sender, method, %error, "a message on input is malformed"),
        };
        let (Ok(session), Ok(id)) = (
            Uuid::try_parse(&answered.session),
            Uuid::try_parse(&answered.id),
        ) else {
            return warn!(sender, method, "a message on input names no request");
        };
        let message = Bytes::copy_from_slice(answered.message.get().as_bytes());
        if !self.deliver(session, id, message) {
            debug!(sender, "an answer came that nothing waits for any more");
        }
    }

    /// Makes room for the answers to `n_requests` requests to one client.
    ///
    /// # Errors
    /// [`Full`] when the client, or all clients together, have too many to answer.
    pub(super) fn expect(&self, session: Uuid, n_requests: usize) -> Result<Expected, Full> {
        let mut waiting = self.lock();
        let of_session = waiting.of_session.get(&session).copied().unwrap_or(0) + n_requests;
        if of_session > MAX_OF_SESSION || waiting.by_id.len() + n_requests > MAX_PENDING {
            return Err(Full);
        }
        // Each request is answered once, so an answer always finds room.
        let (sender, answers) = mpsc::channel(n_requests.max(1));
        let ids: Vec<Uuid> = (0..n_requests).map(|_| Uuid::new_v4()).collect();
        for (index, id) in ids.iter().enumerate() {
            let waiter = Waiter {
                session,
                index,
                answers: sender.clone(),
            };
            waiting.by_id.insert(*id, waiter);
        }
        if n_requests > 0 {
            waiting.of_session.insert(session, of_session);
        }
        drop(waiting);
        Ok(Expected {
            inputs: self.clone(),
            ids,
            answers,
        })
    }

    /// Requests that wait for their answers.
    pub(crate) fn pending(&self) -> usize {
        let waiting = self.lock();
        debug_assert_eq!(
            waiting.by_id.len(),
            waiting.of_session.values().sum::<usize>()
        );
        waiting.by_id.len()
    }

    /// Gives an answer to who waits for it, if that is the session it was asked of.
    fn deliver(&self, session: Uuid, id: Uuid, message: Bytes) -> bool {
        let mut waiting = self.lock();
        if waiting
            .by_id
            .get(&id)
            .is_none_or(|waiter| waiter.session != session)
        {
            return false;
        }
        let waiter = waiting.forget(id);
        drop(waiting);
        waiter.is_some_and(|waiter| waiter.answers.try_send((waiter.index, message)).is_ok())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn forget(&mut self, id: Uuid) -> Option<Waiter> {
        let waiter = self.by_id.remove(&id)?;
        if let Some(count) = self.of_session.get_mut(&waiter.session) {
            *count -= 1;
            if *count == 0 {
                self.of_session.remove(&waiter.session);
            }
        }
        Some(waiter)
    }
}

impl Expected {
    /// The JSON-RPC identifiers, as JSON text. They name this replica, so that each one knows
    /// where an answer belongs.
    pub(super) fn ids(&self) -> impl Iterator<Item = String> {
        let instance = self.inputs.peers.instance();
        self.ids
            .iter()
            .map(move |id| format!("\"{instance}:{}\"", id.simple()))
    }

    /// The next answer, with the place that its request has among [`Expected::ids`]. Cancel
    /// safe.
    pub(super) async fn next(&mut self) -> Option<(usize, Bytes)> {
        self.answers.recv().await
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        let mut waiting = self.inputs.lock();
        for id in &self.ids {
            waiting.forget(*id);
        }
    }
}

/// The instance and the request that an identifier names; `None` when it was not made here.
fn address(id: &str) -> Option<(&str, Uuid)> {
    let (instance, id) = id.split_once(':')?;
    // It becomes part of a routing key.
    let is_name = (1..=MAX_INSTANCE).contains(&instance.len())
        && instance
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    Some((instance, Uuid::try_parse(id).ok()?)).filter(|_| is_name)
}

#[cfg(test)]
mod tests {
    use crate::gateway::Gateway;
    use crate::session::session_for_test;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    async fn answer(inputs: &Inputs, session: &Session, id: &str) -> bool {
        let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        inputs.answered(session, &raw(id), &message.into()).await
    }

    #[tokio::test]
    async fn an_answer_reaches_who_asked_once_and_only_from_the_session_that_was_asked() {
        let inputs = Gateway::for_test().inputs.clone();
        let (session, other) = (session_for_test(), session_for_test());
        let mut expected = inputs.expect(session.id(), 2).unwrap();
        let ids: Vec<String> = expected.ids().collect();
        assert!(!answer(&inputs, &other, &ids[1]).await);
        assert!(answer(&inputs, &session, &ids[1]).await);
        assert!(!answer(&inputs, &session, &ids[1]).await);
        let (index, message) = expected.next().await.unwrap();
        assert_eq!(index, 1);
        assert!(message.ends_with(b"\"result\":{}}"));
        assert_eq!(inputs.pending(), 1);
        drop(expected);
        assert_eq!(inputs.pending(), 0);
        assert!(!answer(&inputs, &session, &ids[0]).await);
    }

    #[tokio::test]
    async fn an_identifier_that_was_not_made_here_answers_nothing() {
        let inputs = Gateway::for_test().inputs.clone();
        let session = session_for_test();
        let _expected = inputs.expect(session.id(), 1).unwrap();
        let id = Uuid::new_v4();
        for id in [
            "1".to_owned(),
            "\"\"".to_owned(),
            "\"test\"".to_owned(),
            "\"test:\"".to_owned(),
            format!("\"{id}\""),
            format!("\"test:{id}\""),
            format!("\"gateways.#:{id}\""),
            format!("\"{}:{id}\"", "g".repeat(101)),
        ] {
            assert!(!answer(&inputs, &session, &id).await, "{id}");
        }
        assert_eq!(inputs.pending(), 1);
    }

    #[test]
    fn what_another_replica_heard_is_delivered_as_if_it_came_here() {
        let inputs = Gateway::for_test().inputs.clone();
        let session = Uuid::new_v4();
        let expected = inputs.expect(session, 1).unwrap();
        let id = expected.ids[0];
        let message = raw(r#"{"jsonrpc":"2.0","id":"x","result":{ "n":1.0 }}"#);
        for (session, is_taken) in [(Uuid::new_v4(), false), (session, true)] {
            let params = Answered {
                session: session.to_string(),
                id: id.to_string(),
                message: &message,
            };
            let params = raw(&serde_json::to_string(&params).unwrap());
            inputs.heard("peer", ANSWERED, &params);
            assert_eq!(inputs.pending() == 0, is_taken);
        }
        inputs.heard("peer", ANSWERED, &raw("{}"));
        let mut expected = expected;
        let (_, delivered) = expected.answers.try_recv().unwrap();
        assert_eq!(delivered, message.get());
    }

    #[test]
    fn requests_to_one_client_are_bounded_and_so_are_all() {
        let inputs = Gateway::for_test().inputs.clone();
        let session = Uuid::new_v4();
        let first = inputs.expect(session, MAX_OF_SESSION).unwrap();
        assert_eq!(inputs.expect(session, 1).unwrap_err(), Full);
        drop(first);
        let _again = inputs.expect(session, MAX_OF_SESSION).unwrap();
        let all: Vec<_> = (1..MAX_PENDING / MAX_OF_SESSION)
            .map(|_| inputs.expect(Uuid::new_v4(), MAX_OF_SESSION).unwrap())
            .collect();
        assert_eq!(inputs.expect(Uuid::new_v4(), 1).unwrap_err(), Full);
        drop(all);
        assert_eq!(inputs.pending(), MAX_OF_SESSION);
    }
}
