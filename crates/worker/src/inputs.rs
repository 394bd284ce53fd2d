use serde_json::{Map, Value};

/// What the client answered to what a handler asked in earlier rounds, and the state that the
/// handler gave it to keep.
///
/// Answers are input from outside, like arguments: there may be none, they may be malformed,
/// and keys that nobody asked for are of no meaning. A handler that still lacks something asks
/// again. The state has come back unchanged where a gateway of the platform sealed it.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    responses: Map<String, Value>,
    state: Option<String>,
}

/// What a user did with a form or a URL.
#[derive(Debug, Clone, PartialEq)]
pub enum Elicited {
    /// Filled it in: the object of the answers, not checked against the form's schema. `null`
    /// when there are none, as from a URL.
    Accepted(Value),
    /// Said no.
    Declined,
    /// Closed it without a choice.
    Cancelled,
}

impl Inputs {
    pub(crate) fn new(responses: Map<String, Value>, state: Option<String>) -> Self {
        Self { responses, state }
    }

    /// The answer to what was asked under a key, as the client sent it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.responses.get(key)
    }

    /// The state of the last round.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The user's answer to `elicitation/create`; `None` when it is absent or malformed.
    #[must_use]
    pub fn elicited(&self, key: &str) -> Option<Elicited> {
        let answer = self.get(key)?;
        match answer.get("action")?.as_str()? {
            "accept" => match answer.get("content") {
                None | Some(Value::Null) => Some(Elicited::Accepted(Value::Null)),
                Some(content @ Value::Object(_)) => Some(Elicited::Accepted(content.clone())),
                Some(_) => None,
            },
            "decline" => Some(Elicited::Declined),
            "cancel" => Some(Elicited::Cancelled),
            _ => None,
        }
    }

    /// The text of a model's answer to `sampling/createMessage`, its text blocks joined;
    /// `None` when the answer is absent, malformed or without a text.
    #[must_use]
    pub fn sampled_text(&self, key: &str) -> Option<String> {
        let content = self.get(key)?.get("content")?;
        let blocks = match content {
            Value::Array(blocks) => blocks.as_slice(),
            block => std::slice::from_ref(block),
        };
        let texts: Vec<&str> = blocks
            .iter()
            .filter(|block| block.get("type").is_some_and(|kind| kind == "text"))
            .filter_map(|block| block.get("text")?.as_str())
            .collect();
        (!texts.is_empty()).then(|| texts.concat())
    }

    /// The client's answer to `roots/list`: objects with a `uri`; `None` when the answer is
    /// absent or malformed.
    #[must_use]
    pub fn roots(&self, key: &str) -> Option<Vec<Value>> {
        let roots = self.get(key)?.get("roots")?.as_array()?;
        let has_uri = |root: &Value| root.get("uri").is_some_and(Value::is_string);
        roots.iter().all(has_uri).then(|| roots.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn inputs(answer: Value) -> Inputs {
        Inputs::new(Map::from_iter([("key".to_owned(), answer)]), None)
    }

    #[test]
    fn what_a_user_did_is_read() {
        let check = |answer: Value, expected: Option<Elicited>| {
            assert_eq!(inputs(answer.clone()).elicited("key"), expected, "{answer}");
        };
        let content = json!({"name": "x"});
        check(
            json!({"action": "accept", "content": content}),
            Some(Elicited::Accepted(content)),
        );
        check(
            json!({"action": "accept"}),
            Some(Elicited::Accepted(Value::Null)),
        );
        check(json!({"action": "decline"}), Some(Elicited::Declined));
        check(json!({"action": "cancel"}), Some(Elicited::Cancelled));
        check(json!({"action": "accept", "content": [1]}), None);
        check(json!({"action": "perhaps"}), None);
        check(json!({"action": 1}), None);
        check(json!("accept"), None);
        assert_eq!(inputs(json!({})).elicited("other"), None);
    }

    #[test]
    fn the_text_of_a_model_is_read() {
        let check = |content: Value, expected: Option<&str>| {
            let text = inputs(json!({"role": "assistant", "content": content})).sampled_text("key");
            assert_eq!(text.as_deref(), expected, "{content}");
        };
        let text = |text: &str| json!({"type": "text", "text": text});
        check(text("Paris"), Some("Paris"));
        check(
            json!([text("Pa"), {"type": "image"}, text("ris")]),
            Some("Paris"),
        );
        check(json!([]), None);
        check(json!({"type": "text", "text": 1}), None);
        check(json!("Paris"), None);
    }

    #[test]
    fn roots_without_a_uri_are_none() {
        let roots = json!([{"uri": "file:///a"}]);
        assert_eq!(
            inputs(json!({"roots": roots})).roots("key"),
            roots.as_array().cloned()
        );
        assert_eq!(inputs(json!({"roots": []})).roots("key"), Some(vec![]));
        assert_eq!(inputs(json!({"roots": [{}]})).roots("key"), None);
        assert_eq!(inputs(json!({"roots": {}})).roots("key"), None);
    }
}
