use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Headers, Message, Publish, PublishError};
use bytes::Bytes;
use protocol::mcp::code;
use protocol::response::RpcError;
use protocol::{Envelope, Kind, LogLevel, control, headers, mcp, response};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout_at};

use crate::notifications::{Log, Notification, Step};

/// How long one message before the final one may take.
pub(super) const NOTIFICATION_TIME: Duration = Duration::from_secs(5);
/// Pause before a publish is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// The way back to one caller.
#[derive(Debug, Clone)]
pub(super) struct Replies {
    bus: Arc<dyn Bus>,
    exchange: String,
    reply_to: String,
    correlation_id: Option<String>,
    /// The caller reads compressed replies.
    zstd: bool,
    instance: String,
    sequence: i64,
    /// Its queue takes several final replies in one message.
    takes_bundles: bool,
    /// When the caller stops waiting.
    until: Instant,
}

/// What became of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The broker has it.
    Confirmed,
    /// The caller is gone, or between two connections and will ask again.
    Nobody,
    /// The broker did not confirm it before the caller stopped waiting; why not.
    Late(String),
}

/// Body of a message of type `detach`, which says all by its type.
const EMPTY: &[u8] = b"{}";

#[derive(Serialize)]
struct LogParams<'a> {
    level: LogLevel,
    #[serde(skip_serializing_if = "Option::is_none")]
    logger: Option<&'a str>,
    data: &'a serde_json::Value,
}

#[derive(Serialize)]
struct ProgressParams<'a> {
    #[serde(rename = "progressToken")]
    token: &'a RawValue,
    progress: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<f64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
}

impl Replies {
    /// `None` when the message names no queue for replies.
    pub(super) fn to_sender_of(
        message: &Message,
        bus: &Arc<dyn Bus>,
        instance: &str,
        until: Instant,
    ) -> Option<Self> {
        let exchange = message.headers.text(headers::REPLY_EXCHANGE);
        Some(Self {
            bus: Arc::clone(bus),
            exchange: exchange.unwrap_or_default().to_owned(),
            reply_to: message.reply_to.clone()?,
            correlation_id: message.correlation_id.clone(),
            zstd: message.accepts_zstd(),
            instance: instance.to_owned(),
            sequence: 0,
            takes_bundles: message.headers.is_true(headers::BUNDLE),
            until,
        })
    }

    /// Gives up earlier, if the caller waits for longer than this.
    pub(super) fn for_no_longer_than(mut self, time: Duration) -> Self {
        self.until = self.until.min(Instant::now() + time);
        self
    }

    /// When the caller stops waiting.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Asks whether this instance may run a call that must not run twice; the answer comes to the
    /// control queue.
    pub(super) async fn started(&mut self, control_queue: &str) -> Sent {
        let mut publish = self.asking(headers::kind::STARTED, control::STARTED);
        publish.message.reply_to = Some(control_queue.to_owned());
        self.confirmed(publish).await
    }

    /// Says that this instance will never run the call that it asked for.
    pub(super) async fn withdraw(mut self) -> Sent {
        // What it takes back was the first.
        self.sequence = 1;
        let publish = self.asking(headers::kind::WITHDRAWN, control::WITHDRAWN);
        self.confirmed(publish).await
    }

    /// Passes on a notification; false when nobody is there to take it. Progress belongs to
    /// the token with which the caller asked for it.
    pub(super) async fn notify(
        &mut self,
        notification: &Notification,
        token: Option<&RawValue>,
    ) -> bool {
        let Some((kind, body)) = written(notification, token) else {
            return true;
        };
        let publish = self.publish(kind, body, false);
        let until = Instant::now() + NOTIFICATION_TIME;
        match timeout_at(until, self.bus.publish(publish)).await {
            Ok(Err(PublishError::Unroutable(_))) => false,
            // A notification that got lost is no loss: more may follow, and the answer will.
            _ => true,
        }
    }

    /// Sends the one final reply.
    pub(super) async fn finish(mut self, kind: &'static str, body: Vec<u8>) -> Sent {
        let publish = self.publish(kind, body.into(), true);
        self.confirmed(publish).await
    }

    /// Publishes until the broker confirms, for as long as the caller waits: a broker that is
    /// away or short of a resource for minutes must not cost good answers. A second copy does no
    /// harm: the first final reply of a correlation id wins.
    async fn confirmed(&self, mut publish: Publish) -> Sent {
        let until = self.until;
        loop {
            let error = match timeout_at(until, self.bus.publish(publish.clone())).await {
                Ok(Ok(())) => return Sent::Confirmed,
                Ok(Err(PublishError::Unroutable(_))) => return Sent::Nobody,
                Ok(Err(error @ PublishError::TooLarge { .. })) if replace(&mut publish, &error) => {
                    tracing::warn!(%error, "an answer was replaced by an error");
                    continue;
                }
                Ok(Err(error)) if error.is_final() => {
                    // No worker could send this.
                    tracing::error!(%error, reply_to = self.reply_to, "a reply was dropped");
                    return Sent::Nobody;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the broker did not confirm the reply in time".to_owned(),
            };
            let again = async {
                sleep(PAUSE).await;
                self.bus.connected().await;
            };
            if timeout_at(until, again).await.is_err() {
                tracing::warn!(
                    error,
                    "a caller stopped waiting before its reply was confirmed"
                );
                return Sent::Late(error);
            }
        }
    }

    fn asking(&mut self, kind: &'static str, method: &str) -> Publish {
        let asking = control::Asking {
            instance: self.instance.clone(),
        };
        // An object with one text can always be written.
        let body = response::notification(method, &asking).unwrap_or_default();
        let mut publish = self.publish(kind, body.into(), false);
        let instance = self.instance.as_str();
        publish.message.headers.insert(headers::INSTANCE, instance);
        publish
    }

    fn publish(&mut self, kind: &'static str, body: Bytes, is_final: bool) -> Publish {
        let headers = Headers::default()
            .with(headers::PROTOCOL_VERSION, mcp::MODERN_VERSION)
            .with(headers::SEQ, self.sequence)
            .with(headers::FINAL, is_final);
        self.sequence += 1;
        Publish {
            exchange: self.exchange.clone(),
            routing_key: self.reply_to.clone(),
            mandatory: true,
            may_share: is_final && self.takes_bundles,
            message: Message {
                kind: Some(kind.to_owned()),
                correlation_id: self.correlation_id.clone(),
                app_id: Some(self.instance.clone()),
                zstd: self.zstd,
                headers,
                body,
                ..Message::default()
            },
        }
    }
}

/// Puts an error in the place of an answer that is too large to be sent; false where there is no
/// answer, or it is that error already.
fn replace(publish: &mut Publish, why: &PublishError) -> bool {
    let message = &mut publish.message;
    if message.kind.as_deref() != Some(headers::kind::RESPONSE) {
        return false;
    }
    let text = format!("the answer cannot be sent: {why}; ask for less, or for a part of it");
    let error = RpcError::new(code::INTERNAL_ERROR, text).data(json!({ "retryable": false }));
    let answer = message.body.clone();
    let id = match Envelope::parse(&answer).map(|envelope| envelope.kind) {
        Ok(Kind::Response { id, .. }) => Some(id),
        _ => None,
    };
    let body = response::error(id, &error);
    message.kind = Some(headers::kind::ERROR.to_owned());
    message.body = body.into();
    true
}

/// Type and body of the message that a notification becomes.
fn written(notification: &Notification, token: Option<&RawValue>) -> Option<(&'static str, Bytes)> {
    let body = match notification {
        Notification::Progress(Step {
            done,
            total,
            message,
        }) => {
            let params = ProgressParams {
                token: token?,
                progress: *done,
                total: *total,
                message,
            };
            response::notification(mcp::method::PROGRESS, &params)
        }
        Notification::Log(Log {
            level,
            logger,
            data,
        }) => {
            let params = LogParams {
                level: *level,
                logger: logger.as_deref(),
                data,
            };
            response::notification(mcp::method::MESSAGE, &params)
        }
        Notification::Detach => return Some((headers::kind::DETACH, Bytes::from_static(EMPTY))),
    };
    Some((headers::kind::NOTIFICATION, body.ok()?.into()))
}
