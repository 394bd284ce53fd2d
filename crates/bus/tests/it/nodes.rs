//! A broker with several nodes: connections go round them.

use std::sync::Arc;
use std::time::Duration;

use bus::amqp::{AmqpBus, Options};
use bus::{Backoff, Bus, Error, Link, Publish, supervise};
use protocol::Names;
use testkit::rabbitmq::Node;
use testkit::targets::refusing_address;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::site::{DEADLINE, message, within};

fn bus(urls: &[String]) -> Arc<dyn Bus> {
    let options = Options {
        urls: urls.to_vec(),
        connect_timeout: Duration::from_secs(2),
        ..Options::default()
    };
    Arc::new(AmqpBus::start(options).unwrap())
}

fn keep_a_link(bus: &Arc<dyn Bus>, tasks: &mut JoinSet<()>) {
    let bus = Arc::clone(bus);
    tasks.spawn(async move {
        let session = |link: Arc<dyn Link>| async move { Err(link.lost().await) };
        let (backoff, shutdown) = (Backoff::default(), CancellationToken::new());
        let ended: Result<(), Error> = supervise(&bus, "kept", &backoff, &shutdown, session).await;
        ended.unwrap();
    });
}

async fn publishes(bus: &Arc<dyn Bus>) {
    let sent = async || {
        let heard = Publish::broadcast(Names::CONTROL, "nobody".to_owned(), message("x"));
        bus.publish(heard).await.ok()
    };
    testkit::wait::until("a message is taken", DEADLINE, sent)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_go_to_the_node_that_serves() {
    let mut one = Node::start().await.expect("a broker: run scripts/test");
    let mut two = Node::start().await.unwrap();
    let dead = format!("amqp://{}", refusing_address().unwrap());
    let bus = bus(&[dead, one.amqp_url("/"), two.amqp_url("/")]);
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        keep_a_link(&bus, &mut tasks);
    }
    within(publishes(&bus)).await;

    two.kill_9().unwrap();
    everything_is_at_one_node(&bus, &one).await;
    two.restart().await.unwrap();
    one.kill_9().unwrap();
    everything_is_at_one_node(&bus, &two).await;
}

/// Three links and a publisher.
async fn everything_is_at_one_node(bus: &Arc<dyn Bus>, node: &Node) {
    let count = "integer_to_list(length(rabbit_networking:connections()))";
    let all = async || (node.eval(count).await.unwrap() == "4").then_some(());
    testkit::wait::until("all connections at one node", DEADLINE, all)
        .await
        .unwrap();
    within(publishes(bus)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_a_node_that_serves_is_told_with_all_of_them() {
    let nodes = [(); 2].map(|()| refusing_address().unwrap().to_string());
    let bus = bus(&nodes
        .clone()
        .map(|node| format!("amqp://user:hunter2@{node}")));
    let error = match within(bus.open("test")).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("nobody is there"),
    };
    assert!(nodes.iter().all(|node| error.contains(node)), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}
