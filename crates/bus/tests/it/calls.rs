//! Calls: correlation, progress, deadlines, refusals.

use std::sync::Arc;
use std::time::Duration;

use bus::{
    Bus, CallError, CallRequest, Caller, Delivery, Frame, Headers, Message, Publish, PublishError,
};
use futures::StreamExt;
use protocol::control::Cancel;
use protocol::{Category, Names, headers};
use tokio::task::JoinSet;

use crate::on_both_buses;
use crate::site::{Site, next, within};

on_both_buses!(
    a_call_is_answered,
    progress_comes_in_order_before_the_answer,
    a_thousand_calls_get_their_own_answers,
    a_call_without_a_queue_is_refused,
    a_call_that_waits_for_a_worker_is_answered_by_the_first_one_ever,
    a_call_that_nobody_takes_ends_at_its_deadline_and_is_cancelled,
    a_cancelled_call_is_announced_to_the_workers,
    a_dropped_call_leaves_nothing_behind,
);

pub(crate) fn request(body: &str, timeout: Duration) -> CallRequest {
    CallRequest {
        category: Category::network(),
        tool: "ping".to_owned(),
        method: "tools/call",
        name: "ping".to_owned(),
        body: body.to_owned().into(),
        timeout,
        message_id: uuid::Uuid::new_v4().to_string(),
        idempotent: false,
        workers_read_zstd: true,
        waits_for_worker: false,
        params: Vec::new(),
        trace: vec![(headers::TRACEPARENT, "00-0-0-01".to_owned())],
    }
}

pub(crate) async fn reply(
    bus: &Arc<dyn Bus>,
    to: &Delivery,
    seq: i64,
    kind: &str,
    body: impl Into<bytes::Bytes>,
) {
    let last = kind == headers::kind::RESPONSE;
    let message = Message {
        kind: Some(kind.to_owned()),
        correlation_id: to.message.correlation_id.clone(),
        headers: Headers::default()
            .with(headers::SEQ, seq)
            .with(headers::FINAL, last)
            .with(headers::INSTANCE, "worker-1"),
        zstd: to.message.accepts_zstd(),
        body: body.into(),
        ..Message::default()
    };
    let reply_to = to.message.reply_to.clone().unwrap();
    // A caller that is gone needs no reply; what the broker has not confirmed is sent again, as
    // a worker may ack only after that.
    let publish = Publish::to_queue(reply_to, message);
    while let Err(PublishError::Lost | PublishError::Disconnected) =
        bus.publish(publish.clone()).await
    {
        bus.connected().await;
    }
}

/// A worker that answers every request with its own body.
pub(crate) async fn echo(site: &Site, tasks: &mut JoinSet<()>) {
    let link = site.link().await;
    let mut consumer = site.work(&*link, 64).await;
    let bus = Arc::clone(&site.bus);
    tasks.spawn(async move {
        while let Some(delivery) = consumer.next().await {
            let body = delivery.message.body.clone();
            reply(&bus, &delivery, 0, headers::kind::RESPONSE, body).await;
            let _ = delivery.ack().await;
        }
        drop(link);
    });
}

pub(crate) async fn answer_of(caller: &Caller, request: CallRequest) -> Result<String, CallError> {
    let mut call = caller.call(request)?;
    match within(call.next()).await? {
        Frame::Final(body) => Ok(String::from_utf8(body.to_vec()).unwrap()),
        other => panic!("unexpected {other:?}"),
    }
}

async fn a_call_is_answered(site: Site) {
    let mut tasks = JoinSet::new();
    echo(&site, &mut tasks).await;
    let caller = site.caller(&mut tasks).await;
    let answer = answer_of(&caller, request("hello", Duration::from_secs(10))).await;
    assert_eq!(answer.unwrap(), "hello");
    assert_eq!(caller.pending(), 0);
}

async fn progress_comes_in_order_before_the_answer(site: Site) {
    let mut tasks = JoinSet::new();
    let link = site.link().await;
    let mut consumer = site.work(&*link, 1).await;
    let caller = site.caller(&mut tasks).await;
    let mut call = caller.call(request("x", Duration::from_secs(10))).unwrap();
    let working = async {
        let delivery = next(&mut consumer).await;
        let message = &delivery.message;
        assert_eq!(message.headers.text(headers::METHOD), Some("tools/call"));
        assert_eq!(message.headers.text(headers::NAME), Some("ping"));
        assert_eq!(
            message.headers.text(headers::TRACEPARENT),
            Some("00-0-0-01")
        );
        assert!(message.headers.int(headers::DEADLINE).unwrap() > 1_700_000_000_000);
        assert!(message.expiration.unwrap() <= Duration::from_secs(10));
        for number in 0..20 {
            let body = number.to_string();
            reply(
                &site.bus,
                &delivery,
                number,
                headers::kind::NOTIFICATION,
                body,
            )
            .await;
        }
        reply(&site.bus, &delivery, 20, headers::kind::DETACH, "{}").await;
        reply(&site.bus, &delivery, 21, headers::kind::RESPONSE, "done").await;
        delivery.ack().await.unwrap();
    };
    let calling = async {
        let mut frames = Vec::new();
        loop {
            frames.push(within(call.next()).await.unwrap());
            if matches!(frames.last(), Some(Frame::Final(_))) {
                return frames;
            }
        }
    };
    let ((), frames) = tokio::join!(working, calling);
    let expected: Vec<Frame> = (0..20)
        .map(|number| Frame::Notification(number.to_string().into()))
        .chain([Frame::Detach, Frame::Final("done".into())])
        .collect();
    assert_eq!(frames, expected);
}

async fn a_thousand_calls_get_their_own_answers(site: Site) {
    let mut tasks = JoinSet::new();
    echo(&site, &mut tasks).await;
    echo(&site, &mut tasks).await;
    let caller = site.caller(&mut tasks).await;
    let calls = (0..1000).map(|number| {
        let caller = &caller;
        async move {
            let body = format!("{{\"id\":1,\"n\":{number}}}");
            let request = request(&body, Duration::from_secs(20));
            assert_eq!(answer_of(caller, request).await.unwrap(), body);
        }
    });
    futures::future::join_all(calls).await;
    assert_eq!(caller.pending(), 0);
}

async fn a_call_without_a_queue_is_refused(site: Site) {
    let mut tasks = JoinSet::new();
    let caller = site.caller(&mut tasks).await;
    let answer = answer_of(&caller, request("x", Duration::from_secs(10))).await;
    assert_eq!(answer, Err(CallError::Unroutable(Category::network())));
}

async fn a_call_that_waits_for_a_worker_is_answered_by_the_first_one_ever(site: Site) {
    let mut tasks = JoinSet::new();
    let caller = site.caller(&mut tasks).await;
    let waiting = CallRequest {
        waits_for_worker: true,
        ..request("x", Duration::from_secs(20))
    };
    let mut call = caller.call(waiting).unwrap();
    let link = site.link().await;
    let starting = async {
        let mut consumer = site.work(&*link, 1).await;
        let delivery = next(&mut consumer).await;
        reply(&site.bus, &delivery, 0, headers::kind::RESPONSE, "done").await;
        delivery.ack().await.unwrap();
    };
    // The first attempt finds no queue; only then the worker comes.
    let early = tokio::time::timeout(Duration::from_millis(50), call.next()).await;
    assert!(early.is_err(), "{early:?}");
    let (frame, ()) = tokio::join!(within(call.next()), starting);
    assert_eq!(frame.unwrap(), Frame::Final("done".into()));
}

async fn a_call_that_nobody_takes_ends_at_its_deadline_and_is_cancelled(site: Site) {
    let mut tasks = JoinSet::new();
    let link = site.link().await;
    link.declare(&site.work_queue()).await.unwrap();
    let caller = site.caller(&mut tasks).await;
    let timeout = Duration::from_millis(200);
    let answer = answer_of(&caller, request("x", timeout)).await;
    assert_eq!(answer, Err(CallError::DeadlineExceeded(timeout)));
}

async fn a_cancelled_call_is_announced_to_the_workers(site: Site) {
    let mut tasks = JoinSet::new();
    let link = site.link().await;
    let mut consumer = site.work(&*link, 1).await;
    let binding = bus::Binding {
        exchange: Names::CONTROL.to_owned(),
        pattern: site.names.cancel_key(&Category::network()),
    };
    link.declare(&bus::Queue::exclusive("cancels", vec![binding]))
        .await
        .unwrap();
    let mut cancels = link.consume("cancels", None).await.unwrap();
    let caller = site.caller(&mut tasks).await;
    let mut call = caller.call(request("x", Duration::from_secs(10))).unwrap();
    let delivery = tokio::select! {
        frame = call.next() => panic!("unexpected {frame:?}"),
        delivery = next(&mut consumer) => delivery,
    };
    call.cancel("no longer wanted").await;
    let notification = next(&mut cancels).await;
    let body: serde_json::Value = serde_json::from_slice(&notification.message.body).unwrap();
    assert_eq!(body["method"], "notifications/cancelled");
    let cancel: Cancel = serde_json::from_value(body["params"].clone()).unwrap();
    assert_eq!(Some(cancel.request_id), delivery.message.correlation_id);
    assert_eq!(caller.pending(), 0);
}

async fn a_dropped_call_leaves_nothing_behind(site: Site) {
    let mut tasks = JoinSet::new();
    let link = site.link().await;
    link.declare(&site.work_queue()).await.unwrap();
    let caller = site.caller(&mut tasks).await;
    let mut call = caller.call(request("x", Duration::from_secs(20))).unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(50), call.next()).await;
    assert!(waiting.is_err());
    assert_eq!(caller.pending(), 1);
    drop(call);
    assert_eq!(caller.pending(), 0);
}
