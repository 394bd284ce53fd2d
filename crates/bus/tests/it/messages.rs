//! Routing, settling, counting, expiry, overflow.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::time::Duration;

use bus::{Binding, Error, Message, Overflow, Publish, PublishError, Queue};
use futures::StreamExt;
use futures::future::join_all;
use futures::stream::{FuturesUnordered, select_all};
use protocol::{Category, Names, headers};

use crate::on_both_buses;
use crate::site::{Site, id, message, next, until_state, within};

on_both_buses!(
    a_message_arrives_as_it_was_sent,
    a_message_that_no_queue_takes_is_returned,
    a_broadcast_that_nobody_hears_is_no_error,
    returned_messages_are_never_mistaken_for_others,
    returned_messages_of_one_sender_are_told_apart_by_their_number,
    competing_consumers_share_the_work,
    prefetch_bounds_what_is_unsettled,
    a_requeued_message_comes_again_before_others,
    what_was_not_settled_comes_again_when_the_link_closes,
    what_is_done_at_the_same_time_settles_nothing_else,
    an_expired_message_is_not_handed_out,
    a_full_queue_refuses,
    a_full_queue_of_letters_drops_its_oldest,
    other_arguments_for_a_queue_are_a_mismatch,
    an_exclusive_queue_belongs_to_its_link,
    an_exclusive_queue_goes_with_its_link,
    the_state_of_a_queue_tells_consumers_and_messages,
    a_subscription_hears_its_keys_only,
    after_a_cancel_what_is_held_can_be_settled,
    names_longer_than_the_wire_allows_are_refused,
);

async fn a_message_arrives_as_it_was_sent(site: Site) {
    let link = site.link().await;
    let mut consumer = site.work(&*link, 10).await;
    let request = site.request("one");
    site.bus.publish(request.clone()).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message, request.message);
    assert_eq!(delivery.routing_key, "mcp.discovery.tools.network.ping");
    assert_eq!((delivery.redelivered, delivery.attempt()), (false, 1));
    delivery.ack().await.unwrap();
}

async fn a_message_that_no_queue_takes_is_returned(site: Site) {
    let error = within(site.bus.publish(site.request("one")))
        .await
        .unwrap_err();
    assert!(matches!(error, PublishError::Unroutable(_)), "{error}");
    let to_nobody = Publish::to_queue("no-such-queue", message("two"));
    let error = within(site.bus.publish(to_nobody)).await.unwrap_err();
    assert!(matches!(error, PublishError::Unroutable(_)), "{error}");
}

async fn a_broadcast_that_nobody_hears_is_no_error(site: Site) {
    let key = site.names.announce_key();
    site.bus
        .publish(Publish::broadcast(Names::CONTROL, key, message("one")))
        .await
        .unwrap();
}

async fn returned_messages_are_never_mistaken_for_others(site: Site) {
    some_are_returned(&site, |_, _| {}).await;
}

/// All messages of one sender have one correlation id, so that they keep their order.
async fn returned_messages_of_one_sender_are_told_apart_by_their_number(site: Site) {
    some_are_returned(&site, |message, number| {
        message.correlation_id = Some("sender".to_owned());
        message.headers.insert(headers::SEQ, number);
    })
    .await;
}

async fn some_are_returned(site: &Site, change: impl Fn(&mut Message, i64)) {
    const MESSAGES: i64 = 10_000;
    const IN_FLIGHT: usize = 64;
    let link = site.link().await;
    let mut consumer = site.work(&*link, 1000).await;
    let taking = async {
        while let Some(delivery) = consumer.next().await {
            delivery.ack().await.unwrap();
        }
    };
    let sending = async {
        let mut in_flight = FuturesUnordered::new();
        for number in 0..MESSAGES {
            let routable = number % 2 == 0;
            let mut publish = site.request(&format!("{number}"));
            change(&mut publish.message, number);
            if !routable {
                "nobody.takes.this".clone_into(&mut publish.routing_key);
            }
            let sent = site.bus.publish(publish);
            in_flight.push(async move { (routable, sent.await) });
            if in_flight.len() == IN_FLIGHT {
                check(in_flight.next().await.unwrap());
            }
        }
        while let Some(outcome) = in_flight.next().await {
            check(outcome);
        }
    };
    let check_time = Duration::from_mins(1);
    tokio::select! {
        () = taking => panic!("the consumer ended"),
        done = tokio::time::timeout(check_time, sending) => done.expect("in time"),
    }
}

fn check((routable, outcome): (bool, Result<(), PublishError>)) {
    match outcome {
        Ok(()) => assert!(routable, "an unroutable message looked delivered"),
        Err(PublishError::Unroutable(_)) => assert!(!routable, "a delivered one looked lost"),
        Err(error) => panic!("{error}"),
    }
}

async fn competing_consumers_share_the_work(site: Site) {
    let links = [site.link().await, site.link().await, site.link().await];
    let mut consumers = Vec::new();
    for link in &links {
        consumers.push(site.work(&**link, 1).await);
    }
    for number in 0..30 {
        site.bus
            .publish(site.request(&number.to_string()))
            .await
            .unwrap();
    }
    // As long as nobody acks, each has one. Who gets the others depends on whose ack is first.
    let mut deliveries = Vec::new();
    for consumer in &mut consumers {
        deliveries.push(next(consumer).await);
    }
    let mut rest = select_all(consumers);
    let (mut n_handed_out, mut seen) = (0, BTreeSet::new());
    while let Some(delivery) = deliveries.pop() {
        seen.insert(id(&delivery).to_owned());
        delivery.ack().await.unwrap();
        n_handed_out += 1;
        if n_handed_out + deliveries.len() < 30 {
            deliveries.push(within(rest.next()).await.unwrap());
        }
    }
    assert_eq!((n_handed_out, seen.len()), (30, 30), "one came twice");
}

async fn prefetch_bounds_what_is_unsettled(site: Site) {
    let link = site.link().await;
    let mut consumer = site.work(&*link, 2).await;
    for number in 0..3 {
        site.bus
            .publish(site.request(&number.to_string()))
            .await
            .unwrap();
    }
    let first = next(&mut consumer).await;
    let _second = next(&mut consumer).await;
    until_state(&site.bus, &site.work_queue().name, |state| {
        state.unwrap().messages == 1
    })
    .await;
    first.ack().await.unwrap();
    assert_eq!(id(&next(&mut consumer).await), "2");
}

async fn a_requeued_message_comes_again_before_others(site: Site) {
    let link = site.link().await;
    let mut consumer = site.work(&*link, 1).await;
    site.bus.publish(site.request("first")).await.unwrap();
    site.bus.publish(site.request("second")).await.unwrap();
    next(&mut consumer).await.requeue().await.unwrap();
    let again = next(&mut consumer).await;
    assert_eq!(
        (id(&again), again.redelivered, again.attempt()),
        ("first", true, 2)
    );
    again.ack().await.unwrap();
    assert_eq!(id(&next(&mut consumer).await), "second");
}

async fn what_was_not_settled_comes_again_when_the_link_closes(site: Site) {
    let link = site.link().await;
    let mut consumer = site.work(&*link, 10).await;
    for number in 0..3 {
        site.bus
            .publish(site.request(&number.to_string()))
            .await
            .unwrap();
        let _held = next(&mut consumer).await;
    }
    link.close().await;
    within(link.lost()).await;
    let other = site.link().await;
    let mut consumer = site.work(&*other, 10).await;
    for number in 0..3 {
        let delivery = next(&mut consumer).await;
        assert_eq!(id(&delivery), number.to_string());
        assert_eq!((delivery.redelivered, delivery.attempt()), (true, 2));
        delivery.ack().await.unwrap();
    }
}

async fn what_is_done_at_the_same_time_settles_nothing_else(site: Site) {
    let link = site.link().await;
    let mut consumer = site.work(&*link, 20).await;
    let requests = (0..20).map(|number| site.request(&number.to_string()));
    let published = join_all(requests.map(|request| site.bus.publish(request))).await;
    assert!(published.iter().all(Result::is_ok), "{published:?}");
    let held: Vec<_> = within(consumer.by_ref().take(20).collect()).await;
    let (open, mut done): (Vec<_>, Vec<_>) = held
        .into_iter()
        .partition(|delivery| ["7", "13"].contains(&id(delivery)));
    done.reverse();
    let acks = within(join_all(done.iter().map(bus::Delivery::ack))).await;
    assert!(acks.iter().all(Result::is_ok), "{acks:?}");
    link.close().await;
    drop(open);
    only_these_come_again(&site, &["7", "13"]).await;
}

async fn only_these_come_again(site: &Site, ids: &[&str]) {
    let link = site.link().await;
    let mut consumer = site.work(&*link, 20).await;
    for expected in ids {
        let delivery = next(&mut consumer).await;
        assert_eq!((id(&delivery), delivery.redelivered), (*expected, true));
        delivery.ack().await.unwrap();
    }
    let queue = site.work_queue();
    until_state(&site.bus, &queue.name, |state| state.unwrap().messages == 0).await;
}

async fn an_expired_message_is_not_handed_out(site: Site) {
    let link = site.link().await;
    let queue = site.work_queue();
    link.declare(&queue).await.unwrap();
    let mut short = site.request("short");
    short.message.expiration = Some(Duration::from_millis(50));
    site.bus.publish(short).await.unwrap();
    until_state(&site.bus, &queue.name, |state| state.unwrap().messages == 0).await;
    let mut long = site.request("long");
    long.message.expiration = Some(Duration::from_mins(1));
    site.bus.publish(long).await.unwrap();
    let mut consumer = link.consume(&queue.name, NonZeroU16::new(1)).await.unwrap();
    assert_eq!(id(&next(&mut consumer).await), "long");
}

async fn a_full_queue_refuses(site: Site) {
    let link = site.link().await;
    let max_length = Some((5, Overflow::RejectPublish));
    let queue = Queue {
        max_length,
        ..site.work_queue()
    };
    link.declare(&queue).await.unwrap();
    let mut taken = 0;
    let error = loop {
        match within(site.bus.publish(site.request(&taken.to_string()))).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 20, "the queue never got full");
    };
    assert!(
        matches!(error, PublishError::Busy(_)) && (5..=7).contains(&taken),
        "{error}, {taken}"
    );
    let mut consumer = link
        .consume(&queue.name, NonZeroU16::new(20))
        .await
        .unwrap();
    for number in 0..taken {
        let delivery = next(&mut consumer).await;
        assert_eq!(id(&delivery), number.to_string());
        delivery.ack().await.unwrap();
    }
    until_state(&site.bus, &queue.name, |state| state.unwrap().messages == 0).await;
    let accepted = async || site.bus.publish(site.request("again")).await.ok();
    testkit::wait::until("room in the queue", crate::site::DEADLINE, accepted)
        .await
        .unwrap();
}

async fn a_full_queue_of_letters_drops_its_oldest(site: Site) {
    let link = site.link().await;
    let queue = Queue {
        max_length: Some((3, Overflow::DropHead)),
        ..Queue::dead(&site.names)
    };
    link.declare(&queue).await.unwrap();
    for number in 0..10 {
        let letter = Publish::to_queue(queue.name.clone(), message(&number.to_string()));
        site.bus.publish(letter).await.unwrap();
    }
    until_state(&site.bus, &queue.name, |state| state.unwrap().messages == 3).await;
    let mut consumer = link.consume(&queue.name, NonZeroU16::new(5)).await.unwrap();
    assert_eq!(id(&next(&mut consumer).await), "7");
}

async fn other_arguments_for_a_queue_are_a_mismatch(site: Site) {
    let link = site.link().await;
    link.declare(&site.work_queue()).await.unwrap();
    link.declare(&site.work_queue()).await.unwrap();
    let other = Queue {
        delivery_limit: Some(3),
        ..site.work_queue()
    };
    let error = within(link.declare(&other)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Mismatch { name, .. } if *name == other.name),
        "{error}"
    );
    assert!(
        error.is_final() && error.hint().unwrap().contains("delete_queue"),
        "{error}"
    );
    link.declare(&site.work_queue()).await.unwrap();
}

async fn an_exclusive_queue_belongs_to_its_link(site: Site) {
    let (owner, other) = (site.link().await, site.link().await);
    let queue = Queue::exclusive("mine", Vec::new());
    owner.declare(&queue).await.unwrap();
    let declared = within(other.declare(&queue)).await;
    let taken = within(other.consume("mine", None)).await.map(drop);
    for refused in [declared, taken] {
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    }
}

async fn an_exclusive_queue_goes_with_its_link(site: Site) {
    let owner = site.link().await;
    owner
        .declare(&Queue::exclusive("mine", Vec::new()))
        .await
        .unwrap();
    let mut consumer = owner.consume("mine", None).await.unwrap();
    site.bus
        .publish(Publish::to_queue("mine", message("one")))
        .await
        .unwrap();
    assert_eq!(id(&next(&mut consumer).await), "one");
    owner.close().await;
    until_state(&site.bus, "mine", |state| state.is_none()).await;
    let refused = within(site.bus.publish(Publish::to_queue("mine", message("two")))).await;
    assert!(
        matches!(refused, Err(PublishError::Unroutable(_))),
        "{refused:?}"
    );
}

async fn the_state_of_a_queue_tells_consumers_and_messages(site: Site) {
    let queue = site.work_queue().name;
    assert_eq!(site.bus.queue_state(&queue).await.unwrap(), None);
    let link = site.link().await;
    let mut consumer = site.work(&*link, 1).await;
    until_state(&site.bus, &queue, |state| {
        state.is_some_and(|state| state.consumers == 1)
    })
    .await;
    consumer.cancel().await.unwrap();
    until_state(&site.bus, &queue, |state| {
        state.is_some_and(|state| state.consumers == 0)
    })
    .await;
    site.bus.publish(site.request("one")).await.unwrap();
    until_state(&site.bus, &queue, |state| {
        state.is_some_and(|state| state.messages == 1)
    })
    .await;
}

async fn a_subscription_hears_its_keys_only(site: Site) {
    let link = site.link().await;
    let bindings = vec![Binding {
        exchange: Names::CONTROL.to_owned(),
        pattern: site.names.cancel_key(&Category::network()),
    }];
    let queue = Queue::exclusive("listener", bindings);
    link.declare(&queue).await.unwrap();
    let mut consumer = link.consume("listener", None).await.unwrap();
    let heard = site.names.cancel_key(&Category::network());
    let unheard = site.names.announce_key();
    for (key, id) in [(unheard.clone(), "no"), (heard, "yes"), (unheard, "no")] {
        let publish = Publish::broadcast(Names::CONTROL, key, message(id));
        site.bus.publish(publish).await.unwrap();
    }
    assert_eq!(id(&next(&mut consumer).await), "yes");
    let quiet = tokio::time::timeout(Duration::from_millis(100), consumer.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

async fn after_a_cancel_what_is_held_can_be_settled(site: Site) {
    let link = site.link().await;
    let mut consumer = site.work(&*link, 1).await;
    site.bus.publish(site.request("held")).await.unwrap();
    let held = next(&mut consumer).await;
    consumer.cancel().await.unwrap();
    site.bus.publish(site.request("later")).await.unwrap();
    assert!(within(consumer.next()).await.is_none());
    held.ack().await.unwrap();
    link.close().await;
    let other = site.link().await;
    let mut consumer = site.work(&*other, 1).await;
    let later = next(&mut consumer).await;
    assert_eq!((id(&later), later.redelivered), ("later", false));
}

async fn names_longer_than_the_wire_allows_are_refused(site: Site) {
    let mut publish = site.request("one");
    publish.routing_key = "k".repeat(256);
    let error = site.bus.publish(publish).await.unwrap_err();
    assert!(
        matches!(&error, PublishError::Limit(why) if why.contains("routing key")),
        "{error}"
    );
    let mut publish = site.request("one");
    publish.message.message_id = Some("m".repeat(256));
    let error = site.bus.publish(publish).await.unwrap_err();
    assert!(
        matches!(&error, PublishError::Limit(why) if why.contains("message-id")),
        "{error}"
    );
}
