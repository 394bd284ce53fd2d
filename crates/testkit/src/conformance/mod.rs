//! A worker with what the official MCP conformance suite asks a server for.
//!
//! It is an ordinary worker of the category `conformance`: it knows revision 2026-07-28 alone, and
//! whatever the suite's older scenarios see is made of that by the gateway. The names, and where
//! the suite reads them the texts, are the suite's (npm `@modelcontextprotocol/conformance`); its
//! tasks extension is left out, as the gateway does not offer it. Beside them are `test_abort` and
//! `test_at_most_once`, for tests of faults.
//!
//! The binary `discovery-conformance-worker` runs it; `docs/conformance.md` tells how it is used.

mod abort;
mod content;
mod declare;
mod elicitation;
mod events;
mod media;
mod once;
mod prompts;
mod resources;
mod rounds;

use std::num::NonZeroU16;

use protocol::Category;
use worker::Worker;

/// Calls that the worker runs at once: the suite makes few, and some of them wait.
const PREFETCH: NonZeroU16 = NonZeroU16::new(32).unwrap();

/// The worker of the category `conformance`.
///
/// # Panics
/// Never: the name of the category is a constant.
#[must_use]
pub fn worker() -> Worker {
    #[expect(
        clippy::expect_used,
        reason = "a constant, which a test of this module reads"
    )]
    let category: Category = "conformance".parse().expect("a category's name");
    let mut worker = Worker::new(category, PREFETCH);
    let tools = [
        content::tools(),
        elicitation::tools(),
        events::tools(),
        rounds::tools(),
    ];
    for tool in tools
        .into_iter()
        .flatten()
        .chain([abort::tool(), once::tool()])
    {
        worker = worker.tool(tool);
    }
    for prompt in prompts::prompts() {
        worker = worker.prompt(prompt);
    }
    for resource in resources::resources() {
        worker = worker.resource(resource);
    }
    worker.resource_template(resources::template())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_declaration_is_one_that_clients_can_use() {
        worker().check().unwrap();
    }

    #[tokio::test]
    async fn the_tools_run() {
        let worker = worker();
        let check = async |name: &str, arguments, expected: &str| {
            let answer = worker.call_for_test(name, arguments).await.to_string();
            assert!(answer.contains(expected), "{name}: {answer}");
        };
        check("test_simple_text", json!({}), "simple text response").await;
        check("test_error_handling", json!({}), "\"isError\":true").await;
        check("test_custom_header", json!({"value": "blue"}), "blue").await;
        check("json_schema_2020_12_tool", json!({}), "\"isError\":true").await;
        let person = json!({"name": "Ada", "email": "ada@lab.test"});
        check("json_schema_2020_12_tool", person, "Ada").await;
        check("test_missing_capability", json!({}), "-32021").await;
    }
}
