//! Many workers, many clients, several ways in: each call runs once, and its answer, its progress
//! and its cancellation are its caller's alone.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Instant;

use futures::future::join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use testkit::http::{Connection, Request, RpcClient};
use testkit::ports::free_port;
use testkit::process::Program;
use testkit::wait;
use tokio::task::JoinSet;

use crate::site::{
    Answer, READY, Running, SOON, Session, Site, Stdio, Target, body_of, embedded_program, legacy,
};

/// The counter of ended calls.
const CALLS: &str = "discovery_calls_total";

/// Allows this process, and the processes that it starts, to have thousands of connections: the
/// usual limit is 1024.
fn allow_many_connections() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most.min(65_536), most).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_share_300_calls_and_each_call_runs_once() {
    const N_CALLS: usize = 300;
    let site = Site::new().await;
    let programs = join_all((0..3).map(|_| site.worker_program())).await;
    let workers: Vec<Running> = programs.into_iter().map(Running::worker).collect();
    let (gateway, ..) = tokio::join!(site.gateway(), join_all(workers.iter().map(Running::ready)));
    gateway.lists("wget").await;
    let target = Target::echo().await;
    let paths: Vec<String> = (0..N_CALLS).map(|call| format!("/call/{call}")).collect();
    let calls = paths.iter().map(async |path| {
        let answer = gateway.call("wget", target.arguments(path)).await;
        assert_eq!(body_of(&answer), path);
    });
    join_all(calls).await;
    let asked = target.asked();
    assert_eq!(asked.len(), N_CALLS, "a call ran twice");
    assert_eq!(
        asked.iter().collect::<BTreeSet<_>>(),
        paths.iter().collect()
    );
    let shares = join_all(workers.iter().map(|worker| worker.metric(CALLS, ""))).await;
    println!("calls of each worker: {shares:?}");
    let total: f64 = shares.iter().sum();
    assert!((total - 300.0).abs() < 0.5, "{shares:?}");
    assert!(shares.iter().all(|share| *share >= 60.0), "{shares:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_clients_with_one_request_id_get_their_own_answers_embedded() {
    allow_many_connections();
    let program = embedded_program().await.env("AMQP_PREFETCH_COUNT", "1024");
    let platform = Running::gateway(program);
    platform.ready().await;
    thousand_clients(&platform).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_clients_with_one_request_id_get_their_own_answers_through_rabbitmq() {
    allow_many_connections();
    let site = Site::new().await;
    let worker = site.worker_with(&[("AMQP_PREFETCH_COUNT", "1024")]);
    let (_worker, gateway) = tokio::join!(worker, site.gateway());
    thousand_clients(&gateway).await;
}

/// All calls have the id 1 and are in flight together: none is answered before the last has
/// reached the target.
async fn thousand_clients(gateway: &Running) {
    const N_CLIENTS: usize = 1000;
    gateway.lists("wget").await;
    let target = Target::start(|_, _| Answer::Released).await;
    let mut clients = JoinSet::new();
    let began = Instant::now();
    for number in 0..N_CLIENTS {
        let path = format!("/client/{number}");
        let arguments = target.arguments(&path);
        let request = Request::modern_call(1, "wget", &arguments);
        // A client of its own: it shares no connection with the others.
        let client = RpcClient::new(gateway.url());
        let is_legacy = number % 4 == 0;
        clients.spawn(async move {
            let reply = if is_legacy {
                let session = Session::open_with(client).await;
                session.send(legacy(1, "wget", &arguments)).await
            } else {
                client.send(&request, READY).await.unwrap()
            };
            let answer = reply.answer().unwrap();
            assert_eq!((&answer["id"], body_of(answer)), (&json!(1), &*path));
        });
    }
    target.until_asked(N_CLIENTS).await;
    println!("all calls at the target after {:?}", began.elapsed());
    target.release();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    println!("all answers after {:?}", began.elapsed());
    assert_eq!(target.asked().len(), N_CLIENTS, "a call ran twice");
}

/// The progress token that all clients of a test use.
const TOKEN: &str = "token";

fn ping(address: &str) -> Value {
    json!({ "host": address, "count": 10, "response_format": "json" })
}

/// A call with the id and the progress token that all others have too.
async fn modern_ping(gateway: &Running, address: &str) -> Connection {
    let meta = json!({ "progressToken": TOKEN });
    let params = json!({ "name": "ping", "arguments": ping(address), "_meta": meta });
    gateway
        .open(&Request::modern(7, "tools/call", params))
        .await
}

async fn legacy_ping(gateway: &Running, session: &Session, address: &str) -> Connection {
    let mut call = legacy(7, "ping", &ping(address));
    call["params"]["_meta"] = json!({ "progressToken": TOKEN });
    gateway.open(&session.request(call)).await
}

/// Reads the messages of a stream to its end.
async fn rest(connection: &mut Connection) -> Vec<Value> {
    let mut messages = Vec::new();
    while let Some(event) = connection.event(SOON).await.unwrap() {
        if event.is_message() {
            messages.push(event.json().unwrap());
        }
    }
    messages
}

/// Checks that a message is about the ping of one address.
fn check_progress(message: &Value, address: &str) {
    let params = &message["params"];
    assert_eq!(message["method"], "notifications/progress", "{message}");
    assert_eq!(params["progressToken"], TOKEN, "{message}");
    let text = params["message"].as_str().unwrap();
    assert!(text.contains(&format!("from {address} ")), "{message}");
}

async fn first_progress(connection: &mut Connection, address: &str) {
    let head = connection.head(SOON).await.unwrap();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    loop {
        let event = connection.event(SOON).await.unwrap().unwrap();
        if event.is_message() {
            return check_progress(&event.json().unwrap(), address);
        }
    }
}

/// Reads what follows the first progress of a call that nobody cancels.
async fn check_whole(mut connection: Connection, address: &str) {
    let mut messages = rest(&mut connection).await;
    let answer = messages.pop().unwrap();
    assert_eq!(answer["id"], 7);
    let result = &answer["result"]["structuredContent"];
    assert_eq!(
        (&result["host"], &result["received"]),
        (&json!(address), &json!(10))
    );
    assert_eq!(messages.len(), 9, "{messages:?}");
    for message in &messages {
        check_progress(message, address);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_and_cancellation_concern_only_the_one_call() {
    let site = Site::new().await;
    let (worker, gateway) = tokio::join!(site.worker(), site.gateway());
    gateway.lists("ping").await;
    let sessions = [Session::open(&gateway).await, Session::open(&gateway).await];
    let mut streams = [
        modern_ping(&gateway, "127.0.0.1").await,
        modern_ping(&gateway, "127.0.0.2").await,
        legacy_ping(&gateway, &sessions[0], "127.0.0.3").await,
        legacy_ping(&gateway, &sessions[1], "127.0.0.4").await,
    ];
    for (stream, last) in streams.iter_mut().zip(1..) {
        first_progress(stream, &format!("127.0.0.{last}")).await;
    }
    let [cancelled_modern, modern, mut cancelled_legacy, legacy] = streams;
    drop(cancelled_modern);
    sessions[0].cancel(7).await;
    let after = rest(&mut cancelled_legacy).await;
    assert!(after.len() < 9, "it went on: {after:?}");
    for message in &after {
        check_progress(message, "127.0.0.3");
    }
    tokio::join!(
        check_whole(modern, "127.0.0.2"),
        check_whole(legacy, "127.0.0.4")
    );
    for process in [&gateway, &worker] {
        let counted = async || {
            let cancelled = process.metric(CALLS, "outcome=\"cancelled\"").await;
            let whole = process.metric(CALLS, "outcome=\"ok\"").await;
            (cancelled >= 2.0 && whole >= 2.0).then_some((cancelled, whole))
        };
        let counts = wait::until("four calls are counted", SOON, counted);
        let (cancelled, whole) = counts.await.unwrap();
        assert!(
            cancelled + whole < 4.5,
            "{cancelled} cancelled, {whole} whole"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stdio_and_http_clients_of_one_gateway_get_their_own_answers() {
    let site = Site::new().await;
    let _worker = site.worker_with(&[("AMQP_PREFETCH_COUNT", "256")]).await;
    both_ways_in(site.gateway_program().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stdio_and_http_clients_of_one_process_get_their_own_answers() {
    both_ways_in(embedded_program().await.env("AMQP_PREFETCH_COUNT", "256")).await;
}

/// The same ids over both ways in, all in flight together.
async fn both_ways_in(program: Program) {
    const IDS: RangeInclusive<u64> = 1..=100;
    let port = free_port().unwrap();
    let program = program.env("HTTP_PORT", port.to_string());
    let stdio = Stdio::start(&program.env("TRANSPORT_MODE", "stdio,http"));
    stdio.initialize().await;
    let http = RpcClient::new(format!("http://127.0.0.1:{port}/mcp"));
    let target = Target::start(|_, _| Answer::Released).await;
    for id in IDS {
        let arguments = target.arguments(&format!("/stdio/{id}"));
        stdio.send(&legacy(id, "wget", &arguments));
    }
    let calls = IDS.map(async |id| {
        let path = format!("/http/{id}");
        let request = Request::modern_call(id, "wget", &target.arguments(&path));
        let reply = http.send(&request, READY).await.unwrap();
        let answer = reply.answer().unwrap();
        assert_eq!((&answer["id"], body_of(answer)), (&json!(id), &*path));
    });
    let release = async {
        target.until_asked(200).await;
        target.release();
    };
    tokio::join!(join_all(calls), release);
    for id in IDS {
        assert_eq!(body_of(&stdio.answer(id).await), format!("/stdio/{id}"));
    }
    let messages = stdio.messages();
    // The session is told of changed lists, too.
    let n_answers = messages.iter().filter(|it| it["id"].is_u64()).count();
    assert_eq!(n_answers, 101, "one answer for each request");
}
