//! What clients are told about the tools.

use serde_json::Value;
use service::settings::Settings;
use testkit::namespaces::lab;

use crate::call::worker;

#[test]
fn every_tool_is_declared_completely() {
    let worker = worker();
    worker.check().unwrap();
    let descriptors = worker.descriptors();
    assert_eq!(descriptors.len(), 5);
    for tool in descriptors {
        let name = tool.name.as_str();
        assert!(tool.title.is_some() && tool.description.is_some(), "{name}");
        let hints = tool.annotations;
        assert!(hints.read_only_hint && hints.idempotent_hint, "{name}");
        assert!(hints.open_world_hint && !hints.destructive_hint, "{name}");
        assert_eq!(tool.meta.default_timeout_ms, Some(300_000), "{name}");
        assert_eq!(tool.meta.max_timeout_ms, Some(900_000), "{name}");
        check_defaults(&tool.input_schema, name);
        check_described(&tool.input_schema, &format!("{name} arguments"));
        let output = tool.output_schema.unwrap();
        check_described(&output, &format!("{name} result"));
    }
}

#[test]
fn declarations_are_as_agreed() {
    // There the worker has the rights that it may lack elsewhere, which it would announce.
    lab(async || {
        for tool in worker().descriptors() {
            insta::assert_json_snapshot!(tool.name.clone(), tool);
        }
    });
}

#[test]
fn calls_that_wait_for_a_scan_of_the_same_host_leave_places_for_others() {
    let max_scans = Settings::default().nmap_max_scans.get();
    assert_eq!(worker().prefetch().get(), 4 * max_scans);
}

/// An argument that need not be given says what it is then, or may be null.
fn check_defaults(schema: &Value, name: &str) {
    let required = schema["required"].as_array().unwrap();
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
