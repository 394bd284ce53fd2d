//! Why calls went back to the queue, as far as the workers of a category tell each other.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bus::{Delivery, Headers, Message, Publish};
use protocol::control::{FAULT, Fault};
use protocol::{Envelope, Names, headers, response};
use tokio::time::timeout;

use super::Runtime;
use super::recent::Recent;

/// Calls whose faults are remembered.
const CAPACITY: usize = 1024;
/// How long the faults of a call are remembered.
const KEEP: Duration = Duration::from_hours(1);
/// How long telling the others may take.
const NEWS_TIME: Duration = Duration::from_secs(2);
/// Most bytes of one fault that are kept: all headers of a message must fit one frame.
const MAX_FAULT: usize = 1024;

/// The faults of the latest calls that went back, first and last by message id.
#[derive(Debug)]
pub(super) struct Faults(Mutex<Recent<Known>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    first: Fault,
    last: Fault,
}

impl Default for Faults {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(CAPACITY, KEEP)))
    }
}

impl Faults {
    /// Remembers a fault; of two at one hand-out the earlier one is the first.
    pub(super) fn remember(&self, mut fault: Fault) {
        fault
            .error
            .truncate(fault.error.floor_char_boundary(MAX_FAULT));
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = faults.entry(&fault.message_id, || Known {
            first: fault.clone(),
            last: fault.clone(),
        });
        if fault.attempt < known.first.attempt {
            known.first = fault.clone();
        }
        if fault.attempt >= known.last.attempt {
            known.last = fault;
        }
    }

    /// How the first and the last of so many hand-outs of a message ended.
    pub(super) fn of(&self, message: &Message, handed_out: u32) -> (String, String) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = id(message).and_then(|id| faults.get(id));
        let first = known.map(|known| &known.first);
        let last = known.map(|known| &known.last);
        (
            told(first.filter(|fault| fault.attempt <= 1), 1),
            told(last.filter(|fault| fault.attempt >= handed_out), handed_out),
        )
    }

    /// Remembers what another worker says on the control exchange.
    pub(super) fn hear(&self, envelope: &Envelope<'_>, instance: &str) {
        let fault = envelope.params().ok().and_then(|params| {
            let text = |key: &str| params.string(key).map(std::borrow::Cow::into_owned);
            Some(Fault {
                message_id: text("messageId")?,
                attempt: serde_json::from_str(params.get("attempt")?.get()).ok()?,
                instance: text("instance")?,
                error: text("error")?,
            })
        });
        match fault {
            Some(fault) if fault.instance != instance => self.remember(fault),
            Some(_) => {}
            None => tracing::warn!("a fault without its parameters was ignored"),
        }
    }
}

/// What a letter says of a hand-out.
fn told(fault: Option<&Fault>, attempt: u32) -> String {
    match fault {
        Some(Fault {
            attempt,
            instance,
            error,
            ..
        }) => format!("hand-out {attempt}, worker {instance}: {error}"),
        None => format!(
            "hand-out {attempt}: unknown here; a worker or its connection ended before the call \
             was answered, or nobody told why it went back"
        ),
    }
}

/// What the faults of a message are remembered by.
fn id(message: &Message) -> Option<&str> {
    message
        .message_id
        .as_deref()
        .or(message.correlation_id.as_deref())
}

/// Remembers why a call goes back, and tells the other workers of the category; whoever gets it
/// last writes the letter.
pub(super) async fn tell(runtime: &Runtime, delivery: &Delivery, error: &str) {
    let Some(message_id) = id(&delivery.message) else {
        return;
    };
    let fault = Fault {
        message_id: message_id.to_owned(),
        attempt: delivery.attempt(),
        instance: runtime.instance.clone(),
        error: error.to_owned(),
    };
    let body = response::notification(FAULT, &fault);
    runtime.faults.remember(fault);
    let Ok(body) = body else {
        return;
    };
    let message = Message {
        kind: Some(headers::kind::NOTIFICATION.to_owned()),
        app_id: Some(runtime.instance.clone()),
        headers: Headers::default().with(headers::METHOD, FAULT),
        body: body.into(),
        ..Message::default()
    };
    let key = runtime.names.faults_key(runtime.worker.category());
    let publish = Publish::broadcast(Names::CONTROL, key, message);
    // A fault that nobody hears of is unknown to the letter, and no more.
    let _ = timeout(NEWS_TIME, runtime.bus.publish(publish)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(attempt: u32, error: &str) -> Fault {
        Fault {
            message_id: "m".to_owned(),
            attempt,
            instance: "w".to_owned(),
            error: error.to_owned(),
        }
    }

    fn check(told: &[(u32, &str)], handed_out: u32, expected: (&str, &str)) {
        let faults = Faults::default();
        for (attempt, error) in told {
            faults.remember(fault(*attempt, error));
        }
        let message = Message {
            message_id: Some("m".to_owned()),
            ..Message::default()
        };
        let (first, last) = faults.of(&message, handed_out);
        assert!(
            first.contains(expected.0) && last.contains(expected.1),
            "{first}\n{last}"
        );
    }

    #[tokio::test]
    async fn only_what_was_told_of_the_first_and_last_hand_out_is_said_of_them() {
        let unknown = "unknown here";
        check(&[], 5, (unknown, unknown));
        check(
            &[(1, "a"), (5, "b")],
            5,
            ("1, worker w: a", "5, worker w: b"),
        );
        check(&[(5, "b"), (1, "a")], 5, ("worker w: a", "worker w: b"));
        check(&[(2, "a"), (4, "b")], 5, (unknown, unknown));
        check(&[(1, "a")], 5, ("worker w: a", unknown));
        check(&[(1, "a"), (1, "b")], 1, ("worker w: a", "worker w: b"));
    }

    #[tokio::test]
    async fn a_long_fault_is_cut_between_two_characters() {
        let long = "ä".repeat(MAX_FAULT);
        let faults = Faults::default();
        faults.remember(fault(1, &format!("x{long}")));
        let message = Message {
            message_id: Some("m".to_owned()),
            ..Message::default()
        };
        assert!(faults.of(&message, 1).0.len() < MAX_FAULT + 40);
    }
}
