use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::details::Details;
use crate::Stop;
use crate::call::{Written, written};

/// What a resource holds: one item or more, each a text or bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    /// That of the request without one.
    uri: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    mime_type: String,
    #[serde(flatten)]
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Body {
    Text(String),
    /// In base64 (RFC 4648 section 4).
    Blob(String),
}

impl Contents {
    /// A text under the URI that was read. An empty MIME type says nothing.
    #[must_use]
    pub fn text(mime_type: &str, text: impl Into<String>) -> Self {
        Self::of(mime_type, Body::Text(text.into()))
    }

    /// Bytes under the URI that was read. An empty MIME type says nothing.
    #[must_use]
    pub fn blob(mime_type: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self::of(mime_type, Body::Blob(STANDARD.encode(bytes)))
    }

    fn of(mime_type: &str, body: Body) -> Self {
        let item = Item {
            uri: None,
            mime_type: mime_type.to_owned(),
            body,
        };
        Self { items: vec![item] }
    }

    /// Gives the last item a URI of its own, as a part of what was read.
    #[must_use]
    pub fn uri(mut self, uri: impl Into<String>) -> Self {
        if let Some(last) = self.items.last_mut() {
            last.uri = Some(uri.into());
        }
        self
    }

    /// More items after these.
    #[must_use]
    pub fn and(mut self, more: Self) -> Self {
        self.items.extend(more.items);
        self
    }

    /// The result of `resources/read`.
    pub(super) fn into_result(mut self, uri: &str, details: &Details) -> Result<Written, Stop> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct ReadResourceResult<'a> {
            result_type: &'static str,
            contents: &'a [Item],
            ttl_ms: u64,
            cache_scope: &'static str,
        }
        for item in &mut self.items {
            item.uri.get_or_insert_with(|| uri.to_owned());
        }
        written(&ReadResourceResult {
            result_type: "complete",
            contents: &self.items,
            ttl_ms: u64::try_from(details.ttl.as_millis()).unwrap_or(u64::MAX),
            cache_scope: if details.is_public {
                "public"
            } else {
                "private"
            },
        })
    }
}
