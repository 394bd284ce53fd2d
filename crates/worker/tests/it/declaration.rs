use std::num::NonZeroU16;
use std::time::Duration;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use worker::{Context, Summary, Tool, Worker};

use crate::lab::{self, Nothing, Text};

async fn text(_: Context, _: Nothing) -> Result<Text, ToolError> {
    let text = String::new();
    Ok(Text { text })
}

fn worker() -> Worker {
    Worker::new("lab".parse().unwrap(), NonZeroU16::MIN)
}

fn refused(worker: &Worker, why: &str) {
    let error = worker.check().unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn a_descriptor_tells_clients_everything() {
    insta::assert_json_snapshot!(lab::worker().descriptors());
}

#[test]
fn a_failure_fits_the_announced_schema_as_a_result_does() {
    let descriptors = lab::worker().descriptors();
    let probe = descriptors
        .iter()
        .find(|tool| tool.name == "probe")
        .unwrap();
    let schema = probe.output_schema.as_ref().unwrap();
    let fits = |content: serde_json::Value| jsonschema::is_valid(schema, &content);
    assert!(fits(
        json!({"error": {"code": "internal", "message": "m", "retryable": true}})
    ));
    assert!(fits(json!({
        "host": "::1", "count": 1, "method": "A", "more": 0, "numbers": [], "next_cursor": null,
        "truncated": false,
    })));
    assert!(!fits(json!({})));
    assert!(!fits(json!({"host": "::1"})));
}

#[test]
fn a_result_with_an_error_of_its_own_is_kept_apart_from_a_failure() {
    #[derive(Serialize, JsonSchema)]
    struct Attempt {
        /// Class of the failure.
        error: String,
    }
    impl Summary for Attempt {
        fn summary(&self) -> String {
            self.error.clone()
        }
    }
    let tool = Tool::new("attempt", async |_, _: Nothing| {
        let error = String::new();
        Ok::<_, ToolError>(Attempt { error })
    });
    let worker = worker().tool(tool);
    worker.check().unwrap();
    let descriptors = worker.descriptors();
    let schema = descriptors[0].output_schema.as_ref().unwrap();
    assert_eq!(schema["type"], "object");
    assert!(jsonschema::is_valid(schema, &json!({"error": "timeout"})));
    let failure = json!({"error": {"code": "internal", "message": "m", "retryable": true}});
    assert!(jsonschema::is_valid(schema, &failure));
    assert!(!jsonschema::is_valid(schema, &json!({"error": 1})));
}

#[test]
fn a_declaration_that_no_client_could_use_is_refused() {
    refused(&worker().tool(Tool::new("a b", text)), "[A-Za-z0-9_./-]");
    let second = Duration::from_secs(1);
    let tool = Tool::new("a", text);
    refused(
        &worker().tool(tool.clone().deadline(second * 2, second)),
        "longer",
    );
    refused(
        &worker().tool(tool.clone().deadline(Duration::ZERO, second)),
        "shorter",
    );
    let long = protocol::MAX_HOLD + second;
    refused(
        &worker().tool(tool.clone().deadline(second, long)),
        "longer than the 900 s for which a worker may hold a call: shorten it",
    );
    refused(&worker().tool(tool.clone()).tool(tool), "twice");
}

#[test]
fn arguments_and_results_that_are_no_objects_are_refused() {
    #[derive(Deserialize, JsonSchema)]
    struct Own {
        #[expect(dead_code, reason = "only its schema counts")]
        response_format: String,
    }
    refused(
        &worker().tool(Tool::new("a", async |_, _: u8| {
            Ok::<_, ToolError>(Text {
                text: String::new(),
            })
        })),
        "arguments are not an object",
    );
    refused(
        &worker().tool(Tool::new("a", async |_, _: Own| {
            Ok::<_, ToolError>(Text {
                text: String::new(),
            })
        })),
        "response_format belongs to the runtime",
    );
}
