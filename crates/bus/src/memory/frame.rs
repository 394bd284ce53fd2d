use bytes::{BufMut, Bytes, BytesMut};

use crate::{Message, PublishError};

/// Length of the head in front of the body.
const PREFIX: usize = size_of::<u32>();

/// A message as bytes: length of the head, head (JSON), body.
pub(super) fn encode(message: &Message) -> Result<Bytes, PublishError> {
    let head =
        serde_json::to_vec(message).map_err(|error| PublishError::Limit(error.to_string()))?;
    let length = u32::try_from(head.len())
        .map_err(|_| PublishError::Limit("the headers are too large".to_owned()))?;
    let mut frame = BytesMut::with_capacity(PREFIX + head.len() + message.body.len());
    frame.put_u32(length);
    frame.put_slice(&head);
    frame.put_slice(&message.body);
    Ok(frame.freeze())
}

/// The message in a frame; `None` for bytes that [`encode`] did not make.
pub(super) fn decode(frame: &Bytes) -> Option<Message> {
    let length = u32::from_be_bytes(frame.get(..PREFIX)?.try_into().ok()?);
    let body_at = PREFIX + usize::try_from(length).ok()?;
    let mut message: Message = serde_json::from_slice(frame.get(PREFIX..body_at)?).ok()?;
    message.body = frame.slice(body_at..);
    Some(message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Headers;

    #[test]
    fn a_message_survives_the_bytes() {
        let message = Message {
            kind: Some("request".to_owned()),
            correlation_id: Some("c".to_owned()),
            reply_to: None,
            message_id: Some("m".to_owned()),
            app_id: None,
            expiration: Some(Duration::from_millis(1500)),
            persistent: true,
            zstd: false,
            headers: Headers::default()
                .with("a", "text")
                .with("b", 7)
                .with("c", true),
            body: Bytes::from_static(b"{\"x\":1.0}"),
            unreadable: None,
        };
        assert_eq!(decode(&encode(&message).unwrap()).unwrap(), message);
        assert!(decode(&Bytes::from_static(b"\0\0\0\xff{}")).is_none());
    }
}
