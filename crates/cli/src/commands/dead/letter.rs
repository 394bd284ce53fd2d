use std::collections::HashMap;

use bus::{Delivery, Error, Message};
use protocol::headers::{self, dead};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A dead letter.
#[derive(Debug, Default)]
pub(super) struct Letter {
    pub(super) message: Message,
    /// Where the broker holds it: once, or more often if a worker wrote it and ended before it
    /// could settle the call.
    copies: Vec<Delivery>,
}

impl Letter {
    #[cfg(test)]
    pub(super) fn of(message: Message) -> Self {
        let copies = Vec::new();
        Self { message, copies }
    }

    /// Letters of deliveries in their order; copies are put to the first one with their ID.
    pub(super) fn of_all(deliveries: Vec<Delivery>) -> Vec<Self> {
        let mut letters: Vec<Self> = Vec::with_capacity(deliveries.len());
        let mut places = HashMap::new();
        for delivery in deliveries {
            let id = delivery.message.message_id.clone();
            let place = id.map_or(letters.len(), |id| {
                *places.entry(id).or_insert(letters.len())
            });
            match letters.get_mut(place) {
                Some(letter) => letter.copies.push(delivery),
                None => letters.push(Self {
                    message: delivery.message.clone(),
                    copies: vec![delivery],
                }),
            }
        }
        letters
    }

    /// What it is called; empty where whoever wrote it gave it no message id.
    pub(super) fn id(&self) -> &str {
        self.message.message_id.as_deref().unwrap_or_default()
    }

    /// A header that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.message.headers.text(name)
    }

    /// A header that is a number.
    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.message.headers.int(name)
    }

    /// The header that is a truth value.
    pub(super) fn is_at_most_once(&self) -> Option<bool> {
        let mut headers = self.message.headers.iter();
        let (_, value) = headers.find(|(name, _)| *name == dead::AT_MOST_ONCE)?;
        match value {
            bus::Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// What the request was about: a tool, a prompt, a URI.
    pub(super) fn name(&self) -> &str {
        self.text(headers::NAME).unwrap_or_default()
    }

    pub(super) fn category(&self) -> &str {
        self.text(dead::CATEGORY).unwrap_or_default()
    }

    /// When it was written, as RFC 3339 has it.
    pub(super) fn time(&self) -> Option<String> {
        moment(self.int(dead::TIME)?)
    }

    pub(super) fn deadline(&self) -> Option<String> {
        moment(self.int(headers::DEADLINE)?)
    }

    /// The trace of the request, of the second part of its `traceparent` (W3C Trace Context
    /// section 3.2.2).
    pub(super) fn trace_id(&self) -> Option<&str> {
        self.text(headers::TRACEPARENT)?.split('-').nth(1)
    }

    pub(super) fn n_copies(&self) -> usize {
        self.copies.len()
    }

    /// Removes it from the queue.
    pub(super) async fn remove(&self) -> Result<(), Error> {
        for copy in &self.copies {
            copy.ack().await?;
        }
        Ok(())
    }

    /// All that is known of it, but for its request.
    pub(super) fn json(&self) -> Value {
        json!({
            "id": self.id(),
            "reason": self.text(dead::REASON),
            "time": self.time(),
            "method": self.text(headers::METHOD),
            "name": self.text(headers::NAME),
            "category": self.text(dead::CATEGORY),
            "deliveries": self.int(dead::DELIVERIES),
            "firstError": self.text(dead::FIRST_ERROR),
            "lastError": self.text(dead::LAST_ERROR),
            "worker": {
                "instance": self.text(headers::INSTANCE),
                "site": self.text(dead::SITE),
                "version": self.text(dead::VERSION),
            },
            "traceId": self.trace_id(),
            "correlationId": self.message.correlation_id,
            "sender": self.message.app_id,
            "deadline": self.deadline(),
            "timeoutMs": self.int(dead::TIMEOUT),
            "atMostOnce": self.is_at_most_once(),
            "exchange": self.text(dead::EXCHANGE),
            "routingKey": self.text(dead::ROUTING_KEY),
            "replayOf": self.text(dead::REPLAY_OF),
            "copies": self.n_copies(),
            "requestBytes": self.message.body.len(),
        })
    }

    /// The request, as text where it is no JSON.
    pub(super) fn request(&self) -> Value {
        let body = &self.message.body;
        serde_json::from_slice(body)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(body).into_owned()))
    }
}

fn moment(unix_ms: i64) -> Option<String> {
    let nanoseconds = i128::from(unix_ms) * 1_000_000;
    let moment = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?;
    moment.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339_has_them() {
        let check = |unix_ms: i64, expected: Option<&str>| {
            assert_eq!(moment(unix_ms).as_deref(), expected);
        };
        check(0, Some("1970-01-01T00:00:00Z"));
        check(1_769_860_800_123, Some("2026-01-31T12:00:00.123Z"));
        check(i64::MAX, None);
        check(i64::MIN, None);
    }

    #[test]
    fn a_letter_without_headers_is_one_of_which_nothing_is_known() {
        let letter = Letter::of(Message {
            body: "no JSON".into(),
            ..Message::default()
        });
        assert_eq!(
            (letter.id(), letter.name(), letter.category()),
            ("", "", "")
        );
        assert_eq!(letter.json()["deliveries"], Value::Null);
        assert_eq!(letter.request(), "no JSON");
    }
}
