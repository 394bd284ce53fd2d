use std::fmt::Write as _;

use hyper::HeaderMap;
use hyper::http::HeaderValue;
use schemars::JsonSchema;
use serde::Serialize;
use worker::Summary;
use worker::markdown::plain;

use super::body::Encoding;
use super::tls::Tls;

/// Characters of a text body that the summary shows.
const SHOWN: usize = 2000;

/// A response.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    /// URL that the response came from, after all redirects.
    pub(super) url: String,
    /// HTTP status code. An error status (400 to 599) is a result like any other.
    #[schemars(range(min = 100, max = 999))]
    pub(super) status: u16,
    /// Words of the status, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) reason: Option<String>,
    /// Protocol version of the response, such as `HTTP/1.1`.
    pub(super) http_version: String,
    /// Address and port that answered.
    pub(super) address: String,
    /// Redirects that were followed, in their order.
    pub(super) redirects: Vec<Redirect>,
    /// Header fields of the response in their order; a field that came twice is here twice.
    pub(super) headers: Vec<Header>,
    /// Media type of the body as the server named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) content_type: Option<String>,
    /// Bytes of the whole body as the server announced them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub(super) content_length: Option<u64>,
    /// The body: text, or base64 where it is no text (see `encoding`).
    pub(super) body: String,
    /// How `body` holds the bytes.
    pub(super) encoding: Encoding,
    /// Character set that the text was converted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) charset: Option<String>,
    /// Bytes of the body that were received and kept.
    pub(super) body_bytes: u64,
    /// Whether the body is longer than `max_bytes` and was cut there.
    pub(super) truncated: bool,
    /// Where the time went.
    pub(super) timing: Timing,
    /// TLS version and certificate of the server; absent for http.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Tls")]
    pub(super) tls: Option<Tls>,
}

/// A redirect that was followed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Redirect {
    /// URL that answered with a redirect.
    pub(super) url: String,
    /// Its status code: 301, 302, 303, 307 or 308.
    pub(super) status: u16,
    /// URL that it led to.
    pub(super) location: String,
    /// Whether it led from https to http, so that the rest was not protected.
    pub(super) downgraded: bool,
}

/// A header field.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Header {
    /// Name in lower case.
    name: String,
    /// Value; bytes that are not UTF-8 are read as ISO-8859-1.
    value: String,
}

/// Milliseconds of each phase. All but the total are of the last request, after the redirects.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
#[expect(
    clippy::struct_field_names,
    reason = "the unit belongs to the name that a caller sees"
)]
pub(super) struct Timing {
    /// Resolving the host name.
    pub(super) dns_ms: f64,
    /// TCP connection.
    pub(super) connect_ms: f64,
    /// TLS handshake; absent for http.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64")]
    pub(super) tls_ms: Option<f64>,
    /// From the request to the head of the response.
    pub(super) first_byte_ms: f64,
    /// From the start of the call to the end of the body, redirects included.
    pub(super) total_ms: f64,
}

/// The header fields as the result carries them.
pub(super) fn headers(fields: &HeaderMap) -> Vec<Header> {
    let header = |(name, value): (&hyper::header::HeaderName, &HeaderValue)| Header {
        name: name.as_str().to_owned(),
        value: text(value),
    };
    fields.iter().map(header).collect()
}

/// A value as text, without loss.
pub(super) fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
    }
}

impl Summary for Output {
    fn summary(&self) -> String {
        let mut text = format!(
            "**{} {}** {}\n\n{} bytes{} of {} in {:.1} ms from {}",
            self.status,
            self.reason.as_deref().unwrap_or(""),
            plain(&self.url),
            self.body_bytes,
            if self.truncated { " (truncated)" } else { "" },
            plain(self.content_type.as_deref().unwrap_or("unknown type")),
            self.timing.total_ms,
            self.address,
        );
        if let Some(tls) = &self.tls {
            let _ = write!(text, ", {}", plain(&tls.to_string()));
        }
        text.push('\n');
        for redirect in &self.redirects {
            let _ = writeln!(
                text,
                "\n- {} from {} to {}{}",
                redirect.status,
                plain(&redirect.url),
                plain(&redirect.location),
                if redirect.downgraded {
                    " (no longer protected by TLS)"
                } else {
                    ""
                },
            );
        }
        self.add_body(&mut text);
        text
    }
}

impl Output {
    /// The beginning of a text body in a fence that the body itself cannot close.
    fn add_body(&self, text: &mut String) {
        if self.encoding == Encoding::Base64 {
            text.push_str("\nThe body is not text; the structured result holds it in base64.\n");
            return;
        }
        if self.body.is_empty() {
            return;
        }
        let shown: String = self.body.chars().take(SHOWN).collect();
        let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        let _ = writeln!(text, "\n{fence}\n{shown}\n{fence}");
        if shown.len() < self.body.len() {
            text.push_str("\nThe structured result holds the rest.\n");
        }
    }
}
