//! Connections that end: calls are asked again, links come back.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bus::{Backoff, CallError, Error, Frame, Overflow, supervise};
use futures::StreamExt;
use protocol::headers;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::calls::{answer_of, reply, request};
use crate::on_both_buses;
use crate::site::{DEADLINE, Site, next, until_state, within};

on_both_buses!(
    a_pending_call_is_asked_again_under_the_same_message_id,
    a_supervised_consumer_consumes_again,
    supervision_ends_at_shutdown_while_there_is_no_broker,
);

async fn a_pending_call_is_asked_again_under_the_same_message_id(site: Site) {
    let mut tasks = JoinSet::new();
    let link = site.link().await;
    let mut consumer = site.work(&*link, 64).await;
    let caller = site.caller(&mut tasks).await;
    let call_request = request("x", Duration::from_secs(20));
    let message_id = call_request.message_id.clone();
    let mut call = caller.call(call_request).unwrap();
    let working = async {
        let first = next(&mut consumer).await;
        // As a worker that comes back before its caller would: done, and nobody to tell.
        first.ack().await.unwrap();
        site.end_connections().await;
        within(link.lost()).await;
        within(site.bus.connected()).await;
        let link = site.link().await;
        let mut consumer = site.work(&*link, 64).await;
        let again = next(&mut consumer).await;
        assert_eq!(again.message.message_id.as_ref(), Some(&message_id));
        assert_ne!(again.message.correlation_id, first.message.correlation_id);
        reply(&site.bus, &again, 0, headers::kind::RESPONSE, "real").await;
        again.ack().await.unwrap();
    };
    let (frame, ()) = tokio::join!(within(call.next()), working);
    assert_eq!(frame, Ok(Frame::Final("real".into())));
}

/// As one does that has no leader yet.
#[tokio::test]
async fn a_queue_that_refuses_calls_after_an_outage_is_waited_for() {
    let site = Site::in_memory();
    let mut tasks = JoinSet::new();
    let mut queue = site.work_queue();
    queue.max_length = Some((1, Overflow::RejectPublish));
    site.link().await.declare(&queue).await.unwrap();
    site.bus.publish(site.request("first")).await.unwrap();
    let caller = site.caller(&mut tasks).await;
    let refused = answer_of(&caller, request("x", DEADLINE)).await;
    assert!(matches!(refused, Err(CallError::Busy(_))), "{refused:?}");

    site.end_connections().await;
    let reconnected = async || (site.bus.stats().reconnects() > 0).then_some(());
    testkit::wait::until("the caller is back", DEADLINE, reconnected)
        .await
        .unwrap();
    let mut call = caller.call(request("x", DEADLINE)).unwrap();
    let waits = timeout(Duration::from_millis(500), call.next()).await;
    assert!(waits.is_err(), "{waits:?}");
    let link = site.link().await;
    let mut consumer = link.consume(&queue.name, NonZeroU16::new(2)).await.unwrap();
    next(&mut consumer).await.ack().await.unwrap();
    let working = async {
        let delivery = next(&mut consumer).await;
        reply(&site.bus, &delivery, 0, headers::kind::RESPONSE, "real").await;
    };
    let (frame, ()) = tokio::join!(within(call.next()), working);
    assert_eq!(frame, Ok(Frame::Final("real".into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_waits_for_workers_of_a_broker_that_forgot_its_queues() {
    let site = Site::on_rabbitmq().await;
    let mut tasks = JoinSet::new();
    site.link().await.declare(&site.work_queue()).await.unwrap();
    let caller = site.caller(&mut tasks).await;
    let mut call = caller.call(request("x", Duration::from_secs(20))).unwrap();
    let working = async {
        let name = site.work_queue().name;
        until_state(&site.bus, &name, |state| {
            state.is_some_and(|state| state.messages == 1)
        })
        .await;
        site.forget(&name).await;
        site.end_connections().await;
        let reconnected = async || (site.bus.stats().reconnects() >= 2).then_some(());
        testkit::wait::until("both connections", DEADLINE, reconnected)
            .await
            .unwrap();
        let link = site.link().await;
        let mut consumer = site.work(&*link, 1).await;
        let delivery = next(&mut consumer).await;
        reply(&site.bus, &delivery, 0, headers::kind::RESPONSE, "real").await;
    };
    let (frame, ()) = tokio::join!(within(call.next()), working);
    assert_eq!(frame, Ok(Frame::Final("real".into())));
}

async fn a_supervised_consumer_consumes_again(site: Site) {
    let mut tasks = JoinSet::new();
    let (bus, queue) = (Arc::clone(&site.bus), site.work_queue());
    let (seen_in, mut seen) = tokio::sync::mpsc::channel(10);
    tasks.spawn(async move {
        let session = |link: Arc<dyn bus::Link>| {
            let (queue, seen) = (queue.clone(), seen_in.clone());
            async move {
                link.declare(&queue).await?;
                let mut consumer = link.consume(&queue.name, NonZeroU16::new(1)).await?;
                while let Some(delivery) = consumer.next().await {
                    seen.send(delivery.message.correlation_id.clone())
                        .await
                        .unwrap();
                    delivery.ack().await?;
                }
                Err(Error::Lost("the consumer ended".to_owned()))
            }
        };
        let shutdown = CancellationToken::new();
        supervise(&bus, "test", &Backoff::default(), &shutdown, session)
            .await
            .unwrap();
    });
    for round in 0..3 {
        let sent = async || {
            site.bus
                .publish(site.request(&round.to_string()))
                .await
                .ok()
        };
        testkit::wait::until("a publish", DEADLINE, sent)
            .await
            .unwrap();
        // What was taken but not yet acked when the connection ended comes again.
        let expected = Some(round.to_string());
        within(async { while seen.recv().await.unwrap() != expected {} }).await;
        site.end_connections().await;
        let back = async || (site.bus.stats().reconnects() > round).then_some(());
        testkit::wait::until("the consumer", DEADLINE, back)
            .await
            .unwrap();
        within(site.bus.connected()).await;
    }
}

async fn supervision_ends_at_shutdown_while_there_is_no_broker(site: Site) {
    let shutdown = CancellationToken::new();
    let nobody = crate::site::connect("amqp://127.0.0.1:1");
    let backoff = Backoff {
        max_attempts: Some(2),
        ..Backoff::default()
    };
    let session = |_| async { Ok(()) };
    let error = within(supervise(&nobody, "test", &backoff, &shutdown, session))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::AttemptsUsedUp { attempts: 2, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let endless = Backoff::default();
    let supervised = supervise(&nobody, "test", &endless, &shutdown, session);
    let stopping = async {
        site.bus.connected().await;
        shutdown.cancel();
    };
    let (ended, ()) = tokio::join!(within(supervised), stopping);
    ended.unwrap();
}
