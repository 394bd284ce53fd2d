//! What the broker forgets, and when.

use serde_json::json;
use testkit::{http::Request, wait};

use super::operator::Operator;
use crate::site::{Running, SOON, Site, WORK_QUEUE};

#[tokio::test]
async fn a_queued_call_expires_at_the_broker() {
    let site = Site::new().await;
    let gateway = site.gateway_program().await.env("AMQP_MESSAGE_TTL", "5s");
    let gateway = Running::gateway(gateway);
    let (worker, ()) = tokio::join!(site.worker(), gateway.ready());
    gateway.lists("ping").await;
    // Nobody says goodbye, so calls are queued for a while.
    worker.kill_9().unwrap();
    site.until_work_queue("no consumer", |counts| counts.consumers == 0)
        .await;
    let mut call = Request::modern_call(1, "ping", &json!({ "host": "127.0.0.1" }));
    call.body["params"]["_meta"]["opendiscovery/timeoutMs"] = 20_000.into();
    let _open = gateway.open(&call).await;
    site.until_work_queue("a call waits", |counts| counts.ready == 1)
        .await;
    let waiting = Operator::of(&site)
        .await
        .eval(&format!(
            "begin {{ok, Message}} = rabbit_quorum_queue:peek(VHOST, <<\"{WORK_QUEUE}\">>, 1), \
             rabbit_json:encode(Message) end"
        ))
        .await;
    assert_eq!(waiting["expiration"], "5000", "{waiting}");
    site.until_work_queue("it is forgotten", |counts| counts.ready == 0)
        .await;
}

#[tokio::test]
async fn reply_queues_expire_and_work_queues_never() {
    let site = Site::new().await;
    let settings = [("AMQP_QUEUE_TTL", "45s")];
    let gateway = site.gateway_program().await.env("AMQP_QUEUE_TTL", "45s");
    let gateway = Running::gateway(gateway);
    let (_worker, ()) = tokio::join!(site.worker_with(&settings), gateway.ready());
    gateway.lists("ping").await;
    let operator = Operator::of(&site).await;
    let reply_queue = async || {
        let queues = operator.topology().await.queues;
        queues
            .into_iter()
            .find(|queue| queue.name.ends_with(".responses"))
    };
    let reply_queue = wait::until("a reply queue", SOON, reply_queue)
        .await
        .unwrap();
    assert_eq!(reply_queue.arguments["x-expires"], 45_000);
    for queue in operator.topology().await.queues {
        let expires = queue.arguments.contains_key("x-expires");
        assert_eq!(expires, queue.exclusive, "{queue:?}");
    }
}
