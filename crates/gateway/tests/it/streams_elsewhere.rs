//! Event streams that are at another gateway than the one the client has come to.

use axum::http::{Method, StatusCode};
use bus::memory::MemoryBus;
use serde_json::json;

use crate::harness::*;

const KEY: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";

struct Site {
    bus: MemoryBus,
    worker: Worker,
    one: Gate,
    two: Gate,
    session: String,
}

impl Site {
    async fn start() -> Self {
        let bus = MemoryBus::new();
        let worker = Worker::start(&bus).await;
        let gate = async || {
            let gate = Gate::with(&bus, |settings| {
                settings.session_key = Some(KEY.parse().unwrap());
            })
            .await;
            gate.lists("lab_steps").await;
            gate
        };
        let (one, two) = (gate().await, gate().await);
        let session = one.client().session("2025-11-25").await;
        Self {
            bus,
            worker,
            one,
            two,
            session,
        }
    }

    async fn get(&self, gate: &Gate, last: Option<&str>) -> Reading {
        Reading::get(gate, &self.session, last).await
    }
}

#[tokio::test]
async fn the_rest_of_a_stream_is_read_at_another_gateway() {
    let site = Site::start().await;
    site.worker.step(2);
    let mut reading = Reading::call(&site.one, &site.session, "nnnn").await;
    reading.id().await;
    let (first, _) = reading.message().await;
    drop(reading);
    let mut elsewhere = site.get(&site.two, Some(&first)).await;
    assert_eq!(elsewhere.id().await, first);
    let (second, message) = elsewhere.message().await;
    assert_eq!(progress(&message), 1);
    site.worker.step(1);
    assert_eq!(progress(&elsewhere.message().await.1), 2);
    // Back at the first, the second is no longer read.
    let mut back = site.get(&site.one, Some(&second)).await;
    assert_eq!(elsewhere.next().await, None);
    back.id().await;
    assert_eq!(progress(&back.message().await.1), 2);
    drop(back);
    site.worker.step(2);
    eventually("the call has ended", || async {
        site.worker.running() == 0
    })
    .await;
    let mut last = site.get(&site.two, Some(&second)).await;
    last.id().await;
    assert_eq!(progress(&last.message().await.1), 2);
    assert_eq!(progress(&last.message().await.1), 3);
    let (id, answer) = last.message().await;
    assert_eq!(answer["result"]["structuredContent"]["done"], true);
    assert_eq!(last.next().await, None);
    let session = &*site.session;
    let headers = [
        ("accept", "text/event-stream"),
        ("mcp-session-id", session),
        ("last-event-id", &*id),
    ];
    let over = site.two.client().send(Method::GET, &headers, "").await;
    assert_eq!(over.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_client_that_was_sent_away_may_come_back_anywhere() {
    let site = Site::start().await;
    site.worker.step(1);
    let mut reading = Reading::call(&site.one, &site.session, "dd").await;
    let last = reading.id().await;
    assert_eq!(reading.next().await, None);
    let mut elsewhere = site.get(&site.two, Some(&last)).await;
    elsewhere.id().await;
    site.worker.step(1);
    assert_eq!(elsewhere.next().await, None, "it is sent away again");
    let mut again = site.get(&site.two, Some(&last)).await;
    again.id().await;
    site.worker.step(1);
    assert_eq!(again.message().await.1["id"], 7);
}

#[tokio::test]
async fn a_stream_of_news_ends_when_another_is_opened_elsewhere() {
    let site = Site::start().await;
    let mut older = site.get(&site.one, None).await;
    older.id().await;
    let mut newer = site.get(&site.two, None).await;
    newer.id().await;
    assert_eq!(older.next().await, None);
    let _more = Worker::of(&site.bus, "lab", &[descriptor("lab_more")]).await;
    let (_, message) = newer.message().await;
    assert_eq!(message["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn news_are_kept_for_a_client_that_comes_back_elsewhere() {
    let site = Site::start().await;
    let mut reading = site.get(&site.one, None).await;
    let last = reading.id().await;
    drop(reading);
    let _more = Worker::of(&site.bus, "lab", &[descriptor("lab_more")]).await;
    site.one.lists("lab_more").await;
    let mut elsewhere = site.get(&site.two, Some(&last)).await;
    assert_eq!(elsewhere.id().await, last);
    let (id, message) = elsewhere.message().await;
    assert_eq!(message["method"], "notifications/tools/list_changed");
    assert_eq!(id, last.replace(".0", ".1"), "it is still the first one's");
}

#[tokio::test]
async fn when_a_gateway_is_gone_only_the_streams_on_it_break() {
    let site = Site::start().await;
    site.worker.step(1);
    let mut call = Reading::call(&site.one, &site.session, "nn").await;
    let of_call = call.id().await;
    let mut news = site.get(&site.one, None).await;
    let of_news = news.id().await;
    drop((call, news));
    let Site {
        one,
        two,
        worker: _worker,
        session,
        ..
    } = site;
    drop(one);
    let mut lost = Reading::get(&two, &session, Some(&of_call)).await;
    let event = lost.next().await.unwrap();
    let message = event.json().unwrap();
    assert_eq!(
        (&message["id"], &message["error"]["code"]),
        (&json!(7), &json!(-31004))
    );
    assert_eq!(event.id, None, "there is nothing to come back to");
    assert_eq!(lost.next().await, None);
    let mut again = Reading::get(&two, &session, Some(&of_news)).await;
    assert_ne!(
        again.id().await.split('.').next(),
        of_news.split('.').next()
    );
    let (_, message) = again.message().await;
    assert!(
        message["method"]
            .as_str()
            .unwrap()
            .ends_with("/list_changed")
    );
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let goes_on = two.client().legacy(&session, &ping).await;
    assert_eq!(goes_on.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_does_not_get_the_stream_of_another_at_any_gateway() {
    let site = Site::start().await;
    let other = site.two.client().session("2025-11-25").await;
    site.worker.step(1);
    let mut reading = Reading::call(&site.one, &site.session, "nn").await;
    let id = reading.id().await;
    let mut stolen = Reading::get(&site.two, &other, Some(&id)).await;
    let event = stolen.next().await.unwrap().json().unwrap();
    assert_eq!(event["error"]["code"], -31004);
    assert_eq!(stolen.next().await, None);
    assert_eq!(
        progress(&reading.message().await.1),
        0,
        "it is read undisturbed"
    );
}
