use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use protocol::headers::{CONTENT_TYPE, ZSTD};

use crate::{Headers, Message, Value};

/// `delivery-mode` of a message that survives a restart of the broker.
const PERSISTENT: u8 = 2;
/// `delivery-mode` of one that need not.
const TRANSIENT: u8 = 1;

/// The AMQP properties of a message whose limits were checked, and whose body may be compressed.
pub(super) fn properties(message: &Message, is_compressed: bool) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in message.headers.iter() {
        table.insert(name.into(), to_amqp(value));
    }
    let mode = if message.persistent {
        PERSISTENT
    } else {
        TRANSIENT
    };
    let mut properties = BasicProperties::default()
        .with_content_type(CONTENT_TYPE.into())
        .with_delivery_mode(mode)
        .with_headers(table);
    if is_compressed {
        properties = properties.with_content_encoding(ZSTD.into());
    }
    if let Some(kind) = &message.kind {
        properties = properties.with_type(kind.as_str().into());
    }
    if let Some(correlation_id) = &message.correlation_id {
        properties = properties.with_correlation_id(correlation_id.as_str().into());
    }
    if let Some(reply_to) = &message.reply_to {
        properties = properties.with_reply_to(reply_to.as_str().into());
    }
    if let Some(message_id) = &message.message_id {
        properties = properties.with_message_id(message_id.as_str().into());
    }
    if let Some(app_id) = &message.app_id {
        properties = properties.with_app_id(app_id.as_str().into());
    }
    if let Some(expiration) = message.expiration {
        properties = properties.with_expiration(expiration.as_millis().to_string().into());
    }
    properties
}

/// The message that AMQP properties and a body, as it is, make. Headers of types we never send
/// are left out.
pub(super) fn message(properties: &BasicProperties, body: Vec<u8>) -> Message {
    let text = |value: &Option<ShortString>| value.as_ref().map(ToString::to_string);
    let expiration = properties
        .expiration()
        .as_ref()
        .and_then(|ms| ms.as_str().parse().ok());
    let mut headers = Headers::default();
    if let Some(table) = properties.headers() {
        for (name, value) in table {
            if let Some(value) = from_amqp(value) {
                headers.insert(name.to_string(), value);
            }
        }
    }
    Message {
        kind: text(properties.kind()),
        correlation_id: text(properties.correlation_id()),
        reply_to: text(properties.reply_to()),
        message_id: text(properties.message_id()),
        app_id: text(properties.app_id()),
        expiration: expiration.map(Duration::from_millis),
        persistent: *properties.delivery_mode() == Some(PERSISTENT),
        zstd: false,
        headers,
        body: body.into(),
        unreadable: None,
    }
}

fn to_amqp(value: &Value) -> AMQPValue {
    match value {
        Value::Bool(truth) => AMQPValue::Boolean(*truth),
        Value::Int(number) => AMQPValue::LongLongInt(*number),
        Value::Text(text) => AMQPValue::LongString(text.as_str().into()),
    }
}

fn from_amqp(value: &AMQPValue) -> Option<Value> {
    match value {
        AMQPValue::Boolean(truth) => Some(Value::Bool(*truth)),
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes())
            .ok()
            .map(|text| Value::Text(text.to_owned())),
        AMQPValue::ShortString(text) => Some(Value::Text(text.to_string())),
        AMQPValue::LongLongInt(number) => Some(Value::Int(*number)),
        AMQPValue::LongInt(number) => Some(Value::Int(i64::from(*number))),
        AMQPValue::ShortInt(number) => Some(Value::Int(i64::from(*number))),
        AMQPValue::ShortShortInt(number) => Some(Value::Int(i64::from(*number))),
        AMQPValue::LongUInt(number) => Some(Value::Int(i64::from(*number))),
        AMQPValue::ShortUInt(number) => Some(Value::Int(i64::from(*number))),
        AMQPValue::ShortShortUInt(number) => Some(Value::Int(i64::from(*number))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_properties() {
        let original = Message {
            kind: Some("request".to_owned()),
            correlation_id: Some("c".to_owned()),
            reply_to: Some("q".to_owned()),
            message_id: Some("m".to_owned()),
            app_id: Some("a".to_owned()),
            expiration: Some(Duration::from_millis(1500)),
            persistent: true,
            zstd: false,
            headers: Headers::default()
                .with("a", "text")
                .with("b", -7)
                .with("c", true),
            body: bytes::Bytes::from_static(b"{}"),
            unreadable: None,
        };
        let there = properties(&original, false);
        assert_eq!(message(&there, b"{}".to_vec()), original);
        let empty = Message::default();
        assert_eq!(message(&properties(&empty, false), Vec::new()), empty);
    }
}
