use protocol::{LogLevel, ToolError, headers};
use serde_json::{Value, json};
use worker::{Context, Tool};

use crate::lab::{self, Nothing, Text};
use crate::site::Site;

/// Tells things of every kind and ends at once after the last.
fn talk() -> Tool {
    Tool::new("talk", async |context: Context, _: Nothing| {
        context.log(LogLevel::Debug, None, "fine");
        context.log(LogLevel::Info, Some("talk"), json!({"at": 1.5}));
        context.progress(1.0, None, "half");
        context.detach();
        context.log(LogLevel::Error, None, "bad");
        context.progress(2.0, None, "");
        let text = "done".to_owned();
        Ok::<_, ToolError>(Text { text })
    })
}

/// What came before the answer: method or type, and the parameters or the body.
async fn told(meta: Value) -> Vec<(String, Value)> {
    let mut site = Site::with(lab::worker().tool(talk())).await;
    let params = json!({"name": "talk", "_meta": meta});
    site.publish(site.request_with("a", "talk", &params)).await;
    let mut told = Vec::new();
    loop {
        let reply = site.reply().await;
        assert_eq!(reply.correlation_id, "a");
        assert_eq!(reply.sequence, i64::try_from(told.len()).unwrap());
        if reply.is_final {
            assert_eq!(reply.text(), "done");
            site.all_is_settled().await;
            return told;
        }
        if reply.kind == headers::kind::DETACH {
            told.push((reply.kind, reply.body));
        } else {
            assert_eq!(reply.kind, headers::kind::NOTIFICATION);
            let method = reply.body["method"].as_str().unwrap().to_owned();
            told.push((method, reply.body["params"].clone()));
        }
    }
}

fn log(params: Value) -> (String, Value) {
    ("notifications/message".to_owned(), params)
}

fn detach() -> (String, Value) {
    ("detach".to_owned(), json!({}))
}

#[tokio::test]
async fn log_messages_progress_and_detach_come_in_order() {
    let meta = json!({"progressToken": 7, "io.modelcontextprotocol/logLevel": "info"});
    let progress = |params: Value| ("notifications/progress".to_owned(), params);
    assert_eq!(
        told(meta).await,
        [
            log(json!({"level": "info", "logger": "talk", "data": {"at": 1.5}})),
            progress(json!({"progressToken": 7, "progress": 1.0, "message": "half"})),
            detach(),
            log(json!({"level": "error", "data": "bad"})),
            progress(json!({"progressToken": 7, "progress": 2.0})),
        ]
    );
}

#[tokio::test]
async fn only_messages_as_severe_as_the_caller_wants_are_sent() {
    let meta = |level: &str| json!({ "io.modelcontextprotocol/logLevel": level });
    let data = |told: Vec<(String, Value)>| -> Vec<Value> {
        let data = told.into_iter().map(|(_, params)| params["data"].clone());
        data.filter(|data| !data.is_null()).collect()
    };
    assert_eq!(
        data(told(meta("debug")).await),
        [json!("fine"), json!({"at": 1.5}), json!("bad")]
    );
    assert_eq!(data(told(meta("notice")).await), ["bad"]);
    assert_eq!(data(told(meta("emergency")).await), [Value::Null; 0]);
}

#[tokio::test]
async fn who_asks_for_no_messages_gets_none() {
    assert_eq!(told(json!({})).await, [detach()]);
}

#[tokio::test]
async fn without_a_bus_nothing_is_told() {
    let worker = lab::worker().tool(talk());
    let result = worker.call_for_test("talk", json!({})).await;
    assert_eq!(result["content"][0]["text"], "done");
}
