//! The settings as rows: key, value, origin, and what their types say about them.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{Loaded, Origin, Settings, groups};

/// One setting as `discovery config` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the environment variable; in lower case the key of the file.
    pub variable: String,
    /// The value in its text form, secrets as `***`; `None` if it is not set and has no default.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
}

/// What the type of a field says about a setting.
pub(super) struct Description {
    pub(super) about: String,
    pub(super) allowed: String,
    pub(super) is_secret: bool,
}

impl Loaded {
    /// Every setting with its value and origin, in the order of `docs/configuration.md`.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let values = values(&self.settings);
        groups::keys()
            .map(|key| Entry {
                variable: key.to_uppercase(),
                value: values.get(key).cloned(),
                origin: self.origin(key).clone(),
            })
            .collect()
    }
}

/// Text form of every setting that has a value, by key.
pub(super) fn values(settings: &Settings) -> BTreeMap<String, String> {
    let Ok(Value::Object(fields)) = serde_json::to_value(settings) else {
        return BTreeMap::new();
    };
    fields
        .into_iter()
        .filter_map(|(key, value)| Some((key, text(&value)?)))
        .collect()
}

/// Description of every setting, by key.
pub(super) fn descriptions() -> BTreeMap<String, Description> {
    let schema = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<Settings>();
    let Some(Value::Object(fields)) = schema.get("properties") else {
        return BTreeMap::new();
    };
    fields
        .iter()
        .map(|(key, field)| (key.clone(), describe(field)))
        .collect()
}

fn describe(field: &Value) -> Description {
    let about = field["description"].as_str().unwrap_or_default();
    Description {
        about: about.split_whitespace().collect::<Vec<_>>().join(" "),
        allowed: allowed(field),
        is_secret: field["x-secret"] == true,
    }
}

fn allowed(field: &Value) -> String {
    if let Some(allowed) = field["x-allowed"].as_str() {
        return allowed.to_owned();
    }
    let has_type = |name: &str| field["type"] == name || field["type"][0] == name;
    if has_type("boolean") {
        return "`true` or `false`".to_owned();
    }
    if has_type("integer") {
        let most = match field["format"].as_str() {
            Some("uint16") => u64::from(u16::MAX),
            _ => u64::from(u32::MAX),
        };
        let least = field["minimum"].as_u64().unwrap_or_default();
        let most = field["maximum"].as_u64().unwrap_or(most);
        return format!("whole number from {least} to {most}");
    }
    "any text".to_owned()
}

/// Text form of a serialised setting.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().filter_map(text).collect();
            Some(items.join(","))
        }
        Value::Object(_) | Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_setting_is_in_exactly_one_group() {
        let fields: BTreeSet<String> = descriptions().into_keys().collect();
        let keys: Vec<&str> = groups::keys().collect();
        let unique: BTreeSet<String> = keys.iter().map(ToString::to_string).collect();
        assert_eq!(unique, fields);
        assert_eq!(keys.len(), unique.len());
    }

    #[test]
    fn every_setting_says_what_it_is_and_what_is_allowed() {
        for (key, description) in descriptions() {
            assert!(!description.about.is_empty(), "{key}");
            assert!(!description.allowed.is_empty(), "{key}");
        }
    }

    #[test]
    fn the_range_of_a_number_is_that_of_its_type() {
        let descriptions = descriptions();
        let check = |key: &str, expected: &str| assert_eq!(descriptions[key].allowed, expected);
        check("http_port", "whole number from 0 to 65535");
        check("amqp_workers", "whole number from 1 to 65535");
        check("amqp_prefetch_count", "whole number from 1 to 65535");
        check(
            "amqp_max_reconnect_attempts",
            "whole number from 1 to 4294967295",
        );
        check("amqp_tls", "`true` or `false`");
    }
}
