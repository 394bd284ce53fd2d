use protocol::mcp::{meta, method};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// What the client of a request says it can do (`_meta`, MCP 2026-07-28, "`ClientCapabilities`").
///
/// A handler that can do without a capability asks here before it asks the client; asking for
/// one that is not declared ends the request with -32021.
#[derive(Debug, Clone)]
pub struct ClientCapabilities(Value);

impl ClientCapabilities {
    /// Reads what a request declares; nothing where it declares nothing.
    ///
    /// # Errors
    /// Says what is wrong when it is not an object.
    pub(crate) fn of(declared: Option<&RawValue>) -> Result<Self, String> {
        let Some(declared) = declared else {
            return Ok(Self::default());
        };
        match serde_json::from_str(declared.get()) {
            Ok(Value::Object(members)) => Ok(Self(Value::Object(members))),
            _ => Err(format!(
                "_meta key {:?} must be an object",
                meta::CLIENT_CAPABILITIES
            )),
        }
    }

    /// Whether the user can be asked with a form; without a mode a client means this one.
    #[must_use]
    pub fn elicitation(&self) -> bool {
        self.has("/elicitation/form") || (self.has("/elicitation") && !self.has("/elicitation/url"))
    }

    /// Whether the user can be sent to a URL.
    #[must_use]
    pub fn elicitation_url(&self) -> bool {
        self.has("/elicitation/url")
    }

    /// Whether the client's model can be asked.
    #[must_use]
    pub fn sampling(&self) -> bool {
        self.has("/sampling")
    }

    /// Whether the client tells its roots.
    #[must_use]
    pub fn roots(&self) -> bool {
        self.has("/roots")
    }

    /// Everything as it was declared; an object.
    #[must_use]
    pub fn raw(&self) -> &Value {
        &self.0
    }

    /// The capabilities that an input request needs and the client lacks; `None` if it has
    /// them. `Err` names what is wrong with a request that no client could answer.
    pub(crate) fn lacks(&self, request: &Value) -> Result<Option<Value>, String> {
        let params = request.get("params");
        let needs = match request.get("method").and_then(Value::as_str) {
            Some(method::ELICITATION) => {
                let mode = params.and_then(|params| params.get("mode"));
                match mode.and_then(Value::as_str) {
                    Some("url") if self.elicitation_url() => None,
                    Some("url") => Some(json!({ "elicitation": { "url": {} } })),
                    _ if self.elicitation() => None,
                    _ if self.elicitation_url() => Some(json!({ "elicitation": { "form": {} } })),
                    _ => Some(json!({ "elicitation": {} })),
                }
            }
            Some(method::SAMPLING) => {
                let uses = |key: &str| params.is_some_and(|params| params.get(key).is_some());
                let uses_tools = uses("tools") || uses("toolChoice");
                match uses_tools {
                    true if !self.has("/sampling/tools") => {
                        Some(json!({ "sampling": { "tools": {} } }))
                    }
                    false if !self.sampling() => Some(json!({ "sampling": {} })),
                    _ => None,
                }
            }
            Some(method::ROOTS_LIST) => (!self.roots()).then(|| json!({ "roots": {} })),
            other => return Err(format!("clients are not asked {other:?}")),
        };
        Ok(needs)
    }

    fn has(&self, pointer: &str) -> bool {
        self.0.pointer(pointer).is_some_and(Value::is_object)
    }
}

impl Default for ClientCapabilities {
    /// Those of a client that can do nothing beyond the base.
    fn default() -> Self {
        Self(Value::Object(Map::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(declared: &Value) -> ClientCapabilities {
        let text = serde_json::value::to_raw_value(declared).unwrap();
        ClientCapabilities::of(Some(&text)).unwrap()
    }

    fn lacks(declared: &Value, method: &str, params: &Value) -> Option<Value> {
        let request = json!({ "method": method, "params": params });
        client(declared).lacks(&request).unwrap()
    }

    #[test]
    fn elicitation_without_a_mode_is_by_form() {
        for (declared, form, url) in [
            (json!({}), false, false),
            (json!({"elicitation": {}}), true, false),
            (json!({"elicitation": {"form": {}}}), true, false),
            (json!({"elicitation": {"url": {}}}), false, true),
            (json!({"elicitation": {"form": {}, "url": {}}}), true, true),
            (json!({"elicitation": null}), false, false),
        ] {
            let client = client(&declared);
            assert_eq!(client.elicitation(), form, "{declared}");
            assert_eq!(client.elicitation_url(), url, "{declared}");
        }
    }

    #[test]
    fn a_request_needs_the_capability_of_its_method() {
        let (none, url) = (json!({}), json!({"mode": "url"}));
        for (declared, method, params, expected) in [
            (&none, method::SAMPLING, &none, json!({"sampling": {}})),
            (&none, method::ROOTS_LIST, &none, json!({"roots": {}})),
            (
                &none,
                method::ELICITATION,
                &none,
                json!({"elicitation": {}}),
            ),
            (
                &json!({"elicitation": {}}),
                method::ELICITATION,
                &url,
                json!({"elicitation": {"url": {}}}),
            ),
            (
                &json!({"elicitation": {"url": {}}}),
                method::ELICITATION,
                &none,
                json!({"elicitation": {"form": {}}}),
            ),
            (
                &json!({"sampling": {}}),
                method::SAMPLING,
                &json!({"tools": []}),
                json!({"sampling": {"tools": {}}}),
            ),
        ] {
            assert_eq!(lacks(declared, method, params), Some(expected));
        }
        let all = json!({"sampling": {"tools": {}}, "roots": {}, "elicitation": {"url": {}}});
        assert_eq!(lacks(&all, method::SAMPLING, &json!({"tools": []})), None);
        assert_eq!(lacks(&all, method::SAMPLING, &none), None);
        assert_eq!(lacks(&all, method::ROOTS_LIST, &none), None);
        assert_eq!(lacks(&all, method::ELICITATION, &url), None);
    }

    #[test]
    fn what_is_no_object_declares_nothing() {
        let text = serde_json::value::to_raw_value(&json!(["sampling"])).unwrap();
        assert!(ClientCapabilities::of(Some(&text)).is_err());
        assert!(!client(&json!({"sampling": true})).sampling());
        assert!(
            client(&json!({}))
                .lacks(&json!({"method": "ping"}))
                .is_err()
        );
    }
}
