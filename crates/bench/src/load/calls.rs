//! The bytes of a call, made once and numbered anew for each one.

use anyhow::{Context as _, Result, ensure};

/// Bytes of what is sent to be echoed.
pub(crate) const PAYLOAD: usize = 200;
/// Where the number of a call comes in a template: as many digits as every number has.
pub(super) const PLACE: &str = "100000000000";
/// The number of the first call: PLACE read as a number, so that all are equally long.
const FIRST: u64 = 100_000_000_000;

/// What is echoed: [`PAYLOAD`] bytes that begin with the number of the call.
pub(super) fn payload() -> String {
    format!("{PLACE}{:->fill$}", "", fill = PAYLOAD - PLACE.len())
}

/// The number of a call as it stands in its bytes.
pub(super) fn numbered(number: u64) -> String {
    (FIRST + number).to_string()
}

/// Bytes with places for a number.
#[derive(Debug, Clone)]
pub(super) struct Template {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Template {
    pub(super) fn new(text: String) -> Self {
        let places = text.match_indices(PLACE).map(|(at, _)| at).collect();
        let bytes = text.into_bytes();
        Self { bytes, places }
    }

    /// The bytes of this call.
    pub(super) fn number(&mut self, number: &str) -> &[u8] {
        for &at in &self.places {
            let place = self.bytes.get_mut(at..at + PLACE.len());
            if let Some(place) = place.filter(|place| place.len() == number.len()) {
                place.copy_from_slice(number.as_bytes());
            }
        }
        &self.bytes
    }
}

/// A `tools/call` of the tool `echo` in MCP 2026-07-28.
pub(super) fn modern_call() -> String {
    let text = payload();
    format!(
        r#"{{"jsonrpc":"2.0","id":{PLACE},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{text}"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"bench","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

/// The same in a session, which has said the rest when it began.
pub(super) fn session_call() -> String {
    let text = payload();
    format!(
        r#"{{"jsonrpc":"2.0","id":{PLACE},"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"{text}"}}}}}}"#
    )
}

/// What a session begins with, in MCP 2025-11-25.
pub(super) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
/// What a client says before its first call in a session.
pub(super) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// `tools/list` in MCP 2026-07-28.
pub(super) fn list() -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{PLACE},"method":"tools/list","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"bench","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

/// Makes sure that an answer is a page of a list that has more of them.
pub(super) fn check_page(answer: &[u8], number: &str) -> Result<()> {
    /// Bytes at either end in which identifier and cursor stand.
    const ENDS: usize = 256;
    let text = std::str::from_utf8(answer).context("the answer is not UTF-8")?;
    let head = text.get(..ENDS).unwrap_or(text);
    let tail = text.get(text.len().saturating_sub(ENDS)..).unwrap_or(text);
    let is_there = |word: &str| head.contains(word) || tail.contains(word);
    ensure!(
        is_there(number) && is_there("nextCursor"),
        "the answer is no page: {head}"
    );
    Ok(())
}

/// Makes sure that an answer is the one to this call, by what it echoes.
pub(super) fn check(answer: &[u8], number: &str) -> Result<()> {
    let text = std::str::from_utf8(answer).context("the answer is not UTF-8")?;
    let echo = text.match_indices(number).any(|(at, _)| {
        // The identifier is a number; only the text has quotes and filling.
        text.get(..at).is_some_and(|before| before.ends_with('"'))
            && text
                .get(at + number.len()..)
                .is_some_and(|after| after.starts_with("----"))
    });
    ensure!(echo, "the answer is not the call's: {text}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_numbered_wherever_a_number_belongs() {
        let mut template = Template::new(modern_call());
        assert_eq!(template.places.len(), 2);
        let number = numbered(7);
        let call = template.number(&number).to_vec();
        let call: serde_json::Value = serde_json::from_slice(&call).unwrap();
        assert_eq!(call["id"], 100_000_000_007_u64);
        let text = call["params"]["arguments"]["text"].as_str().unwrap();
        assert_eq!(text.len(), PAYLOAD);
        assert!(text.starts_with("100000000007-"));
    }

    #[test]
    fn only_the_echo_of_the_same_call_is_its_answer() {
        let answer = format!(
            r#"{{"id":100000000001,"text":"{}"}}"#,
            payload().replace(PLACE, "100000000001")
        );
        check(answer.as_bytes(), "100000000001").unwrap();
        check(answer.as_bytes(), "100000000002").unwrap_err();
        check(br#"{"id":100000000001,"error":{}}"#, "100000000001").unwrap_err();
    }
}
