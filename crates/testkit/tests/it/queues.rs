//! The topology and counts of a virtual host, against what was declared.

use std::time::Duration;

use lapin::{
    BasicProperties, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
};
use serde_json::json;
use testkit::{queues, rabbitmq::shared, wait};

const SOON: Duration = Duration::from_secs(20);

async fn declare(channel: &lapin::Channel) -> lapin::Result<()> {
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .exchange_declare(
            "work".into(),
            ExchangeKind::Topic,
            durable,
            FieldTable::default(),
        )
        .await?;
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        lapin::types::AMQPValue::LongString("quorum".into()),
    );
    arguments.insert("x-max-length".into(), lapin::types::AMQPValue::LongInt(10));
    let durable = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .queue_declare("calls".into(), durable, arguments)
        .await?;
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    };
    channel
        .queue_declare("replies".into(), exclusive, FieldTable::default())
        .await?;
    let bind = QueueBindOptions::default();
    channel
        .queue_bind(
            "calls".into(),
            "work".into(),
            "a.#".into(),
            bind,
            FieldTable::default(),
        )
        .await
}

#[tokio::test]
async fn topology_is_what_was_declared() {
    let vhost = shared().await.unwrap().vhost().await.unwrap();
    let connection = Connection::connect(&vhost.url(), ConnectionProperties::default())
        .await
        .unwrap();
    declare(&connection.create_channel().await.unwrap())
        .await
        .unwrap();
    let topology = queues::topology(vhost.broker(), vhost.name())
        .await
        .unwrap();
    let expected = json!({
        "exchanges": [{ "name": "work", "kind": "topic", "durable": true, "auto_delete": false }],
        "queues": [
            {
                "name": "calls", "kind": "quorum", "durable": true, "auto_delete": false,
                "exclusive": false,
                "arguments": { "x-queue-type": "quorum", "x-max-length": 10 },
            },
            {
                "name": "replies", "kind": "classic", "durable": false, "auto_delete": false,
                "exclusive": true, "arguments": {},
            },
        ],
        "bindings": [{ "source": "work", "destination": "calls", "key": "a.#" }],
    });
    assert_eq!(serde_json::to_value(topology).unwrap(), expected);
}

#[tokio::test]
async fn counts_follow_publishing_and_consuming() {
    let vhost = shared().await.unwrap().vhost().await.unwrap();
    let connection = Connection::connect(&vhost.url(), ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    declare(&channel).await.unwrap();
    let counts = async |queue| {
        queues::counts(vhost.broker(), vhost.name(), queue)
            .await
            .unwrap()
    };
    assert_eq!(counts("nowhere").await, None);
    let publish = BasicPublishOptions::default();
    channel
        .basic_publish(
            "work".into(),
            "a.b".into(),
            publish,
            b"1",
            BasicProperties::default(),
        )
        .await
        .unwrap();
    let ready = async || counts("calls").await.filter(|counts| counts.ready == 1);
    wait::until("one message waits", SOON, ready).await.unwrap();
    let consume = BasicConsumeOptions::default();
    let consumer = channel
        .basic_consume("calls".into(), "me".into(), consume, FieldTable::default())
        .await
        .unwrap();
    let held = async || {
        counts("calls")
            .await
            .filter(|counts| counts.unacknowledged == 1)
    };
    let counts = wait::until("one message is held", SOON, held)
        .await
        .unwrap();
    assert_eq!((counts.ready, counts.consumers), (0, 1));
    drop(consumer);
}

#[tokio::test]
async fn closed_connection_is_seen_by_its_client() {
    let vhost = shared().await.unwrap().vhost().await.unwrap();
    let connection = Connection::connect(&vhost.url(), ConnectionProperties::default())
        .await
        .unwrap();
    vhost
        .broker()
        .close_connections(vhost.name())
        .await
        .unwrap();
    let gone = async || (!connection.status().connected()).then_some(());
    wait::until("the client sees it", SOON, gone).await.unwrap();
}
