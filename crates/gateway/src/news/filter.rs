use std::collections::BTreeSet;

use protocol::mcp::code;
use protocol::response::RpcError;
use protocol::{Change, RequestParams};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::inbox::Interest;

/// Most resources of one subscription.
const MAX_RESOURCES: usize = 1000;
/// Longest URI of a resource, in bytes.
pub(super) const MAX_URI: usize = 2048;

/// Member of the filter with the URIs of resources.
const RESOURCES: &str = "resourceSubscriptions";
/// Members of the filter that are yes or no, and what they ask for.
const LISTS: [(&str, Change); 3] = [
    ("toolsListChanged", Change::ToolsListChanged),
    ("promptsListChanged", Change::PromptsListChanged),
    ("resourcesListChanged", Change::ResourcesListChanged),
];

/// What a client wants to be told of (MCP 2026-07-28, "Subscriptions", "Notification Filter").
#[derive(Debug, Default)]
pub(super) struct Filter {
    lists: Vec<&'static (&'static str, Change)>,
    resources: BTreeSet<String>,
}

impl Filter {
    /// Reads the parameters of `subscriptions/listen`. Members that are not known ask for
    /// nothing.
    ///
    /// # Errors
    /// Invalid params, naming the member at fault.
    pub(super) fn read(params: &RequestParams<'_>) -> Result<Self, RpcError> {
        let notifications = params
            .get("notifications")
            .filter(|value| value.get().starts_with('{'))
            .ok_or_else(|| invalid("", "must be an object that names what is wanted"))?;
        let members = RequestParams::parse(notifications)
            .map_err(|error| invalid("", &format!("is malformed: {error}")))?;
        let mut filter = Self::default();
        for list in &LISTS {
            match members.get(list.0).map(RawValue::get) {
                Some("true") => filter.lists.push(list),
                Some("false") | None => {}
                Some(_) => return Err(invalid(list.0, "must be true or false")),
            }
        }
        if let Some(uris) = members.get(RESOURCES) {
            filter.resources = resources(uris)?;
        }
        Ok(filter)
    }

    /// The same for the acknowledgement: only what is wanted.
    pub(super) fn honoured(&self) -> Value {
        let mut honoured = Map::new();
        for (name, _) in &self.lists {
            honoured.insert((*name).to_owned(), true.into());
        }
        if !self.resources.is_empty() {
            let uris: Vec<&str> = self.resources.iter().map(String::as_str).collect();
            honoured.insert(RESOURCES.to_owned(), uris.into());
        }
        honoured.into()
    }

    /// About what it occupies, in bytes.
    pub(super) fn size(&self) -> usize {
        let uris = self.resources.iter();
        uris.map(|uri| uri.len() + size_of::<String>()).sum()
    }
}

impl Interest for Filter {
    fn wants(&self, change: &Change) -> bool {
        match change {
            Change::ResourceUpdated { uri } => self.resources.contains(uri),
            list => self.lists.iter().any(|(_, wanted)| wanted == list),
        }
    }

    fn everything(&self) -> Vec<Change> {
        let lists = self.lists.iter().map(|(_, change)| change.clone());
        let resources = self.resources.iter().cloned();
        lists
            .chain(resources.map(|uri| Change::ResourceUpdated { uri }))
            .collect()
    }
}

fn resources(uris: &RawValue) -> Result<BTreeSet<String>, RpcError> {
    let uris: Vec<String> = serde_json::from_str(uris.get())
        .map_err(|_| invalid(RESOURCES, "must be an array of strings: URIs of resources"))?;
    if uris.len() > MAX_RESOURCES {
        let reason = format!("may name {MAX_RESOURCES} resources at most");
        return Err(invalid(RESOURCES, &reason));
    }
    if uris.iter().any(|uri| uri.is_empty() || uri.len() > MAX_URI) {
        let reason = format!("must have URIs of 1 to {MAX_URI} bytes");
        return Err(invalid(RESOURCES, &reason));
    }
    Ok(uris.into_iter().collect())
}

fn invalid(member: &str, reason: &str) -> RpcError {
    let dot = if member.is_empty() { "" } else { "." };
    let message = format!("params.notifications{dot}{member} {reason}");
    RpcError::new(code::INVALID_PARAMS, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(notifications: &Value) -> Result<Filter, RpcError> {
        let params = json!({ "notifications": notifications }).to_string();
        let raw = RawValue::from_string(params).unwrap();
        Filter::read(&RequestParams::parse(&raw).unwrap())
    }

    #[test]
    fn what_is_wanted_is_honoured_and_nothing_else() {
        let check = |asked: &Value, honoured: &Value, everything: usize| {
            let filter = read(asked).unwrap();
            assert_eq!(&filter.honoured(), honoured);
            assert_eq!(filter.everything().len(), everything);
            assert!(
                filter
                    .everything()
                    .iter()
                    .all(|change| filter.wants(change))
            );
        };
        check(&json!({}), &json!({}), 0);
        check(
            &json!({ "toolsListChanged": true, "promptsListChanged": false, "other": 5 }),
            &json!({ "toolsListChanged": true }),
            1,
        );
        check(
            &json!({ "resourcesListChanged": true, "resourceSubscriptions": ["b", "a", "b"] }),
            &json!({ "resourcesListChanged": true, "resourceSubscriptions": ["a", "b"] }),
            3,
        );
        check(&json!({ "resourceSubscriptions": [] }), &json!({}), 0);
        let tools = read(&json!({ "toolsListChanged": true })).unwrap();
        assert!(!tools.wants(&Change::PromptsListChanged));
        assert!(!tools.wants(&Change::ResourceUpdated { uri: String::new() }));
    }

    #[test]
    fn what_is_malformed_is_refused_by_name() {
        let many: Vec<String> = (0..=MAX_RESOURCES).map(|n| n.to_string()).collect();
        for (asked, named) in [
            (json!(null), "params.notifications must"),
            (json!([]), "params.notifications must"),
            (json!({ "toolsListChanged": 1 }), "toolsListChanged"),
            (json!({ "promptsListChanged": null }), "promptsListChanged"),
            (
                json!({ "resourcesListChanged": "true" }),
                "resourcesListChanged",
            ),
            (json!({ "resourceSubscriptions": "a" }), RESOURCES),
            (json!({ "resourceSubscriptions": null }), RESOURCES),
            (json!({ "resourceSubscriptions": [1] }), RESOURCES),
            (json!({ "resourceSubscriptions": [""] }), "1 to 2048 bytes"),
            (
                json!({ "resourceSubscriptions": ["x".repeat(MAX_URI + 1)] }),
                "1 to 2048 bytes",
            ),
            (json!({ "resourceSubscriptions": many }), "1000 resources"),
        ] {
            let error = read(&asked).unwrap_err();
            assert_eq!(error.code, code::INVALID_PARAMS);
            assert!(error.message.contains(named), "{}", error.message);
        }
        let twice = r#"{"notifications":{"toolsListChanged":true,"toolsListChanged":false}}"#;
        let raw = RawValue::from_string(twice.to_owned()).unwrap();
        let error = Filter::read(&RequestParams::parse(&raw).unwrap()).unwrap_err();
        assert!(error.message.contains("twice"), "{}", error.message);
        let none = RawValue::from_string("{}".to_owned()).unwrap();
        assert!(Filter::read(&RequestParams::parse(&none).unwrap()).is_err());
    }

    #[test]
    fn the_largest_filter_is_accepted() {
        let uris: Vec<String> = (0..MAX_RESOURCES)
            .map(|number| format!("{number:0>MAX_URI$}"))
            .collect();
        let filter = read(&json!({ "resourceSubscriptions": uris })).unwrap();
        assert!(filter.size() > MAX_RESOURCES * MAX_URI);
    }
}
