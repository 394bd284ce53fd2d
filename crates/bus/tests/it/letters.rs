//! What working on dead letters relies on: reading changes nothing, and one works at a time.

use std::num::NonZeroU16;
use std::time::Duration;

use bus::{Consumer, Error, Link, Publish, Queue};
use futures::StreamExt as _;

use crate::on_both_buses;
use crate::site::{Site, id, message, next, until_state, within};

on_both_buses!(
    letters_can_be_read_any_number_of_times_and_keep_their_order,
    what_is_acked_goes_and_the_rest_keeps_its_order,
    the_lock_belongs_to_one_link_and_goes_with_it,
);

/// More often than the limit of deliveries that RabbitMQ 4 has by default.
const READS: usize = 25;
/// Letters in the queue.
const LETTERS: usize = 40;

async fn with_letters(site: &Site) -> Queue {
    let queue = Queue::dead(&site.names);
    let link = site.link().await;
    link.declare(&queue).await.unwrap();
    for number in 0..LETTERS {
        let letter = Publish::to_queue(queue.name.clone(), message(&number.to_string()));
        site.bus.publish(letter).await.unwrap();
    }
    link.close().await;
    queue
}

async fn open(site: &Site, queue: &Queue) -> (Box<dyn Link>, Consumer) {
    let link = site.link().await;
    let consumer = link.consume(&queue.name, Some(NonZeroU16::MAX)).await;
    (link, consumer.unwrap())
}

/// Reads letters without settling them and compares their numbers.
async fn check_all(site: &Site, queue: &Queue, expected: impl Iterator<Item = usize>) {
    let (link, mut consumer) = open(site, queue).await;
    for number in expected {
        assert_eq!(id(&next(&mut consumer).await), number.to_string());
    }
    let more = tokio::time::timeout(Duration::from_millis(50), consumer.next()).await;
    assert!(more.is_err(), "{more:?}");
    link.close().await;
}

async fn letters_can_be_read_any_number_of_times_and_keep_their_order(site: Site) {
    let queue = with_letters(&site).await;
    for _ in 0..READS {
        check_all(&site, &queue, 0..LETTERS).await;
    }
    let all = u32::try_from(LETTERS).unwrap();
    until_state(&site.bus, &queue.name, |state| {
        state.unwrap().messages == all
    })
    .await;
}

async fn what_is_acked_goes_and_the_rest_keeps_its_order(site: Site) {
    let queue = with_letters(&site).await;
    let (link, mut consumer) = open(&site, &queue).await;
    for number in 0..LETTERS {
        let letter = next(&mut consumer).await;
        if number % 3 == 0 {
            letter.ack().await.unwrap();
        }
    }
    link.close().await;
    let left = (0..LETTERS).filter(|number| number % 3 != 0);
    check_all(&site, &queue, left).await;
}

async fn the_lock_belongs_to_one_link_and_goes_with_it(site: Site) {
    let lock = Queue::exclusive(site.names.dead_lock(), Vec::new());
    let (one, other) = (site.link().await, site.link().await);
    one.declare(&lock).await.unwrap();
    let refused = within(other.declare(&lock)).await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
    one.close().await;
    let taken = async || other.declare(&lock).await.ok();
    testkit::wait::until("the lock", crate::site::DEADLINE, taken)
        .await
        .unwrap();
}

/// The bound is an argument of the queue, which only a policy can lower on a running broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_of_letters_is_bounded_and_its_oldest_go() {
    let site = Site::on_rabbitmq().await;
    let queue = Queue::dead(&site.names);
    let link = site.link().await;
    link.declare(&queue).await.unwrap();
    let limit = 5;
    site.lower_limit(&queue.name, limit).await;
    let newest = LETTERS - limit..LETTERS;
    for number in 0..LETTERS {
        let letter = Publish::to_queue(queue.name.clone(), message(&number.to_string()));
        site.bus.publish(letter).await.unwrap();
    }
    until_state(&site.bus, &queue.name, |state| {
        usize::try_from(state.unwrap().messages).unwrap() == limit
    })
    .await;
    check_all(&site, &queue, newest.clone()).await;
    // Also while somebody holds all of them: then more come, and the oldest go afterwards.
    let (link, mut consumer) = open(&site, &queue).await;
    for _ in newest {
        next(&mut consumer).await;
    }
    for number in LETTERS..LETTERS + limit {
        let letter = Publish::to_queue(queue.name.clone(), message(&number.to_string()));
        site.bus.publish(letter).await.unwrap();
    }
    link.close().await;
    check_all(&site, &queue, LETTERS..LETTERS + limit).await;
}
