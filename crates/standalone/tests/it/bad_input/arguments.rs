//! Arguments of the nine tools of the category network; other categories test theirs beside them.

use testkit::http::Request;

use super::{
    next_good_call_works,
    tables::{Row, tables},
};
use crate::site::{Running, SOON, embedded};

/// Calls a tool, which must fail in the way that the row says, and then one that works.
async fn check(platform: &Running, tool: &str, (arguments, code, says): Row) {
    let what = format!("{tool} {arguments}");
    let request = Request::modern_call("row", tool, &arguments);
    let reply = platform.client().send(&request, SOON).await.unwrap();
    assert_eq!(reply.status, 200, "{what}: {reply:?}");
    let answer = reply.answer().unwrap();
    assert_eq!(answer["id"], "row", "{what}");
    let result = &answer["result"];
    assert_eq!(result["isError"], true, "{what}: {answer}");
    let error = &result["structuredContent"]["error"];
    assert_eq!(error["code"], code, "{what}: {error}");
    assert_eq!(error["retryable"], false, "{what}");
    let message = error["message"].as_str().unwrap();
    for part in says {
        assert!(
            message.contains(part),
            "{what}: {part:?} is not in {message}"
        );
    }
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(message), "{what}: {text}");
    assert!(
        text.len() < 1500,
        "{what}: what is sent is not sent back whole"
    );
    assert!(!text.contains("hunter2"), "{what}: {text}");
    next_good_call_works(platform, &what).await;
}

#[tokio::test]
async fn every_tool_refuses_what_it_cannot_do_and_goes_on() {
    let platform = embedded().await;
    let tables = tables();
    let tools = platform.tools().await;
    let listed: Vec<&str> = tools
        .iter()
        .filter(|tool| tool["_meta"]["opendiscovery/category"] == "network")
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    assert_eq!(tables.each_ref().map(|(tool, _)| *tool).as_slice(), listed);
    for (tool, rows) in tables {
        for row in rows {
            check(&platform, tool, row).await;
        }
    }
}
