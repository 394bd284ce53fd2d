//! Clients that go without a word leave nothing behind.

use std::time::Duration;

use futures::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use testkit::http::Connection;
use testkit::process::{Program, binary};
use testkit::wait;

use crate::site::{READY, Running, Session, Site, legacy, resident};

const N_SESSIONS: usize = 10_000;
/// Sessions that are open together: each has two connections.
const WAVE: usize = 1000;
/// How long an unused session lives.
const IDLE: Duration = Duration::from_secs(5);
/// How long a gateway may take to see that sessions are idle, and to give back their memory.
const FORGOTTEN: Duration = Duration::from_mins(1);

/// A session with an open stream, a subscription and a request that waits for its user's input;
/// the connections are the client's, to drop.
async fn abandon(gateway: &Running) -> (Connection, Connection) {
    let session =
        Session::open_with_capabilities(gateway.client(), json!({ "elicitation": {} })).await;
    let stream = session.listen(gateway).await;
    let uri = json!({ "uri": "test://watched-resource" });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": uri });
    assert_eq!(session.send(body).await.status, 200);
    let call = legacy(2, "test_elicitation", &json!({ "message": "who?" }));
    let mut asking = gateway.open(&session.request(call)).await;
    asking.head(READY).await.unwrap();
    loop {
        let event = asking.event(READY).await.unwrap().expect("a question");
        let is_question = |message: Value| message["method"] == "elicitation/create";
        if event.json().is_ok_and(is_question) {
            return (stream, asking);
        }
    }
}

async fn wave(gateway: &Running) {
    for _ in 0..N_SESSIONS / WAVE {
        let open = join_all((0..WAVE).map(|_| abandon(gateway))).await;
        drop(open);
    }
}

/// What a gateway still holds of its clients.
async fn held(gateway: &Running) -> [f64; 3] {
    [
        gateway.metric("discovery_sessions", "").await,
        gateway.metric("discovery_streams", "").await,
        gateway.metric("discovery_pending_inputs", "").await,
    ]
}

async fn until_forgotten(gateway: &Running) {
    let nothing = async || {
        held(gateway)
            .await
            .iter()
            .all(|kept| *kept < 0.5)
            .then_some(())
    };
    wait::until("the sessions are forgotten", FORGOTTEN, nothing)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_abandoned_sessions_leave_neither_memory_nor_queues_many_sessions() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most.min(65_536), most).unwrap();
    let site = Site::new().await;
    let worker = Program::new(
        binary("testkit", "discovery-conformance-worker")
            .await
            .unwrap(),
    );
    let worker = Running::worker(
        worker
            .env("AMQP_URL", site.url())
            .env("AMQP_PREFETCH_COUNT", "256"),
    );
    worker.ready().await;
    let ttl = IDLE.as_millis().to_string();
    let gateway = Running::gateway(site.gateway_program().await.env("MCP_SESSION_TTL_MS", ttl));
    gateway.ready().await;
    gateway.lists("test_elicitation").await;

    // The first round takes what the process keeps for good: its allocator's arenas, its pools.
    let fresh = resident(&gateway);
    wave(&gateway).await;
    let at_most = resident(&gateway);
    until_forgotten(&gateway).await;
    let (before, queues_before) = (resident(&gateway), site.queues().await);
    wave(&gateway).await;
    until_forgotten(&gateway).await;
    let limit = before + before / 20;
    println!("KiB: fresh {fresh}, first round {at_most}, then {before}, limit {limit}");
    let back = async || {
        let now = resident(&gateway);
        (now <= limit).then_some(now)
    };
    let after = wait::until("the memory is given back", FORGOTTEN, back)
        .await
        .unwrap();
    println!("KiB after the second round: {after}");
    assert_eq!(site.queues().await, queues_before);
    let answer = gateway.call("test_simple_text", json!({})).await;
    assert!(answer["result"]["content"].is_array(), "{answer}");
}
