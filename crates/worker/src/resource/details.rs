use std::time::Duration;

use protocol::Category;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::meta::Meta;

/// What resources and templates say of themselves.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mime_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<u64>,
    #[serde(skip)]
    pub(super) ttl: Duration,
    #[serde(skip)]
    pub(super) is_public: bool,
}

impl Details {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            title: None,
            description: None,
            mime_type: None,
            annotations: None,
            size: None,
            ttl: Duration::ZERO,
            is_public: false,
        }
    }

    pub(super) fn cache(&mut self, ttl: Duration, is_public: bool) {
        (self.ttl, self.is_public) = (ttl, is_public);
    }

    /// What is wrong with them, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("the name is empty".to_owned());
        }
        match &self.annotations {
            Some(annotations) if !annotations.is_object() => {
                Err("the annotations are not an object".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// What is announced of them.
    pub(super) fn descriptor(
        &self,
        address: Address<'_>,
        category: &Category,
    ) -> Option<Box<RawValue>> {
        #[derive(Serialize)]
        struct Descriptor<'a> {
            #[serde(flatten)]
            address: Address<'a>,
            #[serde(flatten)]
            details: &'a Details,
            #[serde(rename = "_meta")]
            meta: Meta<'a>,
        }
        let descriptor = Descriptor {
            address,
            details: self,
            meta: Meta { category },
        };
        to_raw_value(&descriptor).ok()
    }
}

/// Where a resource is, or where those of a template are.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Address<'a> {
    Uri(&'a str),
    UriTemplate(&'a str),
}

/// Checks that a text begins as a URI does, and has none of the characters that none has
/// (RFC 3986 sections 3.1 and 2).
pub(super) fn check_uri(uri: &str) -> Result<(), String> {
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme {
        return Err(format!("{uri:?} is not a URI: it begins with no scheme"));
    }
    let is_bad = |byte: u8| !byte.is_ascii_graphic() || b"\"<>\\^`{|}".contains(&byte);
    if uri.bytes().any(is_bad) {
        return Err(format!(
            "{uri:?} is not a URI: percent-encode what no URI may hold"
        ));
    }
    Ok(())
}
