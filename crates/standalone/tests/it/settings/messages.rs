//! What one message on the bus may be.

use serde_json::json;
use testkit::http::Request;

use super::operator::Operator;
use crate::site::{Running, Site, WORK_QUEUE, embedded_program};

#[tokio::test]
async fn a_call_that_is_larger_than_a_message_may_be_is_refused_with_its_size() {
    let program = embedded_program().await;
    let platform = Running::gateway(program.env("AMQP_MAX_MESSAGE_SIZE", "65536"));
    platform.ready().await;
    platform.lists("ping").await;
    let answer = platform
        .call("ping", json!({ "host": "a".repeat(70_000) }))
        .await;
    assert_eq!(answer["error"]["code"], -32600, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    for part in ["65536", "AMQP_MAX_MESSAGE_SIZE"] {
        assert!(message.contains(part), "{message}");
    }
    // A setting of the bus, not of the tool.
    let answer = platform
        .call("ping", json!({ "host": "a".repeat(300) }))
        .await;
    assert!(answer["error"].is_null(), "{answer}");
}

#[tokio::test]
async fn requests_above_the_threshold_are_compressed() {
    let check = async |threshold: &str, expected: bool| {
        let site = Site::new().await;
        let gateway = site
            .gateway_program()
            .await
            .env("AMQP_COMPRESSION_THRESHOLD", threshold);
        let gateway = Running::gateway(gateway);
        let (worker, ()) = tokio::join!(site.worker(), gateway.ready());
        gateway.lists("ping").await;
        // Nobody says goodbye, so calls are queued for a while.
        worker.kill_9().unwrap();
        site.until_work_queue("no consumer", |counts| counts.consumers == 0)
            .await;
        let call = Request::modern_call(1, "ping", &json!({ "host": "a".repeat(2000) }));
        let _open = gateway.open(&call).await;
        site.until_work_queue("a call waits", |counts| counts.ready == 1)
            .await;
        let waiting = Operator::of(&site)
            .await
            .eval(&format!(
                "begin {{ok, Message}} = rabbit_quorum_queue:peek(VHOST, <<\"{WORK_QUEUE}\">>, 1), \
                 rabbit_json:encode([{{K, V}} || {{K, V}} <- Message, K =:= content_encoding \
                 orelse K =:= <<\"content_encoding\">>]) end"
            ))
            .await;
        let is_compressed = waiting["content_encoding"] == "zstd";
        assert_eq!(is_compressed, expected, "{waiting}");
    };
    tokio::join!(check("1000", true), check("", false));
}
