//! Values of headers that mirror a request (MCP 2026-07-28, "Value Encoding").
//!
//! What no header can carry as it is travels as `=?base64?…?=`.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// The text behind a header value whose outer white space is gone already.
///
/// A value without the complete marks is taken literally.
///
/// # Errors
/// [`Error::HeaderValue`] when it has characters that no header may have (RFC 9110, section 5.5;
/// nothing beyond ASCII), or when what is marked as Base64 is not that of UTF-8 text.
pub fn decode(value: &str) -> Result<Cow<'_, str>, Error> {
    if !value.bytes().all(is_plain) {
        return Err(invalid("has characters that no header may have"));
    }
    let Some(encoded) = marked(value) else {
        return Ok(Cow::Borrowed(value));
    };
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| invalid("is marked as Base64 and is not valid Base64"))?;
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| invalid("is Base64 of something that is not UTF-8 text"))
}

/// The header value of a text: the text itself wherever that is safe.
#[must_use]
pub fn encode(text: &str) -> Cow<'_, str> {
    let is_padded = text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']);
    let looks_marked = text.starts_with(PREFIX) && text.ends_with(SUFFIX);
    if text.bytes().all(is_plain) && !is_padded && !looks_marked {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(text)))
}

fn marked(value: &str) -> Option<&str> {
    value.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

fn invalid(why: &str) -> Error {
    Error::HeaderValue(why.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_specification_go_both_ways() {
        for (text, value) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("", ""),
        ] {
            assert_eq!(encode(text), value);
            assert_eq!(decode(value).unwrap(), text);
        }
    }

    #[test]
    fn a_value_without_both_marks_is_literal() {
        for value in [
            "SGVsbG8=",
            "=?base64?SGVsbG8=",
            "SGVsbG8=?=",
            "=?BASE64?SGVsbG8=?=",
            "=?base64?=",
            "a\tb",
        ] {
            assert_eq!(decode(value).unwrap(), value);
        }
    }

    #[test]
    fn what_no_header_may_have_is_refused() {
        for (value, expected) in [
            ("=?base64?SGVsbG8?=", "not valid Base64"),
            ("=?base64?SGVs!!!bG8=?=", "not valid Base64"),
            ("=?base64?/w==?=", "UTF-8"),
            ("Prüfung", "no header may have"),
            ("a\nb", "no header may have"),
            ("\u{7f}", "no header may have"),
        ] {
            let error = decode(value).unwrap_err().to_string();
            assert!(error.contains(expected), "{value:?} gave {error}");
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "\\PC*|[ -~]*|(=\\?base64\\?)?.*(\\?=)?") {
            let value = encode(&text);
            prop_assert!(value.bytes().all(is_plain));
            prop_assert_eq!(value.trim_matches([' ', '\t']), &*value);
            prop_assert_eq!(decode(&value).unwrap(), &*text);
        }

        #[test]
        fn every_value_is_read_or_refused(value in "\\PC*|(=\\?base64\\?)[A-Za-z0-9+/=]*(\\?=)") {
            let _ = decode(&value);
        }
    }
}
