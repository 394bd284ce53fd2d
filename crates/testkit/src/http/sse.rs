//! Server-sent events (WHATWG HTML, "Server-sent events").

use anyhow::{Context as _, Result};
use serde_json::Value;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its type, `message` when the server names none.
    pub kind: String,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Its data, lines joined.
    pub data: String,
}

impl Event {
    /// Whether it says something: one without data only tells its id.
    #[must_use]
    pub fn is_message(&self) -> bool {
        !self.data.is_empty()
    }

    /// The data as JSON.
    ///
    /// # Errors
    /// It is not JSON; the message carries it.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.data).with_context(|| format!("not JSON: {}", self.data))
    }
}

/// Takes the first whole event off the front of `body`; comments and empty blocks are skipped.
pub(super) fn take_event(body: &mut Vec<u8>) -> Option<Event> {
    loop {
        let (end, gap) = block_end(body)?;
        let block = String::from_utf8_lossy(body.get(..end)?).into_owned();
        body.drain(..end + gap);
        if let Some(event) = parse(&block) {
            return Some(event);
        }
    }
}

/// Where the first empty line begins, and how long the line ends around it are.
fn block_end(body: &[u8]) -> Option<(usize, usize)> {
    let find = |gap: &[u8]| {
        body.windows(gap.len())
            .position(|window| window == gap)
            .map(|at| (at, gap.len()))
    };
    [find(b"\n\n"), find(b"\r\n\r\n")]
        .into_iter()
        .flatten()
        .min()
}

fn parse(block: &str) -> Option<Event> {
    let mut event = Event {
        kind: "message".to_owned(),
        ..Event::default()
    };
    let mut data = Vec::new();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.kind),
            "id" => event.id = Some(value.to_owned()),
            "data" => data.push(value),
            _ => {}
        }
    }
    event.data = data.join("\n");
    (!data.is_empty()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_one_by_one_without_comments() {
        let mut body =
            b": hello\n\nid: 7\nevent: note\ndata: a\ndata: b\n\ndata: {}\r\n\r\ndata: x".to_vec();
        let first = take_event(&mut body).unwrap();
        assert_eq!((first.kind.as_str(), first.data.as_str()), ("note", "a\nb"));
        assert_eq!(first.id.as_deref(), Some("7"));
        assert_eq!(take_event(&mut body).unwrap().data, "{}");
        assert_eq!(take_event(&mut body), None);
        assert_eq!(body, b"data: x");
    }
}
