//! A broker that is short of memory or disk: requests are refused at once, the rest waits.

use std::time::{Duration, Instant};

use bus::{
    Binding, BusState, CallError, Caller, Consumer, Link, Message, Publish, PublishError, Queue,
};
use futures::StreamExt;
use futures::future::join_all;
use protocol::{Category, Names, headers};
use tokio::task::JoinSet;

use crate::calls::{answer_of, echo, request};
use crate::site::{Alarm, DEADLINE, Site, id, message, next, within};

/// How long a caller may wait for the news of an alarm.
const AT_ONCE: Duration = Duration::from_secs(1);

fn letter(number: &str) -> Publish {
    let letter = Message {
        kind: Some(headers::kind::DEAD_LETTER.to_owned()),
        ..message(number)
    };
    Publish::to_queue("letters", letter)
}

async fn until_connected(site: &Site) {
    let mut state = site.bus.state();
    within(state.wait_for(|state| *state == BusState::Connected))
        .await
        .unwrap();
}

/// What holds for every bus and every kind of alarm.
async fn requests_are_refused_and_the_rest_waits(site: &Site, alarm: Alarm) {
    let mut tasks = JoinSet::new();
    echo(site, &mut tasks).await;
    let caller = site.caller(&mut tasks).await;
    until_connected(site).await;
    let reason = site.block(alarm).await;
    requests_are_refused(site, &caller, &reason).await;
    letters_wait(site, alarm).await;
    until_connected(site).await;
    let answer = answer_of(&caller, request("accepted", DEADLINE)).await;
    assert_eq!(answer.unwrap(), "accepted");
    assert_eq!(caller.pending(), 0);
}

async fn requests_are_refused(site: &Site, caller: &Caller, reason: &str) {
    let error = within(site.bus.publish(site.request("one"))).await;
    match error {
        Err(PublishError::Blocked {
            reason: said,
            may_arrive: false,
        }) => assert_eq!(said, reason),
        error => panic!("{error:?}"),
    }
    let asked = Instant::now();
    let answer = answer_of(caller, request("refused", DEADLINE)).await;
    let (category, reason) = (Category::network(), reason.to_owned());
    assert_eq!(answer, Err(CallError::Blocked { category, reason }));
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    // Questions are answered meanwhile.
    let state = within(site.bus.queue_state(&site.work_queue().name)).await;
    assert_eq!(state.unwrap().unwrap().consumers, 1);
}

async fn letters_wait(site: &Site, alarm: Alarm) {
    let link = site.link().await;
    let letters = Queue::exclusive("letters", Vec::new());
    link.declare(&letters).await.unwrap();
    let mut consumer = link.consume("letters", None).await.unwrap();
    let mut keeping = std::pin::pin!(site.bus.publish(letter("kept")));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut keeping).await;
    assert!(early.is_err(), "{early:?}");
    let (published, ()) = tokio::join!(within(keeping), site.unblock(alarm));
    published.unwrap();
    assert_eq!(id(&next(&mut consumer).await), "kept");
    link.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_bus_refuses_requests_and_keeps_the_rest_while_it_is_blocked() {
    let site = Site::in_memory();
    requests_are_refused_and_the_rest_waits(&site, Alarm::Memory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_or_disk_refuses_requests_and_keeps_the_rest() {
    let site = Site::on_own_node().await;
    for alarm in [Alarm::Memory, Alarm::Disk] {
        requests_are_refused_and_the_rest_waits(&site, alarm).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_on_their_way_when_an_alarm_comes_are_answered_and_cancelled() {
    const CALLS: usize = 200;
    let site = Site::on_own_node().await;
    let mut tasks = JoinSet::new();
    let link = site.link().await;
    let mut work = site.work(&*link, 1000).await;
    let mut cancels = cancels(&site, &*link).await;
    let caller = site.caller(&mut tasks).await;
    // The broker tells a connection of the alarm when it reads the next message on it, and reads
    // nothing behind that one.
    site.raise(Alarm::Memory).await;
    let mut calls: Vec<_> = (0..CALLS)
        .map(|number| {
            let request = request(&number.to_string(), Duration::from_mins(1));
            caller.call(request).unwrap()
        })
        .collect();
    let asking = calls
        .iter_mut()
        .map(|call| tokio::time::timeout(AT_ONCE, call.next()));
    let answers = join_all(asking).await;
    let is_refused = |answer: &&Result<_, _>| matches!(answer, Ok(Err(CallError::Blocked { .. })));
    let refused = answers.iter().filter(is_refused).count();
    // The others were confirmed, and nobody works here.
    let confirmed = answers.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(refused + confirmed, CALLS, "{answers:?}");
    assert!(refused > CALLS / 2, "{refused}");

    site.unblock(Alarm::Memory).await;
    until_connected(&site).await;
    site.bus.publish(site.request("last")).await.unwrap();
    // What arrives after the alarm was refused, and is cancelled.
    let mut arrived = 0;
    while id(&next(&mut work).await) != "last" {
        arrived += 1;
    }
    assert!((confirmed..=CALLS).contains(&arrived), "{arrived}");
    for _ in confirmed..arrived {
        within(cancels.next()).await.unwrap();
    }
}

async fn cancels(site: &Site, link: &dyn Link) -> Consumer {
    let binding = Binding {
        exchange: Names::CONTROL.to_owned(),
        pattern: site.names.cancel_key(&Category::network()),
    };
    link.declare(&Queue::exclusive("cancels", vec![binding]))
        .await
        .unwrap();
    link.consume("cancels", None).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_a_policy_keeps_short_says_busy_and_takes_calls_again() {
    let site = Site::on_own_node().await;
    let mut tasks = JoinSet::new();
    let link = site.link().await;
    link.declare(&site.work_queue()).await.unwrap();
    let caller = site.caller(&mut tasks).await;
    let policy = "case rabbit_policy:set(<<\"/\">>, <<\"short\">>, <<\"^mcp.discovery.tools\">>, \
                  [{<<\"max-length\">>, 5}], 0, <<\"queues\">>, <<\"guest\">>) of ok -> \"ok\" end";
    site.own_node().eval(policy).await.unwrap();
    let full = async || match site.bus.publish(site.request("one of many")).await {
        Err(PublishError::Busy(_)) => Some(()),
        other => other.map(|()| None).unwrap(),
    };
    testkit::wait::until("the queue is full", DEADLINE, full)
        .await
        .unwrap();
    let asked = Instant::now();
    let answer = answer_of(&caller, request("too much", DEADLINE)).await;
    assert_eq!(answer, Err(CallError::Busy(Category::network())));
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    // Somebody works again.
    let mut work = site.work(&*link, 1).await;
    let quiet = Duration::from_secs(1);
    while let Ok(Some(taken)) = tokio::time::timeout(quiet, work.next()).await {
        taken.ack().await.unwrap();
    }
    link.close().await;
    echo(&site, &mut tasks).await;
    let accepted = async || answer_of(&caller, request("after", DEADLINE)).await.ok();
    let answer = testkit::wait::until("room in the queue", DEADLINE, accepted).await;
    assert_eq!(answer.unwrap(), "after");
}
