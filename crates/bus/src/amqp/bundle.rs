//! Several final replies to one queue in one message.
//!
//! The broker's work is by the message, hardly by the byte. What is ready while earlier replies to
//! the same queue are unconfirmed leaves together when one of them is: nothing waits when there is
//! little to do, and the more there is to do the fewer messages it takes.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use protocol::headers;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::warn;

use super::encoding::Outgoing;
use super::in_flight::Done;
use crate::{Headers, Message, Publish, PublishError};

/// Messages to one queue that may be unconfirmed before others wait to share one.
const WINDOW: usize = 2;
/// Most replies in a bundle.
const MAX_PARTS: usize = 64;
/// Most bytes of a bundle, where the broker takes as many; what is larger travels alone.
const MAX_BYTES: usize = 48 << 10;
/// Most bytes of a reply in a bundle beside its body, its correlation id and its type: the names
/// of its members and a sequence number, with some to spare.
const HEAD: usize = 80;

/// Who waits for the confirmation of one message.
pub(super) enum Waiters {
    One(Done),
    All(Vec<Done>),
}

impl Waiters {
    /// Whoever does not wait any more need not know.
    pub(super) fn tell(self, result: Result<(), PublishError>) {
        match self {
            Self::One(done) => drop(done.send(result)),
            Self::All(all) => {
                for done in all {
                    let _ = done.send(result.clone());
                }
            }
        }
    }
}

/// Held while a message of a lane is unconfirmed.
pub(super) type Turn = Arc<()>;

/// What waits to share a message, by where it goes: exchange and routing key.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: HashMap<(String, String), Lane>,
    waiting: usize,
}

#[derive(Default)]
struct Lane {
    turn: Turn,
    waiting: VecDeque<(Publish, Done)>,
}

impl Lanes {
    /// Messages that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    pub(super) fn add(&mut self, publish: Publish, done: Done) {
        let to = (publish.exchange.clone(), publish.routing_key.clone());
        let lane = self.lanes.entry(to).or_default();
        lane.waiting.push_back((publish, done));
        self.waiting += 1;
    }

    /// The next message that may leave; no bundle has more bytes than `limit`.
    pub(super) fn next(&mut self, limit: usize) -> Option<(Publish, Waiters, Turn)> {
        if self.waiting == 0 {
            return None;
        }
        let may_leave = |lane: &&mut Lane| !lane.waiting.is_empty() && lane.unconfirmed() < WINDOW;
        let lane = self.lanes.values_mut().find(may_leave)?;
        let (publish, waiters) = lane.take(limit)?;
        let turn = Arc::clone(&lane.turn);
        self.waiting -= match &waiters {
            Waiters::One(_) => 1,
            Waiters::All(all) => all.len(),
        };
        Some((publish, waiters, turn))
    }

    /// Forgets where nothing goes any more; reply queues come and go.
    pub(super) fn forget_idle(&mut self) {
        if self.lanes.len() > self.waiting {
            self.lanes
                .retain(|_, lane| !lane.waiting.is_empty() || lane.unconfirmed() > 0);
        }
    }

    pub(super) fn into_waiting(self) -> impl Iterator<Item = Done> {
        let lanes = self.lanes.into_values();
        lanes.flat_map(|lane| lane.waiting.into_iter().map(|(_, done)| done))
    }
}

impl Lane {
    fn unconfirmed(&self) -> usize {
        Arc::strong_count(&self.turn) - 1
    }

    /// As many as one message may hold, at least one.
    fn take(&mut self, limit: usize) -> Option<(Publish, Waiters)> {
        let mut bytes = 0;
        let n_parts = self
            .waiting
            .iter()
            .take(MAX_PARTS)
            .take_while(|(publish, _)| {
                bytes += size(&publish.message);
                bytes <= MAX_BYTES.min(limit)
            });
        let n_parts = n_parts.count().max(1);
        let mut taken = self.waiting.drain(..n_parts);
        let (first, done) = taken.next()?;
        let (rest, mut all): (Vec<_>, Vec<_>) = taken.unzip();
        if rest.is_empty() {
            return Some((first, Waiters::One(done)));
        }
        all.push(done);
        Some((bundle(first, &rest), Waiters::All(all)))
    }
}

/// Most bytes that a reply takes in a bundle.
fn size(message: &Message) -> usize {
    // What JSON escapes becomes six bytes at most.
    let text = |text: &str| {
        let is_escaped = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
        text.len() + 5 * text.bytes().filter(is_escaped).count()
    };
    let id = message.correlation_id.as_deref().map_or(0, text);
    let kind = message.kind.as_deref().map_or(0, text);
    HEAD + id + kind + message.body.len()
}

/// Whether a message is one that a bundle can say all of.
pub(super) fn may_share(outgoing: &Outgoing) -> bool {
    let message = &outgoing.publish.message;
    outgoing.publish.may_share
        && !outgoing.is_compressed
        && message.body.len() <= MAX_BYTES
        && message.headers.is_true(headers::FINAL)
        && message.correlation_id.is_some()
        && message.kind.is_some()
}

/// A reply as it stands in a bundle, read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    correlation_id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    seq: i64,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// What stands before the body.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    correlation_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    seq: i64,
}

/// One message for replies to the same queue; its bodies are JSON.
fn bundle(first: Publish, rest: &[Publish]) -> Publish {
    let mut body = vec![b'['];
    for Publish { message, .. } in std::iter::once(&first).chain(rest) {
        let head = Head {
            correlation_id: message.correlation_id.as_deref().unwrap_or_default(),
            kind: message.kind.as_deref().unwrap_or_default(),
            seq: message.headers.int(headers::SEQ).unwrap_or_default(),
        };
        if body.len() > 1 {
            body.push(b',');
        }
        // Writing to memory cannot fail.
        let _ = serde_json::to_writer(&mut body, &head);
        // The body becomes its last member.
        body.pop();
        body.extend_from_slice(br#","body":"#);
        body.extend_from_slice(&message.body);
        body.push(b'}');
    }
    body.push(b']');
    let Publish { message, .. } = &first;
    let version = message.headers.text(headers::PROTOCOL_VERSION);
    let message = Message {
        kind: Some(headers::kind::BUNDLE.to_owned()),
        // Tells it from other bundles when it is returned.
        correlation_id: message.correlation_id.clone(),
        app_id: message.app_id.clone(),
        headers: Headers::default().with_some(headers::PROTOCOL_VERSION, version),
        body: body.into(),
        ..Message::default()
    };
    Publish { message, ..first }
}

/// The replies in a bundle; any other message is the only one.
pub(super) fn unbundle(message: Message) -> Vec<Message> {
    if message.kind.as_deref() != Some(headers::kind::BUNDLE) {
        return vec![message];
    }
    let parts: Vec<Part<'_>> = match serde_json::from_slice(&message.body) {
        Ok(parts) => parts,
        Err(error) => {
            let app_id = message.app_id;
            warn!(%error, app_id, "a bundle of replies that cannot be read was dropped");
            return Vec::new();
        }
    };
    let version = message.headers.text(headers::PROTOCOL_VERSION);
    let parts = parts.into_iter().map(|part| Message {
        kind: Some(part.kind.into_owned()),
        correlation_id: Some(part.correlation_id.into_owned()),
        app_id: message.app_id.clone(),
        headers: Headers::default()
            .with_some(headers::PROTOCOL_VERSION, version)
            .with(headers::SEQ, part.seq)
            .with(headers::FINAL, true),
        body: message.body.slice_ref(part.body.get().as_bytes()),
        ..Message::default()
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::oneshot;

    use super::*;

    type Result = oneshot::Receiver<std::result::Result<(), PublishError>>;

    fn reply(id: &str, body: &str) -> Publish {
        let message = Message {
            kind: Some(headers::kind::RESPONSE.to_owned()),
            correlation_id: Some(id.to_owned()),
            app_id: Some("w".to_owned()),
            headers: Headers::default()
                .with(headers::PROTOCOL_VERSION, "2026-07-28")
                .with(headers::SEQ, 3)
                .with(headers::FINAL, true),
            body: Bytes::from(body.to_owned()),
            ..Message::default()
        };
        Publish {
            may_share: true,
            ..Publish::to_queue("q", message)
        }
    }

    fn add(lanes: &mut Lanes, publish: Publish) -> Result {
        let (done, result) = oneshot::channel();
        lanes.add(publish, done);
        result
    }

    fn next(lanes: &mut Lanes) -> Option<(Publish, Waiters, Turn)> {
        lanes.next(usize::MAX)
    }

    fn n_parts((publish, _, _): &(Publish, Waiters, Turn)) -> usize {
        unbundle(publish.message.clone()).len()
    }

    #[test]
    fn what_is_bundled_comes_out_as_it_was() {
        let replies = [
            reply("a", r#"{"b":"\u00e4 ]}"}"#),
            reply("\"ä", "[1]"),
            reply("c", "2"),
        ];
        let bundled = bundle(replies[0].clone(), &replies[1..]);
        assert_eq!(bundled.routing_key, "q");
        let expected = replies.map(|publish| publish.message);
        assert_eq!(unbundle(bundled.message), expected);
        // Alone it is no bundle.
        assert_eq!(unbundle(expected[0].clone()), expected[..1]);
    }

    #[test]
    fn a_bundle_that_cannot_be_read_is_nothing() {
        for body in [
            "",
            "{}",
            "[1]",
            r#"[{"correlationId":"a","type":"response","seq":0}]"#,
        ] {
            let message = Message {
                kind: Some(headers::kind::BUNDLE.to_owned()),
                body: Bytes::from_static(body.as_bytes()),
                ..Message::default()
            };
            assert_eq!(unbundle(message), []);
        }
    }

    #[tokio::test]
    async fn replies_wait_for_earlier_ones_to_their_queue_and_leave_together() {
        let mut lanes = Lanes::default();
        let mut results = Vec::new();
        let mut turns = Vec::new();
        for id in ["1", "2"] {
            results.push(add(&mut lanes, reply(id, "0")));
            let next = next(&mut lanes).unwrap();
            assert_eq!(n_parts(&next), 1, "nothing is before it");
            turns.push(next);
        }
        for id in ["3", "4", "5"] {
            results.push(add(&mut lanes, reply(id, "0")));
            assert!(next(&mut lanes).is_none());
        }
        let other = Publish {
            routing_key: "other".to_owned(),
            ..reply("6", "0")
        };
        let _other = add(&mut lanes, other);
        assert_eq!(next(&mut lanes).unwrap().0.routing_key, "other");
        let (_, waiters, turn) = turns.remove(0);
        waiters.tell(Ok(()));
        drop(turn);
        let together = next(&mut lanes).unwrap();
        assert_eq!((n_parts(&together), lanes.len()), (3, 0));
        together.1.tell(Err(PublishError::Lost));
        assert_eq!(results.remove(0).await.unwrap().ok(), Some(()));
        for result in results.drain(1..) {
            assert!(matches!(result.await.unwrap(), Err(PublishError::Lost)));
        }
    }

    #[test]
    fn a_bundle_has_bounds() {
        let mut lanes = Lanes::default();
        let large = format!("{:?}", "x".repeat(MAX_BYTES / 2 - 100));
        let mut kept: Vec<_> = [&large, &large, &large, "1"]
            .map(|body| add(&mut lanes, reply("a", body)))
            .into();
        assert_eq!(n_parts(&next(&mut lanes).unwrap()), 2);
        kept.extend((0..MAX_PARTS).map(|_| add(&mut lanes, reply("b", "0"))));
        assert_eq!(n_parts(&next(&mut lanes).unwrap()), MAX_PARTS);
        assert_eq!(lanes.len(), 2);
        let huge = format!("{:?}", "x".repeat(MAX_BYTES));
        let may_share = |body: &str, is_compressed| {
            let publish = reply("a", body);
            may_share(&Outgoing {
                publish,
                is_compressed,
            })
        };
        assert!(may_share(&large, false));
        assert!(!may_share(&large, true));
        assert!(!may_share(&huge, false));
    }

    #[test]
    fn a_bundle_is_never_larger_than_what_the_broker_takes() {
        for id in ["a", "\"\u{1}\\ä", &"\u{1f}".repeat(255)] {
            let mut lanes = Lanes::default();
            let add_one = |_| {
                let mut publish = reply(id, "0");
                publish.message.headers.insert(headers::SEQ, i64::MIN);
                add(&mut lanes, publish)
            };
            let replies: Vec<_> = (0..40).map(add_one).collect();
            let mut left = replies.len();
            while let Some((publish, waiters, _)) = lanes.next(4000) {
                let parts = unbundle(publish.message.clone()).len();
                assert!(
                    publish.message.body.len() <= 4000,
                    "{}",
                    publish.message.body.len()
                );
                assert!(parts > 1 || left == 1, "{id:?}");
                left -= parts;
                waiters.tell(Ok(()));
            }
            assert_eq!(left, 0);
        }
        let mut lanes = Lanes::default();
        let _alone = ["b", "c"].map(|id| add(&mut lanes, reply(id, "0")));
        let first = lanes.next(10).unwrap();
        assert_eq!(n_parts(&first), 1, "it is not for a bundle to refuse it");
    }

    #[test]
    fn queues_that_are_gone_are_forgotten() {
        let mut lanes = Lanes::default();
        for number in 0..100 {
            let publish = Publish {
                routing_key: number.to_string(),
                ..reply("a", "0")
            };
            let _result = add(&mut lanes, publish);
            let _sent = next(&mut lanes).unwrap();
            lanes.forget_idle();
        }
        assert!(lanes.lanes.len() <= 1);
    }
}
