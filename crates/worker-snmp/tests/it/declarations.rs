//! What clients are told about the tools.

use serde_json::Value;

use crate::call::worker;

#[test]
fn every_tool_is_declared_completely() {
    let worker = worker();
    worker.check().unwrap();
    let descriptors = worker.descriptors();
    assert!(descriptors.len() >= 11);
    for tool in &descriptors {
        let name = &tool.name;
        assert!(name.starts_with("snmp_"), "{name}");
        assert!(tool.title.is_some() && tool.description.is_some(), "{name}");
        assert!(
            tool.annotations.read_only_hint,
            "{name}: nothing is ever written"
        );
        let reaches_out = name != "snmp_close_session";
        assert_eq!(tool.annotations.open_world_hint, reaches_out, "{name}");
        assert!(
            tool.meta.default_timeout_ms <= tool.meta.max_timeout_ms,
            "{name}"
        );
        check_described(&tool.input_schema, &format!("{name} arguments"));
        check_described(
            tool.output_schema.as_ref().unwrap(),
            &format!("{name} result"),
        );
        for secret in ["community", "authKey", "privKey", "sessionId"] {
            let argument = &tool.input_schema["properties"][secret];
            assert!(
                argument.is_null() || argument["writeOnly"] == true,
                "{name} {secret}"
            );
        }
    }
}

#[test]
fn declarations_are_as_agreed() {
    let tools = worker().descriptors();
    // The session tools and the sweep; the rest is large and follows from its types.
    for tool in tools.iter().filter(|tool| {
        ["snmp_create_session", "snmp_get", "snmp_discover"].contains(&tool.name.as_str())
    }) {
        insta::assert_json_snapshot!(tool.name.clone(), tool);
    }
}

/// Every property at every depth has a description.
fn check_described(schema: &Value, path: &str) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        // The runtime describes the error as a whole.
        if name == "error" && property["properties"]["retryable"].is_object() {
            continue;
        }
        assert!(
            property["description"].is_string(),
            "{path} has no description: {property:#}"
        );
        check_described(property, &path);
        check_described(&property["items"], &path);
        for form in property["anyOf"].as_array().into_iter().flatten() {
            check_described(form, &path);
        }
    }
}
