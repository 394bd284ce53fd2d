//! Final replies to one queue that share messages.

use bus::{Headers, Message, Publish, PublishError, Queue};
use futures::future::join_all;
use protocol::{Category, headers};

use crate::on_both_buses;
use crate::site::{Site, id, next, within};

on_both_buses!(
    each_reply_of_a_burst_arrives_and_is_confirmed,
    each_reply_to_a_queue_that_is_gone_comes_back,
);

const BURST: usize = 300;

fn reply(queue: &str, number: usize) -> Publish {
    let message = Message {
        kind: Some(headers::kind::RESPONSE.to_owned()),
        correlation_id: Some(number.to_string()),
        app_id: Some("worker".to_owned()),
        headers: Headers::default()
            .with(headers::PROTOCOL_VERSION, "2026-07-28")
            .with(headers::SEQ, 0)
            .with(headers::FINAL, true),
        body: format!(r#"{{"jsonrpc":"2.0","id":{number},"result":{{}}}}"#).into(),
        ..Message::default()
    };
    Publish {
        may_share: true,
        ..Publish::to_queue(queue, message)
    }
}

fn burst(queue: &str) -> Vec<Publish> {
    (0..BURST).map(|number| reply(queue, number)).collect()
}

async fn each_reply_of_a_burst_arrives_and_is_confirmed(site: Site) {
    let queue = Queue::work(&site.names, &Category::network());
    let link = site.bus.open("test").await.unwrap();
    link.declare(&queue).await.unwrap();
    let sent = burst(&queue.name);
    let confirmed = join_all(sent.iter().map(|reply| site.bus.publish(reply.clone())));
    for confirmed in within(confirmed).await {
        confirmed.unwrap();
    }
    let mut consumer = link.consume(&queue.name, None).await.unwrap();
    let mut arrived = Vec::new();
    while arrived.len() < BURST {
        arrived.push(next(&mut consumer).await);
    }
    arrived.sort_by_key(|delivery| id(delivery).parse::<usize>().unwrap());
    let arrived: Vec<Message> = arrived.into_iter().map(|it| it.message).collect();
    let sent: Vec<Message> = sent.into_iter().map(|reply| reply.message).collect();
    assert_eq!(arrived, sent);
}

async fn each_reply_to_a_queue_that_is_gone_comes_back(site: Site) {
    let sent = burst("gone").into_iter();
    let refused = join_all(sent.map(|reply| site.bus.publish(reply)));
    for refused in within(refused).await {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, PublishError::Unroutable(_)), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_takes_few_messages() {
    let site = Site::on_rabbitmq().await;
    let queue = Queue::work(&site.names, &Category::network());
    let link = site.bus.open("test").await.unwrap();
    link.declare(&queue).await.unwrap();
    let confirmed = join_all(
        burst(&queue.name)
            .into_iter()
            .map(|it| site.bus.publish(it)),
    );
    for confirmed in within(confirmed).await {
        confirmed.unwrap();
    }
    let state = site.bus.queue_state(&queue.name).await.unwrap().unwrap();
    assert!(
        usize::try_from(state.messages).unwrap() < BURST / 2,
        "{state:?}"
    );
}
