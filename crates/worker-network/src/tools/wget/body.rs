//! A body, read up to a limit and written as text where that loses nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::Encoding as Charset;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use schemars::JsonSchema;
use serde::Serialize;

/// How `body` holds the bytes received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum Encoding {
    /// As text.
    #[serde(rename = "utf-8")]
    Utf8,
    /// In base64 (RFC 4648 section 4), because they are not text.
    #[serde(rename = "base64")]
    Base64,
}

/// A body as the result carries it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) text: String,
    pub(super) encoding: Encoding,
    /// Character set that the text was read from.
    pub(super) charset: Option<&'static str>,
}

/// Bytes received so far.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    /// More came than was asked for.
    pub(super) truncated: bool,
}

impl Received {
    /// Reads until the end, or until there is more than `max_bytes`.
    ///
    /// What was read stays in `self` when the future is dropped.
    pub(super) async fn read(
        &mut self,
        body: &mut Incoming,
        max_bytes: usize,
        mut progress: impl FnMut(usize),
    ) -> Result<(), hyper::Error> {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            let room = max_bytes - self.bytes.len();
            self.bytes.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                self.truncated = true;
                break;
            }
            progress(self.bytes.len());
        }
        Ok(())
    }

    /// The bytes as text, if they are text in UTF-8 or in the character set that the content
    /// type names; otherwise in base64.
    pub(super) fn encode(&self, content_type: Option<&str>) -> Body {
        if let Some(text) = self.utf8() {
            return Body {
                text: text.to_owned(),
                encoding: Encoding::Utf8,
                charset: Some("UTF-8"),
            };
        }
        let charset = content_type.and_then(charset_of);
        let decoded = charset.and_then(|charset| {
            let text = charset.decode_without_bom_handling_and_without_replacement(&self.bytes)?;
            is_text(&text).then(|| (text.into_owned(), charset.name()))
        });
        match decoded {
            Some((text, charset)) => Body {
                text,
                encoding: Encoding::Utf8,
                charset: Some(charset),
            },
            None => Body {
                text: STANDARD.encode(&self.bytes),
                encoding: Encoding::Base64,
                charset: None,
            },
        }
    }

    /// A character that the limit cut is left out.
    fn utf8(&self) -> Option<&str> {
        let whole = match std::str::from_utf8(&self.bytes) {
            Ok(text) => text,
            Err(error) if self.truncated && error.error_len().is_none() => {
                std::str::from_utf8(&self.bytes[..error.valid_up_to()]).ok()?
            }
            Err(_) => return None,
        };
        is_text(whole).then_some(whole)
    }
}

/// Control characters belong to binary data; the few exceptions are those of text files.
fn is_text(text: &str) -> bool {
    !text
        .bytes()
        .any(|byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c'))
}

/// The `charset` parameter of a content type (RFC 9110 section 8.3.2).
fn charset_of(content_type: &str) -> Option<&'static Charset> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        let label = value.trim().trim_matches('"');
        is_charset.then(|| Charset::for_label(label.as_bytes()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], truncated: bool, content_type: &str, expected: (&str, Option<&str>)) {
        let received = Received {
            bytes: bytes.to_vec(),
            truncated,
        };
        let body = received.encode(Some(content_type));
        assert_eq!((body.text.as_str(), body.charset), expected, "{bytes:?}");
        assert_eq!(body.encoding == Encoding::Base64, body.charset.is_none());
    }

    #[test]
    fn text_stays_text_and_the_rest_is_base64() {
        check(b"", false, "", ("", Some("UTF-8")));
        check(
            "grün\r\n\t".as_bytes(),
            false,
            "text/plain",
            ("grün\r\n\t", Some("UTF-8")),
        );
        check(b"a\0b", false, "text/plain", ("YQBi", None));
        check(b"\x89PNG", false, "image/png", ("iVBORw==", None));
        check(b"gr\xfcn", false, "text/plain", ("Z3L8bg==", None));
    }

    #[test]
    fn a_declared_character_set_is_read() {
        check(
            b"gr\xfcn",
            false,
            "text/html; charset=ISO-8859-1",
            ("grün", Some("windows-1252")),
        );
        check(
            b"g\0r\0",
            false,
            "text/plain; charset=\"utf-16le\"",
            ("gr", Some("UTF-16LE")),
        );
        check(
            b"\xff\xff",
            false,
            "text/plain; charset=utf-8",
            ("//8=", None),
        );
        check(
            b"\xff\xff",
            false,
            "text/plain; charset=nonsense",
            ("//8=", None),
        );
    }

    #[test]
    fn a_character_that_the_limit_cut_is_left_out() {
        let cut = &"grün".as_bytes()[..3];
        check(cut, true, "text/plain", ("gr", Some("UTF-8")));
        check(cut, false, "text/plain", ("Z3LD", None));
    }
}
