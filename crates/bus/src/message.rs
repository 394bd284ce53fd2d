use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use protocol::headers::{ACCEPT_ENCODING, ZSTD};
use serde::Serialize;

use crate::PublishError;

/// A header's value; the AMQP types `S` (long string), `l` (64-bit integer) and `t` (boolean).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// Truth.
    Bool(bool),
    /// Number.
    Int(i64),
    /// Text.
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

/// Headers by name; names are those of `protocol::headers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Headers(BTreeMap<Cow<'static, str>, Value>);

impl Headers {
    /// Adds or replaces a header.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// The same, by value, for building.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.insert(name, value);
        self
    }

    /// Adds a header where there is a value.
    #[must_use]
    pub fn with_some(
        self,
        name: impl Into<Cow<'static, str>>,
        value: Option<impl Into<Value>>,
    ) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// A header that is text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A header that is a number.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// Whether a header is the boolean true.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Value::Bool(true)))
    }

    /// All headers in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

/// A message: AMQP properties, headers and body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Property `type`; a value of `protocol::headers::kind`.
    pub kind: Option<String>,
    /// Property `correlation-id`.
    pub correlation_id: Option<String>,
    /// Property `reply-to`: the sender's reply queue.
    pub reply_to: Option<String>,
    /// Property `message-id`: the call's idempotency key.
    pub message_id: Option<String>,
    /// Property `app-id`: the sender's instance.
    pub app_id: Option<String>,
    /// Property `expiration`: how long it may lie in a queue.
    pub expiration: Option<Duration>,
    /// Property `delivery-mode` 2: survives a restart of the broker in a durable queue.
    pub persistent: bool,
    /// Whoever receives it reads bodies that are compressed with zstd; without that it is sent as
    /// it is. Says nothing on a message that was received.
    pub zstd: bool,
    /// Headers.
    pub headers: Headers,
    /// Body: UTF-8 JSON, not compressed.
    pub body: Bytes,
    /// Why a message that was received has an empty body: what it had could not be decompressed.
    pub unreadable: Option<String>,
}

/// Bodies with no more bytes than this are never compressed: it would hardly be worth it.
pub const COMPRESSIBLE: usize = 1 << 10;

/// Most bytes of a body, unless a bus is told otherwise: what RabbitMQ 4 takes, 16 MiB.
pub const MAX_MESSAGE_SIZE: usize = 16 << 20;

/// AMQP 0-9-1 section 4.2.5.3: a short string holds at most 255 bytes.
const SHORT_STRING_BYTES: usize = 255;

impl Message {
    /// Whether the sender of this request reads replies that are compressed with zstd.
    #[must_use]
    pub fn accepts_zstd(&self) -> bool {
        let accepted = self.headers.text(ACCEPT_ENCODING).unwrap_or_default();
        accepted.split(',').any(|accepted| accepted.trim() == ZSTD)
    }

    /// Checks the limits of AMQP 0-9-1 and of a body, so that every bus refuses what one of them
    /// must.
    ///
    /// # Errors
    /// [`PublishError::Limit`] names the property or header at fault,
    /// [`PublishError::TooLarge`] the size of the body.
    pub(crate) fn check(
        &self,
        exchange: &str,
        routing_key: &str,
        limit: usize,
    ) -> Result<(), PublishError> {
        let bytes = self.body.len();
        if bytes > limit {
            return Err(PublishError::TooLarge { bytes, limit });
        }
        let properties = [
            ("exchange", Some(exchange)),
            ("routing key", Some(routing_key)),
            ("type", self.kind.as_deref()),
            ("correlation-id", self.correlation_id.as_deref()),
            ("reply-to", self.reply_to.as_deref()),
            ("message-id", self.message_id.as_deref()),
            ("app-id", self.app_id.as_deref()),
        ];
        let too_long = |text: &str| text.len() > SHORT_STRING_BYTES;
        for (name, value) in properties {
            if value.is_some_and(too_long) {
                let why = format!("{name} is longer than {SHORT_STRING_BYTES} bytes");
                return Err(PublishError::Limit(why));
            }
        }
        if let Some((name, _)) = self.headers.iter().find(|(name, _)| too_long(name)) {
            let why = format!("the name of header {name:?} is longer than 255 bytes");
            return Err(PublishError::Limit(why));
        }
        Ok(())
    }
}
