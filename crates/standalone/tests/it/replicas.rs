//! Several gateways with one key: a session belongs to none of them.

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::http::{Connection, Request};
use testkit::wait;

use crate::site::{READY, Running, SOON, Session, Site, Target, body_of, legacy};

/// The key that the gateways of a test share.
const KEY: &str = "4f70656e20446973636f76657279206b65657073207365637265747320736166";
const N_SESSIONS: usize = 200;

/// A gateway that seals with the common key.
async fn replica(site: &Site) -> Running {
    let program = site.gateway_program().await.env("SESSION_KEY", KEY);
    let gateway = Running::gateway(program);
    gateway.ready().await;
    gateway.lists("wget").await;
    gateway
}

fn request(id: usize, method: &str, params: impl Into<Value>) -> Value {
    let params: Value = params.into();
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

async fn result(session: &Session, id: usize, method: &str, params: Value) -> Value {
    let reply = session.send(request(id, method, params)).await;
    assert_eq!(reply.status, 200, "{method}: {reply:?}");
    let answer = reply.answer().unwrap();
    assert!(answer["result"].is_object(), "{method}: {answer}");
    answer["result"].clone()
}

/// Everything a session does, each request at the other replica than the last.
async fn use_session(number: usize, session: &Session, replicas: &[&Running], target: &Target) {
    for round in 0..6 {
        let here = session.at(replicas[(number + round) % replicas.len()]);
        let path = format!("/session/{number}/{round}");
        let call = legacy(7, "wget", &target.arguments(&path));
        let reply = here.send(call).await;
        let answer = reply
            .answer()
            .unwrap_or_else(|error| panic!("{path}: {error:#}"));
        assert_eq!(body_of(answer), path);
        let listed = result(&here, 1, "tools/list", json!({})).await;
        assert!(listed["tools"].as_array().is_some_and(|it| it.len() == 9));
        result(&here, 2, "ping", json!({})).await;
        result(&here, 3, "logging/setLevel", json!({ "level": "error" })).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sessions_alternate_between_two_replicas_and_outlive_one_of_them() {
    let site = Site::new().await;
    let worker = site.worker_with(&[("AMQP_PREFETCH_COUNT", "256")]);
    let (_worker, first, second) = tokio::join!(worker, replica(&site), replica(&site));
    let target = Target::echo().await;
    let both = [&first, &second];
    let open = (0..N_SESSIONS).map(async |number| Session::open(both[number % 2]).await);
    let sessions = join_all(open).await;
    let used = sessions
        .iter()
        .enumerate()
        .map(|(number, session)| use_session(number, session, &both, &target));
    join_all(used).await;
    assert_eq!(
        target.asked().len(),
        N_SESSIONS * 6,
        "a call ran twice, or not at all"
    );

    // Streams on both; those of the replica that dies break, the others do not.
    let n_streams = 20;
    let listening = sessions.iter().take(n_streams).enumerate();
    let mut streams =
        join_all(listening.map(async |(number, session)| session.listen(both[number % 2]).await))
            .await;
    second.kill_9().unwrap();
    for stream in streams.iter_mut().skip(1).step_by(2) {
        assert!(to_the_end(stream).await.is_err(), "it broke without an end");
    }
    let survivor = [&first];
    let used = sessions
        .iter()
        .enumerate()
        .map(|(number, session)| use_session(number, session, &survivor, &target));
    join_all(used).await;
    for (number, session) in sessions.iter().enumerate().take(n_streams).step_by(2) {
        assert_eq!(
            session.at(&first).end(&first).await,
            204,
            "session {number}"
        );
    }
    for stream in streams.iter_mut().step_by(2) {
        to_the_end(stream)
            .await
            .expect("it was open until its session ended");
    }
}

/// Reads a stream to its end.
async fn to_the_end(stream: &mut Connection) -> anyhow::Result<()> {
    while stream.event(SOON).await?.is_some() {}
    Ok(())
}

/// Whether a replica still serves a session.
async fn serves(session: &Session, replica: &Running) -> bool {
    let reply = session
        .at(replica)
        .send(request(1, "ping", json!({})))
        .await;
    assert!([200, 404].contains(&reply.status), "{reply:?}");
    reply.status == 200
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_was_ended_stays_ended_also_at_a_replica_that_starts_later() {
    let site = Site::new().await;
    let worker = site.worker();
    let (_worker, first, second) = tokio::join!(worker, replica(&site), replica(&site));
    let (ended, kept) = tokio::join!(Session::open(&first), Session::open(&second));
    for replica in [&first, &second] {
        assert!(serves(&ended, replica).await && serves(&kept, replica).await);
    }
    assert_eq!(ended.end(&first).await, 204);
    assert!(!serves(&ended, &first).await);
    let heard = async || (!serves(&ended, &second).await).then_some(());
    wait::until("the other replica has heard of the end", SOON, heard)
        .await
        .unwrap();

    second.kill_9().unwrap();
    second.exit_code(READY).await.ok();
    let again = replica(&site).await;
    assert!(
        !serves(&ended, &again).await,
        "a restarted replica took it for open"
    );
    assert!(serves(&kept, &again).await && serves(&kept, &first).await);
    assert!(!serves(&ended, &first).await);
    assert_eq!(ended.end(&again).await, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_with_different_keys_say_so() {
    let site = Site::new().await;
    let (_worker, first) = tokio::join!(site.worker(), replica(&site));
    let other = Running::gateway(
        site.gateway_program()
            .await
            .env("SESSION_KEY", "ff".repeat(32)),
    );
    other.ready().await;
    let session = Session::open(&first).await;
    assert!(!serves(&session, &other).await);
    for gateway in [&first, &other] {
        let warned = |line: &str| line.contains("WARN") && line.contains("SESSION_KEY");
        let what = "a warning about the keys";
        gateway.stderr().line(what, SOON, warned).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_of_a_resource_reach_clients_of_both_eras_at_every_replica() {
    const URI: &str = "test://watched-resource";
    let site = Site::new().await;
    let gateway = async || {
        let program = site.gateway_program().await.env("SESSION_KEY", KEY);
        let gateway = Running::gateway(program);
        gateway.ready().await;
        gateway.lists("test_trigger_resource_update").await;
        gateway
    };
    let (_worker, first, second) = tokio::join!(site.conformance_worker(), gateway(), gateway());
    let session = Session::open(&first).await;
    let uri = json!({ "uri": URI });
    result(&session, 1, "resources/subscribe", uri.clone()).await;
    let mut stream = session.listen(&second).await;
    let filter = json!({ "notifications": { "resourceSubscriptions": [URI] } });
    let listen = Request::modern(7, "subscriptions/listen", filter);
    let mut subscription = first.open(&listen).await;
    subscription.head(SOON).await.unwrap();
    let acknowledged = next_message(&mut subscription).await;
    assert_eq!(
        acknowledged["method"],
        "notifications/subscriptions/acknowledged"
    );

    second.call("test_trigger_resource_update", json!({})).await;
    let told = next_message(&mut subscription).await;
    assert_eq!(told["method"], "notifications/resources/updated");
    let id = &told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
    assert_eq!((&told["params"]["uri"], id), (&json!(URI), &json!(7)));
    loop {
        let told = next_message(&mut stream).await;
        // A gateway that has just begun to listen says that anything may have changed.
        if told["method"] == "notifications/resources/updated" {
            assert_eq!(told["params"], uri);
            break;
        }
    }
}

/// The next event that says something.
async fn next_message(connection: &mut Connection) -> Value {
    loop {
        let event = connection.event(SOON).await.unwrap().expect("an event");
        if event.is_message() {
            return event.json().unwrap();
        }
    }
}
