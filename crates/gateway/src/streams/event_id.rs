use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Longest name of a gateway that is taken from a client, in bytes.
const MAX_INSTANCE: usize = 100;
/// Longest JSON-RPC identifier that event ids carry, in bytes of JSON.
const MAX_REQUEST: usize = 128;

/// The `id` of an event: `{gateway}.{stream}.{number}`, and on the stream of a call also its
/// JSON-RPC identifier, so that any replica can tell the client which call is lost when its
/// owner is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) address: Address,
    /// Number of the event in its stream; 0 is before the first.
    pub(crate) seq: u64,
}

/// Where a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The gateway that holds it.
    pub(crate) instance: String,
    pub(crate) stream: StreamId,
    /// JSON text of the identifier of the call.
    request: Option<String>,
}

/// Which stream of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct StreamId {
    pub(crate) kind: Kind,
    pub(super) number: u64,
}

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// The answer to a request.
    Call,
    /// What no request asked for.
    Standalone,
}

/// A text that this server never gave out as the id of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoEventId;

impl Address {
    /// The address of a call's stream.
    pub(super) fn call(instance: &str, number: u64, request: &RawValue) -> Self {
        let request = request.get();
        Self {
            request: (request.len() <= MAX_REQUEST).then(|| request.to_owned()),
            ..Self::new(instance, Kind::Call, number)
        }
    }

    pub(super) fn standalone(instance: &str, number: u64) -> Self {
        Self::new(instance, Kind::Standalone, number)
    }

    fn new(instance: &str, kind: Kind, number: u64) -> Self {
        Self {
            instance: instance.to_owned(),
            stream: StreamId { kind, number },
            request: None,
        }
    }

    /// The id of one of its events.
    pub(crate) fn event(&self, seq: u64) -> EventId {
        EventId {
            address: self.clone(),
            seq,
        }
    }

    /// The JSON-RPC identifier of the call whose stream this is, if it is known.
    pub(crate) fn request(&self) -> Option<&RawValue> {
        serde_json::from_str(self.request.as_deref()?).ok()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address {
            instance,
            stream,
            request,
        } = &self.address;
        write!(f, "{instance}.{stream}.{}", self.seq)?;
        match request {
            Some(request) => write!(f, ".{}", URL_SAFE_NO_PAD.encode(request)),
            None => Ok(()),
        }
    }
}

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let parts: Vec<&str> = text.splitn(5, '.').collect();
        let (instance, stream, seq, request) = match *parts {
            [instance, stream, seq] => (instance, stream, seq, None),
            [instance, stream, seq, request] => (instance, stream, seq, Some(request)),
            _ => return Err(NoEventId),
        };
        // The name becomes part of a routing key.
        let is_instance = !instance.is_empty()
            && instance.len() <= MAX_INSTANCE
            && instance
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let id = Self {
            address: Address {
                instance: instance.to_owned(),
                stream: stream.parse()?,
                request: request.map(decoded).transpose()?,
            },
            seq: seq.parse().map_err(|_| NoEventId)?,
        };
        // Whatever else reads as one, a leading zero for example, was never given out.
        if is_instance && id.to_string() == text {
            Ok(id)
        } else {
            Err(NoEventId)
        }
    }
}

fn decoded(request: &str) -> Result<String, NoEventId> {
    let bytes = URL_SAFE_NO_PAD.decode(request).map_err(|_| NoEventId)?;
    let text = String::from_utf8(bytes).map_err(|_| NoEventId)?;
    let raw: &RawValue = serde_json::from_str(&text).map_err(|_| NoEventId)?;
    let is_identifier = raw
        .get()
        .starts_with(|first: char| matches!(first, '"' | '-' | '0'..='9'));
    if is_identifier && raw.get() == text && text.len() <= MAX_REQUEST {
        Ok(text)
    } else {
        Err(NoEventId)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Call => 'c',
            Kind::Standalone => 's',
        };
        write!(f, "{kind}{}", self.number)
    }
}

impl FromStr for StreamId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let (kind, number) = if let Some(number) = text.strip_prefix('c') {
            (Kind::Call, number)
        } else {
            (Kind::Standalone, text.strip_prefix('s').ok_or(NoEventId)?)
        };
        let number = number.parse().map_err(|_| NoEventId)?;
        Ok(Self { kind, number })
    }
}

impl From<StreamId> for String {
    fn from(id: StreamId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for StreamId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .map_err(|_| format!("{text:?} names no stream"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_id_names_its_gateway_its_stream_and_its_call() {
        let address = Address::call("gateway-1f", 12, &raw("7"));
        let id = address.event(3);
        assert_eq!(id.to_string(), "gateway-1f.c12.3.Nw");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(address.request().unwrap().get(), "7");
        let standalone = Address::standalone("gateway-1f", 4).event(0);
        assert_eq!(standalone.to_string(), "gateway-1f.s4.0");
        assert_eq!(standalone.to_string().parse(), Ok(standalone));
    }

    #[test]
    fn a_long_identifier_of_a_call_is_left_out() {
        let long = raw(&format!("\"{}\"", "x".repeat(200)));
        let address = Address::call("g", 1, &long);
        assert_eq!(address.event(2).to_string(), "g.c1.2");
        assert!(address.request().is_none());
    }

    #[test]
    fn what_was_never_given_out_is_no_event_id() {
        for text in [
            "",
            ".",
            "g",
            "g.c1",
            "g.c1.",
            "g.c1.2.",
            "g.c1.2.Nw.",
            "g.c1.2.Nw.x",
            ".c1.2",
            "g.1.2",
            "g.x1.2",
            "g.c.2",
            "g.c01.2",
            "g.c1.02",
            "g.c1.+2",
            "g.c1.-2",
            "g.c1.18446744073709551616",
            "g.c1.2 ",
            "g h.c1.2",
            "g#.c1.2",
            "g*.c1.2",
            // null, an object, two values, trailing space.
            "g.c1.2.bnVsbA",
            "g.c1.2.e30",
            "g.c1.2.NyA",
            "g.c1.2.Nw==",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(NoEventId), "{text:?}");
        }
        let long = format!("{}.c1.2", "g".repeat(101));
        assert_eq!(long.parse::<EventId>(), Err(NoEventId));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_the_same(text in "[a-z0-9.-]{0,12}(\\.[cs][0-9]{0,3}\\.[0-9]{0,3})?(\\.[A-Za-z0-9_=-]{0,6})?") {
            if let Ok(id) = text.parse::<EventId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
