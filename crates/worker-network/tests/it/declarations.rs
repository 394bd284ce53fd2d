//! What clients are told about the tools.

use serde_json::Value;

use crate::call::worker;

const TOOLS: [&str; 6] = ["arp", "ifconfig", "netstat", "ping", "route", "telnet"];

#[test]
fn every_tool_is_declared_completely() {
    let worker = worker();
    worker.check().unwrap();
    let descriptors = worker.descriptors();
    for name in TOOLS {
        let tool = descriptors.iter().find(|tool| tool.name == name).unwrap();
        assert!(tool.title.is_some() && tool.description.is_some(), "{name}");
        assert!(
            tool.annotations.read_only_hint && tool.annotations.idempotent_hint,
            "{name}"
        );
        assert!(!tool.annotations.destructive_hint, "{name}");
        let reaches_out = ["ping", "telnet"].contains(&name);
        assert_eq!(tool.annotations.open_world_hint, reaches_out, "{name}");
        assert!(
            tool.meta.default_timeout_ms <= tool.meta.max_timeout_ms,
            "{name}"
        );
        check_defaults(&tool.input_schema, name);
        check_described(&tool.input_schema, &format!("{name} arguments"));
        check_described(
            tool.output_schema.as_ref().unwrap(),
            &format!("{name} result"),
        );
    }
}

#[test]
fn declarations_are_as_agreed() {
    for tool in worker().descriptors() {
        if TOOLS.contains(&tool.name.as_str()) {
            insta::assert_json_snapshot!(tool.name.clone(), tool);
        }
    }
}

/// An argument that need not be given says what it is then, or may be null.
fn check_defaults(schema: &Value, name: &str) {
    let empty = Vec::new();
    let required = schema["required"].as_array().unwrap_or(&empty);
    for (argument, property) in schema["properties"].as_object().unwrap() {
        let has_default = property.get("default").is_some();
        let may_be_null = property["type"]
            .as_array()
            .is_some_and(|types| types.contains(&"null".into()));
        let is_required = required.contains(&argument.as_str().into());
        assert!(
            has_default || may_be_null || is_required,
            "{name}: {argument}: {property:#}"
        );
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
