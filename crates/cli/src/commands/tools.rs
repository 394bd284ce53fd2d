use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use service::{ExitError, Process};

use crate::client::Client;
use crate::output::{harmless, print};

/// Lists the tools.
pub(super) async fn run(process: Process, json: bool) -> Result<(), ExitError> {
    let mut client = Client::start(&process).await?;
    let tools = client.tools().await;
    client.end().await?;
    let tools = tools?;
    if json {
        return print(&format!("{:#}\n", Value::from(tools)));
    }
    if tools.is_empty() {
        let hint = "start a worker, for instance discovery-worker-network, with the same \
                    AMQP_URL and AMQP_QUEUE_PREFIX";
        return Err(ExitError::unavailable("no worker has announced a tool").hint(hint));
    }
    print(&harmless(&listing(&tools)))
}

/// Tools by category, one line each.
fn listing(tools: &[Value]) -> String {
    let mut categories: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for tool in tools {
        let category = tool["_meta"]["opendiscovery/category"]
            .as_str()
            .unwrap_or("other");
        let name = tool["name"].as_str().unwrap_or_default();
        let title = tool["title"]
            .as_str()
            .or(tool["description"].as_str())
            .unwrap_or_default();
        categories.entry(category).or_default().push((name, title));
    }
    let mut text = String::new();
    for (category, tools) in categories {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{category}");
        for (name, title) in tools {
            let first_line = title.lines().next().unwrap_or_default();
            let _ = writeln!(text, "  {name:<28} {first_line}");
        }
    }
    text
}
