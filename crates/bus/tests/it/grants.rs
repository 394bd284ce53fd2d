//! Calls that must not run twice: one instance is granted them, whatever else happens.

use std::sync::Arc;
use std::time::Duration;

use bus::{
    Bus, CallError, Caller, Consumer, Delivery, Frame, Headers, Link, Message, PendingCall,
    Publish, PublishError, Queue,
};
use protocol::control::Grant;
use protocol::{control, headers};
use tokio::task::JoinSet;

use crate::calls::{reply, request};
use crate::on_both_buses;
use crate::site::{Site, next, within};

on_both_buses!(
    one_instance_is_granted_the_call_and_no_other,
    an_instance_that_asks_again_is_granted_again,
    the_word_is_given_while_nobody_looks_at_the_call,
    a_call_that_nobody_waits_for_is_refused,
    nothing_is_granted_past_the_deadline,
    a_grant_that_finds_nobody_makes_the_call_asked_again,
    a_call_whose_worker_withdraws_is_asked_again,
    a_withdrawal_of_another_instance_changes_nothing,
    a_granted_call_has_an_unknown_outcome_when_its_instance_goes,
    a_granted_call_has_an_unknown_outcome_at_its_deadline,
    a_granted_call_has_an_unknown_outcome_when_its_reply_queue_goes,
    a_call_that_is_closed_says_whether_it_was_granted,
    a_call_that_is_closed_gives_the_answer_that_had_come,
    a_call_that_was_not_granted_is_asked_again_when_its_reply_queue_goes,
);

/// A worker of the test: it takes calls, asks for them, and hears the caller's word.
struct Worker {
    bus: Arc<dyn Bus>,
    link: Box<dyn Link>,
    instance: &'static str,
    calls: Consumer,
    control: Consumer,
}

impl Worker {
    async fn start(site: &Site, instance: &'static str) -> Self {
        let link = site.link().await;
        let queue = Queue::exclusive(control_queue(instance), Vec::new());
        link.declare(&queue).await.unwrap();
        Self {
            bus: Arc::clone(&site.bus),
            instance,
            control: link.consume(&queue.name, None).await.unwrap(),
            calls: site.work(&*link, 1).await,
            link,
        }
    }

    async fn call(&mut self) -> Delivery {
        next(&mut self.calls).await
    }

    async fn withdraw(&self, call: &Delivery) {
        let told = say(&self.bus, self.instance, headers::kind::WITHDRAWN, call).await;
        told.unwrap();
    }

    /// Whether the caller grants a call.
    async fn word(&mut self, call: &Delivery) -> bool {
        let word = next(&mut self.control).await.message;
        assert_eq!(word.kind.as_deref(), Some(headers::kind::GRANT));
        let body: serde_json::Value = serde_json::from_slice(&word.body).unwrap();
        assert_eq!(body["method"], control::GRANT);
        let grant: Grant = serde_json::from_value(body["params"].clone()).unwrap();
        assert_eq!(Some(grant.request_id), call.message.correlation_id);
        grant.granted
    }

    /// Asks, and hears whether the caller grants the call.
    async fn is_granted(&mut self, call: &Delivery) -> bool {
        match say(&self.bus, self.instance, headers::kind::STARTED, call).await {
            Err(PublishError::Unroutable(_)) => false,
            asked => {
                asked.unwrap();
                self.word(call).await
            }
        }
    }

    async fn answer(&self, call: &Delivery) {
        reply(&self.bus, call, 1, headers::kind::RESPONSE, "done").await;
        call.ack().await.unwrap();
    }

    /// Ends its connection with all that it had not settled.
    async fn die(self) {
        self.link.close().await;
        drop(self.calls);
    }
}

fn control_queue(instance: &str) -> String {
    format!("control of {instance}")
}

/// A message about a call that only names its sender.
async fn say(
    bus: &Arc<dyn Bus>,
    instance: &str,
    kind: &str,
    call: &Delivery,
) -> Result<(), PublishError> {
    let message = Message {
        kind: Some(kind.to_owned()),
        correlation_id: call.message.correlation_id.clone(),
        reply_to: Some(control_queue(instance)),
        headers: Headers::default()
            .with(headers::SEQ, 0)
            .with(headers::INSTANCE, instance),
        body: "{}".into(),
        ..Message::default()
    };
    let publish = Publish::to_queue(call.message.reply_to.clone().unwrap(), message);
    within(bus.publish(publish)).await
}

fn call_within(caller: &Caller, timeout: Duration) -> PendingCall {
    caller.call(request("x", timeout)).unwrap()
}

fn call(caller: &Caller) -> PendingCall {
    call_within(caller, Duration::from_secs(20))
}

/// Publishes a call, which is not looked at any more then.
async fn begin(call: &mut PendingCall, worker: &mut Worker) -> Delivery {
    tokio::select! {
        frame = call.next() => panic!("unexpected {frame:?}"),
        delivery = worker.call() => delivery,
    }
}

const DONE: Result<Frame, CallError> = Ok(Frame::Final(bytes::Bytes::from_static(b"done")));

async fn one_instance_is_granted_the_call_and_no_other(site: Site) {
    let mut tasks = JoinSet::new();
    let mut first = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let mut call = call(&caller);
    let delivery = begin(&mut call, &mut first).await;
    assert!(first.is_granted(&delivery).await);
    // As after a connection that ended before the acknowledgement.
    let mut second = Worker::start(&site, "worker-2").await;
    assert!(!second.is_granted(&delivery).await);
    first.answer(&delivery).await;
    assert_eq!(within(call.next()).await, DONE);
}

async fn an_instance_that_asks_again_is_granted_again(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let mut call = call(&caller);
    let delivery = begin(&mut call, &mut worker).await;
    for _ in 0..3 {
        assert!(worker.is_granted(&delivery).await);
    }
    worker.answer(&delivery).await;
    assert_eq!(within(call.next()).await, DONE);
}

async fn the_word_is_given_while_nobody_looks_at_the_call(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let mut call = call(&caller);
    // Its future is dropped then, perhaps before the broker has confirmed the request.
    let delivery = begin(&mut call, &mut worker).await;
    assert!(worker.is_granted(&delivery).await);
    let text = "running";
    reply(&site.bus, &delivery, 1, headers::kind::NOTIFICATION, text).await;
    assert_eq!(
        within(call.next()).await,
        Ok(Frame::Notification(text.into()))
    );
    worker.answer(&delivery).await;
    assert_eq!(within(call.next()).await, DONE);
}

async fn a_call_that_nobody_waits_for_is_refused(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;

    let mut answered = call(&caller);
    let answering = async {
        let delivery = worker.call().await;
        reply(&site.bus, &delivery, 1, headers::kind::RESPONSE, "done").await;
        delivery
    };
    let (frame, delivery) = tokio::join!(within(answered.next()), answering);
    assert_eq!(frame, DONE);
    check_refused(delivery, &mut worker).await;

    let mut cancelled = call(&caller);
    let delivery = begin(&mut cancelled, &mut worker).await;
    cancelled.cancel("the test says so").await;
    check_refused(delivery, &mut worker).await;

    let mut dropped = call(&caller);
    let delivery = begin(&mut dropped, &mut worker).await;
    drop(dropped);
    check_refused(delivery, &mut worker).await;
}

async fn check_refused(delivery: Delivery, worker: &mut Worker) {
    assert!(!worker.is_granted(&delivery).await);
    delivery.ack().await.unwrap();
}

async fn nothing_is_granted_past_the_deadline(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let timeout = Duration::from_millis(300);
    let mut late = call_within(&caller, timeout);
    let delivery = begin(&mut late, &mut worker).await;
    // Nobody looks at the call when its time is over.
    tokio::time::sleep(timeout).await;
    check_refused(delivery, &mut worker).await;
    let error = within(late.next()).await;
    assert_eq!(error, Err(CallError::DeadlineExceeded(timeout)));
}

async fn a_grant_that_finds_nobody_makes_the_call_asked_again(site: Site) {
    let mut tasks = JoinSet::new();
    let mut gone = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let mut call = call(&caller);
    let delivery = begin(&mut call, &mut gone).await;
    let correlation_id = delivery.message.correlation_id.clone();
    let reply_to = delivery.message.reply_to.clone().unwrap();
    gone.die().await;
    // What it asked before it died arrives after that.
    let question = Message {
        kind: Some(headers::kind::STARTED.to_owned()),
        correlation_id: correlation_id.clone(),
        reply_to: Some(control_queue("worker-1")),
        headers: Headers::default().with(headers::INSTANCE, "worker-1"),
        body: "{}".into(),
        ..Message::default()
    };
    site.bus
        .publish(Publish::to_queue(reply_to, question))
        .await
        .unwrap();
    let working = async {
        let mut other = Worker::start(&site, "worker-2").await;
        loop {
            let delivery = other.call().await;
            if other.is_granted(&delivery).await {
                break other.answer(&delivery).await;
            }
            assert_eq!(delivery.message.correlation_id, correlation_id);
            delivery.ack().await.unwrap();
        }
    };
    let (frame, ()) = tokio::join!(within(call.next()), working);
    assert_eq!(frame, DONE);
}

async fn a_call_whose_worker_withdraws_is_asked_again(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    for is_granted in [false, true] {
        let mut call = call(&caller);
        let delivery = begin(&mut call, &mut worker).await;
        if is_granted {
            assert!(worker.is_granted(&delivery).await);
        }
        worker.withdraw(&delivery).await;
        delivery.ack().await.unwrap();
        let working = async {
            let again = worker.call().await;
            assert_eq!(again.message.message_id, delivery.message.message_id);
            assert_ne!(
                again.message.correlation_id,
                delivery.message.correlation_id
            );
            assert!(!worker.is_granted(&delivery).await, "it is given up");
            assert!(worker.is_granted(&again).await);
            worker.answer(&again).await;
        };
        let (frame, ()) = tokio::join!(within(call.next()), working);
        assert_eq!(frame, DONE);
    }
}

async fn a_withdrawal_of_another_instance_changes_nothing(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let mut call = call(&caller);
    let delivery = begin(&mut call, &mut worker).await;
    assert!(worker.is_granted(&delivery).await);
    let told = say(&site.bus, "worker-2", headers::kind::WITHDRAWN, &delivery).await;
    told.unwrap();
    worker.answer(&delivery).await;
    assert_eq!(within(call.next()).await, DONE);
}

async fn a_granted_call_has_an_unknown_outcome_when_its_instance_goes(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let mut call = call(&caller);
    let delivery = begin(&mut call, &mut worker).await;
    // Before the grant it matters to nobody.
    caller.instance_gone("worker-1");
    assert!(worker.is_granted(&delivery).await);
    delivery.ack().await.unwrap();
    caller.instance_gone("worker-2");
    caller.instance_gone("worker-1");
    let error = within(call.next()).await.unwrap_err();
    assert_eq!(error, CallError::OutcomeUnknown("worker-1".to_owned()));
}

async fn a_granted_call_has_an_unknown_outcome_at_its_deadline(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let mut call = call_within(&caller, Duration::from_secs(1));
    let delivery = begin(&mut call, &mut worker).await;
    assert!(worker.is_granted(&delivery).await);
    delivery.ack().await.unwrap();
    let error = within(call.next()).await.unwrap_err();
    assert_eq!(error, CallError::OutcomeUnknown("worker-1".to_owned()));
}

async fn a_granted_call_has_an_unknown_outcome_when_its_reply_queue_goes(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let mut call = call(&caller);
    let delivery = begin(&mut call, &mut worker).await;
    assert!(worker.is_granted(&delivery).await);
    delivery.ack().await.unwrap();
    let (error, ()) = tokio::join!(within(call.next()), site.end_connections());
    assert_eq!(error, Err(CallError::OutcomeUnknown("worker-1".to_owned())));
}

async fn a_call_that_is_closed_says_whether_it_was_granted(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let mut unpublished = call(&caller);
    assert_eq!(unpublished.close(), None);

    let mut open = call(&caller);
    let delivery = begin(&mut open, &mut worker).await;
    assert_eq!(open.close(), None);
    check_refused(delivery, &mut worker).await;

    let mut granted = call(&caller);
    let delivery = begin(&mut granted, &mut worker).await;
    assert!(worker.is_granted(&delivery).await);
    delivery.ack().await.unwrap();
    let unknown = CallError::OutcomeUnknown("worker-1".to_owned());
    assert_eq!(granted.close(), Some(Err(unknown)));
}

async fn a_call_that_is_closed_gives_the_answer_that_had_come(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let mut answered = call(&caller);
    let delivery = begin(&mut answered, &mut worker).await;
    assert!(worker.is_granted(&delivery).await);
    worker.answer(&delivery).await;
    // Its answer has come when that of a later call has.
    let mut later = call(&caller);
    let working = async {
        let delivery = worker.call().await;
        worker.answer(&delivery).await;
    };
    let (frame, ()) = tokio::join!(within(later.next()), working);
    assert_eq!(frame, DONE);
    assert_eq!(answered.close(), Some(Ok("done".into())));
}

async fn a_call_that_was_not_granted_is_asked_again_when_its_reply_queue_goes(site: Site) {
    let mut tasks = JoinSet::new();
    let mut worker = Worker::start(&site, "worker-1").await;
    let caller = site.caller(&mut tasks).await;
    let mut call = call(&caller);
    let delivery = begin(&mut call, &mut worker).await;
    let old = delivery.message.clone();
    let working = async {
        site.end_connections().await;
        within(worker.link.lost()).await;
        within(site.bus.connected()).await;
        let mut worker = Worker::start(&site, "worker-2").await;
        loop {
            let delivery = worker.call().await;
            assert_eq!(delivery.message.message_id, old.message_id);
            if !worker.is_granted(&delivery).await {
                // Published before the caller knew that its queue is gone.
                delivery.ack().await.unwrap();
                continue;
            }
            assert_ne!(delivery.message.correlation_id, old.correlation_id);
            break worker.answer(&delivery).await;
        }
    };
    let (frame, ()) = tokio::join!(within(call.next()), working);
    assert_eq!(frame, DONE);
}
