//! The smallest picture and sound, and the blocks that carry them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// One red pixel.
pub(super) const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\
    \0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\
    \0\0\0\x0cIDATx\xdac\xf8\xcf\xc0\0\0\x03\x01\x01\0\xf7\x03AC\
    \0\0\0\0IEND\xaeB`\x82";

/// A millisecond of silence: eight samples of eight bits at 8 kHz.
const WAV: &[u8] = b"RIFF,\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\
    \x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x08\0\0\0\
    \x80\x80\x80\x80\x80\x80\x80\x80";

pub(super) fn image() -> Value {
    json!({ "type": "image", "data": STANDARD.encode(PNG), "mimeType": "image/png" })
}

pub(super) fn audio() -> Value {
    json!({ "type": "audio", "data": STANDARD.encode(WAV), "mimeType": "audio/wav" })
}

/// An embedded resource of text.
pub(super) fn embedded(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({
        "type": "resource",
        "resource": { "uri": uri, "mimeType": mime_type, "text": text },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a big-endian number of four bytes.
    fn number(bytes: &[u8]) -> usize {
        usize::try_from(u32::from_be_bytes(bytes.try_into().unwrap())).unwrap()
    }

    #[test]
    fn the_picture_is_made_of_whole_chunks() {
        let mut rest = PNG.strip_prefix(b"\x89PNG\r\n\x1a\n").unwrap();
        let mut kinds = Vec::new();
        while !rest.is_empty() {
            kinds.push(&rest[4..8]);
            rest = &rest[12 + number(&rest[..4])..];
        }
        assert_eq!(kinds, [b"IHDR", b"IDAT", b"IEND"]);
    }

    #[test]
    fn the_sound_is_as_long_as_it_says() {
        assert_eq!(usize::from(WAV[4]), WAV.len() - 8);
        assert_eq!(usize::from(WAV[40]), WAV.len() - 44);
    }
}
