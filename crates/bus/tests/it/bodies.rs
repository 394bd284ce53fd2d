//! Large bodies: limits, compression, and what cannot be read.

use std::sync::Arc;
use std::time::Duration;

use bus::amqp::{AmqpBus, Options};
use bus::{Bus, CallError, CallRequest, MAX_MESSAGE_SIZE, Message, Publish, PublishError, Queue};
use bytes::Bytes;
use futures::StreamExt;
use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use protocol::{Category, Names, headers};
use testkit::rabbitmq::Node;
use tokio::task::JoinSet;

use crate::calls::{answer_of, echo, request};
use crate::on_both_buses;
use crate::site::{DEADLINE, Site, id, message, next, within};

on_both_buses!(
    a_body_beyond_the_limit_is_refused_with_its_size,
    large_bodies_arrive_as_they_were_sent,
    large_calls_are_answered,
);

fn text(bytes: usize) -> Bytes {
    "{\"host\":\"switch-7\"}".repeat(bytes / 18).into()
}

/// Text that does not become smaller.
fn noise(bytes: usize) -> Bytes {
    let random = |_| uuid::Uuid::new_v4().into_bytes();
    (0..bytes / 16).flat_map(random).collect::<Vec<u8>>().into()
}

fn large(id: &str, body: Bytes) -> Message {
    Message {
        zstd: true,
        body,
        ..message(id)
    }
}

async fn a_body_beyond_the_limit_is_refused_with_its_size(site: Site) {
    let mut tasks = JoinSet::new();
    echo(&site, &mut tasks).await;
    let caller = site.caller(&mut tasks).await;
    let mut too_large = site.request("one");
    too_large.message.body = vec![b' '; MAX_MESSAGE_SIZE + 1].into();
    match within(site.bus.publish(too_large)).await {
        Err(PublishError::TooLarge { bytes, limit }) => {
            assert_eq!((bytes, limit), (MAX_MESSAGE_SIZE + 1, MAX_MESSAGE_SIZE));
        }
        other => panic!("{other:?}"),
    }
    let body = " ".repeat(MAX_MESSAGE_SIZE + 1);
    let error = answer_of(&caller, request(&body, DEADLINE))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, CallError::Limit(_)), "{text}");
    for part in ["16777217", "16777216", "AMQP_MAX_MESSAGE_SIZE"] {
        assert!(text.contains(part), "{text}");
    }
    let answer = answer_of(&caller, request("small", DEADLINE)).await;
    assert_eq!(answer.unwrap(), "small");
}

async fn large_bodies_arrive_as_they_were_sent(site: Site) {
    let link = site.link().await;
    let mut consumer = site.work(&*link, 10).await;
    for body in [text(100_000), noise(100_000), text(3 << 20), Bytes::new()] {
        let mut publish = site.request("one");
        publish.message = large("one", body);
        site.bus.publish(publish.clone()).await.unwrap();
        let delivery = next(&mut consumer).await;
        let (arrived, sent) = (delivery.message.body.clone(), publish.message.body);
        assert!(arrived == sent, "a body has changed");
        delivery.ack().await.unwrap();
    }
}

async fn large_calls_are_answered(site: Site) {
    let mut tasks = JoinSet::new();
    echo(&site, &mut tasks).await;
    let caller = site.caller(&mut tasks).await;
    let body = String::from_utf8(text(3 << 20).to_vec()).unwrap();
    let answer = answer_of(&caller, request(&body, DEADLINE)).await.unwrap();
    assert!(answer == body, "the body has changed");
}

/// A program that knows nothing of us.
struct Stranger {
    _connection: lapin::Connection,
    channel: lapin::Channel,
}

impl Stranger {
    async fn at(site: &Site) -> Self {
        let properties = lapin::ConnectionProperties::default();
        let connection = lapin::Connection::connect(&site.url(), properties)
            .await
            .unwrap();
        let channel = connection.create_channel().await.unwrap();
        Self {
            _connection: connection,
            channel,
        }
    }

    async fn declare(&self, queue: &str) -> lapin::Consumer {
        let (name, options) = (queue.into(), QueueDeclareOptions::default());
        self.channel
            .queue_declare(name, options, FieldTable::default())
            .await
            .unwrap();
        self.consume(queue).await
    }

    async fn consume(&self, queue: &str) -> lapin::Consumer {
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        self.channel
            .basic_consume(queue.into(), "".into(), options, FieldTable::default())
            .await
            .unwrap()
    }

    async fn publish(&self, queue: &str, properties: BasicProperties, body: &[u8]) {
        let options = BasicPublishOptions::default();
        self.channel
            .basic_publish("".into(), queue.into(), options, body, properties)
            .await
            .unwrap();
    }
}

/// Properties of the final reply to a request.
fn finally(request: &BasicProperties) -> BasicProperties {
    let mut table = FieldTable::default();
    table.insert(headers::FINAL.into(), AMQPValue::Boolean(true));
    let id = request.correlation_id().clone().unwrap();
    BasicProperties::default()
        .with_correlation_id(id)
        .with_headers(table)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_compressed_above_the_threshold_where_the_receiver_reads_that() {
    let site = Site::on_rabbitmq().await;
    let stranger = Stranger::at(&site).await;
    let mut seen = stranger.declare("seen").await;
    let mut sent = async |message: Message| {
        let publish = Publish::to_queue("seen", message);
        site.bus.publish(publish).await.unwrap();
        let delivery = within(seen.next()).await.unwrap().unwrap();
        let encoding = delivery.properties.content_encoding().clone();
        (encoding.map(|it| it.to_string()), delivery.data.len())
    };
    let (encoding, bytes) = sent(large("1", text(100_000))).await;
    assert_eq!(encoding.unwrap(), "zstd");
    assert!(bytes < 10_000, "{bytes}");
    for body in [text(60_000), noise(100_000)] {
        let bytes = body.len();
        assert_eq!(sent(large("2", body)).await, (None, bytes));
    }
    let body = text(100_000);
    let bytes = body.len();
    let plain = Message {
        zstd: false,
        ..large("3", body)
    };
    assert_eq!(sent(plain).await, (None, bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_compressed_where_workers_read_that_and_its_reply_where_it_says_so() {
    let site = Site::on_rabbitmq().await;
    let mut tasks = JoinSet::new();
    let caller = site.caller(&mut tasks).await;
    let link = site.link().await;
    let queue = Queue::work(&site.names, &Category::network());
    link.declare(&queue).await.unwrap();
    let stranger = Stranger::at(&site).await;
    let mut asked = stranger.consume(&queue.name).await;
    let body = String::from_utf8(text(100_000).to_vec()).unwrap();
    for (workers_read_zstd, expected) in [(true, Some("zstd")), (false, None)] {
        let call = CallRequest {
            workers_read_zstd,
            ..request(&body, DEADLINE)
        };
        let answer = answer_of(&caller, call);
        let serve = async {
            let request = within(asked.next()).await.unwrap().unwrap();
            let encoding = request.properties.content_encoding().clone();
            assert_eq!(encoding.map(|it| it.to_string()).as_deref(), expected);
            let headers = request.properties.headers().clone().unwrap_or_default();
            let accepted = headers.inner().get(headers::ACCEPT_ENCODING).cloned();
            assert_eq!(accepted, Some(AMQPValue::LongString("zstd".into())));
            let properties = finally(&request.properties);
            let to = request.properties.reply_to().clone().unwrap();
            let body = zstd::bulk::compress(b"done", 1).unwrap();
            let properties = properties.with_content_encoding("zstd".into());
            stranger.publish(to.as_str(), properties, &body).await;
        };
        let (answer, ()) = tokio::join!(answer, serve);
        assert_eq!(answer.unwrap(), "done");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_be_read_is_handed_out_without_it_and_with_the_reason() {
    let site = Site::on_rabbitmq().await;
    let link = site.link().await;
    let mut consumer = site.work(&*link, 10).await;
    let stranger = Stranger::at(&site).await;
    let queue = site.work_queue().name;
    let properties = |encoding: &str| {
        BasicProperties::default()
            .with_correlation_id("c".into())
            .with_content_encoding(encoding.into())
    };
    for (encoding, body, expected) in [
        ("gzip", b"{}".as_slice(), "\"gzip\""),
        ("zstd", b"{}", "no valid zstd data"),
        ("zstd", b"", "no valid zstd data"),
    ] {
        stranger.publish(&queue, properties(encoding), body).await;
        let delivery = next(&mut consumer).await;
        assert_eq!((id(&delivery), delivery.message.body.len()), ("c", 0));
        let why = delivery.message.unreadable.clone().unwrap_or_default();
        assert!(why.contains(expected), "{encoding}: {why}");
        delivery.ack().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_is_told_of_an_answer_that_cannot_be_read() {
    let site = Site::on_rabbitmq().await;
    let mut tasks = JoinSet::new();
    let link = site.link().await;
    let mut work = site.work(&*link, 1).await;
    let caller = site.caller(&mut tasks).await;
    let stranger = Stranger::at(&site).await;
    let answering = async {
        let asked = next(&mut work).await.message;
        let id = asked.correlation_id.unwrap().into();
        let asked_with = BasicProperties::default().with_correlation_id(id);
        let properties = finally(&asked_with).with_content_encoding("br".into());
        stranger
            .publish(&asked.reply_to.unwrap(), properties, b"x")
            .await;
    };
    let (answer, ()) = tokio::join!(answer_of(&caller, request("x", DEADLINE)), answering);
    match answer {
        Err(CallError::Unreadable(why)) => assert!(why.contains("\"br\""), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_a_lower_limit_ends_one_call_and_not_those_after_it() {
    let node = Node::start().await.expect("a broker: run scripts/test");
    let lower = "begin application:set_env(rabbit, max_message_size, 131072), \"ok\" end";
    node.eval(lower).await.unwrap();
    let options = Options {
        urls: vec![node.amqp_url("/")],
        compression_threshold: None,
        ..Options::default()
    };
    let bus: Arc<dyn Bus> = Arc::new(AmqpBus::start(options).unwrap());
    let site = Site::of(node, bus);
    within(site.bus.connected()).await;
    let mut tasks = JoinSet::new();
    echo(&site, &mut tasks).await;
    let caller = site.caller(&mut tasks).await;
    let body = String::from_utf8(text(200_000).to_vec()).unwrap();
    let answer = answer_of(&caller, request(&body, Duration::from_mins(1))).await;
    match answer {
        Err(CallError::Limit(why)) => assert!(why.contains("131072"), "{why}"),
        other => panic!("{other:?}"),
    }
    let answer = answer_of(&caller, request("small", DEADLINE)).await;
    assert_eq!(answer.unwrap(), "small");
    let key = site.names.tool_key(&Category::network(), "ping");
    let direct = Publish {
        exchange: Names::REQUESTS.to_owned(),
        routing_key: key,
        mandatory: true,
        may_share: false,
        message: large("direct", text(200_000)),
    };
    let refused = within(site.bus.publish(direct)).await;
    assert!(
        matches!(refused, Err(PublishError::TooLarge { .. })),
        "{refused:?}"
    );
}
