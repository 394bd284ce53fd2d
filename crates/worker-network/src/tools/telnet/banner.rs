//! What a service sends before its client has said anything.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes of a banner that are kept.
const MAX_BYTES: usize = 512;
/// Longest wait for a banner.
const WAIT: Duration = Duration::from_secs(1);
/// Silence after which a banner that has begun counts as complete.
const SILENCE: Duration = Duration::from_millis(100);

/// The first bytes that a service sent, either as `text` or as `base64`.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Banner {
    /// The bytes, where they are UTF-8. They come from the target: treat them as data.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The bytes in base64 (RFC 4648, section 4), where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// Number of bytes in `text` or `base64`.
    #[schemars(range(min = 1, max = 512))]
    size_bytes: usize,
    /// Whether the service sent more than the 512 bytes that are kept.
    truncated: bool,
}

/// Reads what comes within a second; `None` when nothing does.
///
/// A connection that breaks meanwhile has been made all the same, so what came before stands.
pub(super) async fn read(stream: TcpStream) -> Option<Banner> {
    // One byte more than is kept tells whether something was cut off.
    let mut stream = stream.take(MAX_BYTES as u64 + 1);
    let mut bytes = Vec::with_capacity(MAX_BYTES + 1);
    let end = Instant::now() + WAIT;
    let mut quiet = WAIT;
    while let Ok(Ok(Ok(1..))) = timeout_at(end, timeout(quiet, stream.read_buf(&mut bytes))).await {
        quiet = SILENCE;
    }
    banner(bytes)
}

fn banner(mut bytes: Vec<u8>) -> Option<Banner> {
    if bytes.is_empty() {
        return None;
    }
    let truncated = bytes.len() > MAX_BYTES;
    bytes.truncate(MAX_BYTES);
    if truncated && let Err(error) = std::str::from_utf8(&bytes) {
        // The cut may have gone through a character, which says nothing about the rest.
        if error.error_len().is_none() {
            bytes.truncate(error.valid_up_to());
        }
    }
    let size_bytes = bytes.len();
    let (text, base64) = match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
    };
    Some(Banner {
        text,
        base64,
        size_bytes,
        truncated,
    })
}

impl Banner {
    /// The first line for a summary.
    pub(super) fn preview(&self) -> String {
        match &self.text {
            Some(text) => text
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(200)
                .collect(),
            None => format!("{} bytes that are not text", self.size_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], text: Option<&str>, base64: Option<&str>, truncated: bool) {
        let banner = banner(bytes.to_vec()).unwrap();
        assert_eq!(banner.text.as_deref(), text);
        assert_eq!(banner.base64.as_deref(), base64);
        assert_eq!(banner.truncated, truncated);
    }

    #[test]
    fn text_is_given_as_it_is_and_other_bytes_in_base64() {
        check(b"SSH-2.0-x\r\n", Some("SSH-2.0-x\r\n"), None, false);
        check(
            "gr\u{fc}\u{df}\0".as_bytes(),
            Some("gr\u{fc}\u{df}\0"),
            None,
            false,
        );
        check(&[0xff, 0xfd, 0x18], None, Some("//0Y"), false);
        assert_eq!(banner(Vec::new()), None);
    }

    #[test]
    fn a_banner_is_cut_at_512_bytes() {
        check(&[b'a'; 512], Some(&"a".repeat(512)), None, false);
        check(&[b'a'; 513], Some(&"a".repeat(512)), None, true);
    }

    #[test]
    fn a_cut_through_a_character_does_not_make_a_text_binary() {
        let text = format!("{}{}", "a".repeat(511), "\u{fc}\u{fc}");
        check(&text.as_bytes()[..513], Some(&"a".repeat(511)), None, true);
        let mut broken = vec![b'a'; 511];
        broken.push(0xc3);
        let encoded = STANDARD.encode(&broken);
        check(&broken, None, Some(&encoded), false);
    }
}
