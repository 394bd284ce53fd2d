//! A call that no worker survives: it ends, it is kept, and nobody else suffers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::process::{Program, binary};
use testkit::wait;
use tokio_util::sync::CancellationToken;

use crate::site::{END, Running, SOON, Site};

/// The caller's trace.
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";

/// Keeps two workers running until the call is answered; gives how many have died and the two
/// that live.
async fn keep_alive(site: &Site, done: &CancellationToken) -> (usize, Vec<Running>) {
    // Each may die before anyone asks whether it is ready.
    let start = async || Running::worker(site.conformance_program().await);
    let mut workers = vec![start().await, start().await];
    let mut n_dead = 0;
    while !done.is_cancelled() {
        for worker in &mut workers {
            if worker.try_exit().unwrap().is_some() {
                // SIGABRT
                assert_eq!(worker.exit_code(END).await.unwrap(), 128 + 6);
                n_dead += 1;
                *worker = start().await;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (n_dead, workers)
}

/// Calls a tool that answers at once, again and again; gives how often. The last call may come
/// after all is over, where the ones before died with every worker.
async fn others(gateway: &Running, done: &CancellationToken) -> usize {
    let mut n_calls = 0;
    while n_calls == 0 || !done.is_cancelled() {
        let answer = gateway.call("test_simple_text", json!({})).await;
        // A call that is in the same process each time that one dies was handed out as often.
        if answer["error"]["code"] != -31005 {
            assert_eq!(answer["result"]["isError"], false, "{answer}");
            n_calls += 1;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    n_calls
}

async fn discovery(site: &Site, arguments: &[&str]) -> Value {
    let program = Program::new(binary("cli", "discovery").await.unwrap())
        .args(arguments)
        .env("AMQP_URL", site.url());
    let output = program.run(b"", SOON).await.unwrap();
    assert_eq!(output.code, Some(0), "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_kills_every_worker_ends_as_a_letter_while_others_are_answered() {
    let site = Site::new().await;
    let gateway = site.gateway().await;
    let done = CancellationToken::new();
    let poison = async {
        gateway.lists("test_abort").await;
        let began = Instant::now();
        let meta = json!({ "traceparent": format!("00-{TRACE_ID}-b7ad6b7169203331-01") });
        let params = json!({ "name": "test_abort", "arguments": {}, "_meta": meta });
        let request = testkit::http::Request::modern(1, "tools/call", params);
        let reply = gateway.client().send(&request, 2 * SOON).await.unwrap();
        println!("given up after {:?}", began.elapsed());
        done.cancel();
        reply.answer().unwrap().clone()
    };
    let bystanders = async {
        gateway.lists("test_simple_text").await;
        others(&gateway, &done).await
    };
    let (answer, (n_dead, workers), n_others) =
        tokio::join!(poison, keep_alive(&site, &done), bystanders);
    assert_eq!(answer["error"]["code"], -31005, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("5 times"), "{message}");
    assert!(n_dead >= 5, "{n_dead}");
    println!("{n_others} other calls were answered");
    assert!(n_others >= 1, "{n_others}");

    // The caller is told first, and the letter written then.
    let letters = async || {
        let letters = discovery(&site, &["dead", "list", "--json"]).await;
        let mut letters = letters.as_array().unwrap().iter();
        letters.find(|it| it["name"] == "test_abort").cloned()
    };
    let letter = wait::until("the letter", SOON, letters).await.unwrap();
    assert_eq!(letter["category"], "conformance");
    assert_eq!(letter["deliveries"], 5);
    assert_eq!(letter["traceId"], TRACE_ID, "{letter}");
    let unknown = "hand-out 1: unknown here";
    assert!(
        letter["firstError"].as_str().unwrap().starts_with(unknown),
        "{letter}"
    );
    let mut counted = 0.0;
    for worker in &workers {
        counted += worker
            .metric("discovery_dead_letters_total", "conformance")
            .await;
    }
    assert!(counted > 0.5, "{counted}");
    let id = letter["id"].as_str().unwrap();
    let logged = |worker: &Running| {
        let lines = worker.stderr().all();
        let parts = ["became a dead letter", id, TRACE_ID];
        lines
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)))
    };
    assert!(workers.iter().any(logged), "no line for {id}");
    let answer = gateway.call("test_simple_text", json!({})).await;
    assert_eq!(answer["result"]["isError"], false, "{answer}");
}
