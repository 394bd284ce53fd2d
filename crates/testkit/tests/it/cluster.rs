//! Three nodes that are one broker, and the death of one of them.

use lapin::{
    Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use testkit::rabbitmq::Cluster;

const QUEUE: &str = "calls";

async fn channel(url: &str) -> lapin::Channel {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    channel
}

async fn declare(channel: &lapin::Channel) -> u32 {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    let durable = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let queue = channel
        .queue_declare(QUEUE.into(), durable, arguments)
        .await
        .unwrap();
    queue.message_count()
}

async fn publish(channel: &lapin::Channel) {
    let properties = lapin::BasicProperties::default().with_delivery_mode(2);
    let confirm = channel.basic_publish(
        "".into(),
        QUEUE.into(),
        BasicPublishOptions::default(),
        b"a call",
        properties,
    );
    assert!(confirm.await.unwrap().await.unwrap().is_ack());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_broker_of_three_nodes_goes_on_without_the_leader_of_a_queue() {
    let mut cluster = Cluster::start(3).await.unwrap();
    let urls = cluster.amqp_urls("/");
    let first = channel(&urls[0]).await;
    declare(&first).await;
    publish(&first).await;
    cluster.in_sync("/", QUEUE).await.unwrap();
    let leader = cluster.leader("/", QUEUE).await.unwrap();

    cluster.kill_9(leader).unwrap();
    let next = cluster.leader("/", QUEUE).await.unwrap();
    assert_ne!(next, leader);
    let second = channel(&urls[next]).await;
    assert_eq!(declare(&second).await, 1, "the message is still there");
    publish(&second).await;

    cluster.restart(leader).await.unwrap();
    cluster.in_sync("/", QUEUE).await.unwrap();
    let third = channel(&urls[leader]).await;
    assert_eq!(declare(&third).await, 2);
}
