//! What a site is called, and what it calls things on the broker.

use std::time::Duration;

use bus::{
    Binding, Bus, Queue,
    amqp::{AmqpBus, Options},
};
use futures::StreamExt;
use protocol::Names;
use serde_json::{Value, json};

use super::operator::Operator;
use crate::site::{Running, SOON, Site};

#[tokio::test]
async fn sites_with_different_prefixes_share_a_broker_and_nothing_else() {
    let site = Site::new().await;
    let start = async |prefix: &str, name: &str| {
        let settings = [("AMQP_QUEUE_PREFIX", prefix), ("DISCOVERY_SITE", name)];
        let gateway = site
            .gateway_program()
            .await
            .env("AMQP_QUEUE_PREFIX", prefix);
        let gateway = Running::gateway(gateway);
        let (worker, ()) = tokio::join!(site.worker_with(&settings), gateway.ready());
        gateway.lists("ifconfig").await;
        (gateway, worker)
    };
    let (one, two) = tokio::join!(start("discovery.dc1", "dc1"), start("discovery.dc2", "dc2"));
    for ((gateway, _), name) in [(&one, "dc1"), (&two, "dc2")] {
        for _ in 0..5 {
            let answer = gateway.call("ifconfig", json!({ "interface": "lo" })).await;
            assert_eq!(
                answer["result"]["structuredContent"]["site"], name,
                "{answer}"
            );
        }
    }
    let topology = Operator::of(&site).await.topology().await;
    let of = |prefix: &str| {
        let names = topology.queues.iter().map(|queue| queue.name.as_str());
        names.filter(|name| name.starts_with(prefix)).count()
    };
    // Calls and dead letters, the worker's control; the gateway's replies, and what it hears of
    // workers, of events and of other gateways.
    assert_eq!((of("discovery.dc1."), of("discovery.dc2.")), (7, 7));
    assert_eq!(topology.queues.len(), 14, "{topology:#?}");
    let keys = topology.bindings.iter().map(|binding| binding.key.as_str());
    let foreign: Vec<&str> = keys
        .filter(|key| !key.starts_with("discovery.dc"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[tokio::test]
async fn the_exchange_for_events_is_called_as_it_is_set() {
    let site = Site::new().await;
    let _worker = site.worker_with(&[("AMQP_EXCHANGE", "dc1:events")]).await;
    let topology = Operator::of(&site).await.topology().await;
    let exchanges: Vec<&str> = topology
        .exchanges
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert!(exchanges.contains(&"dc1:events"), "{exchanges:?}");
    assert!(!exchanges.contains(&Names::EVENTS), "{exchanges:?}");
}

#[tokio::test]
async fn the_site_is_announced() {
    let site = Site::new().await;
    let bus = AmqpBus::start(Options {
        urls: vec![site.url()],
        ..Options::default()
    });
    let link = bus.unwrap().open("listener").await.unwrap();
    let binding = Binding {
        exchange: Names::CONTROL.to_owned(),
        pattern: Names::default().announce_key(),
    };
    let queue = Queue::exclusive("news", vec![binding]);
    link.declare(&queue).await.unwrap();
    let mut news = link.consume(&queue.name, None).await.unwrap();
    let _worker = site.worker_with(&[("DISCOVERY_SITE", "dc7")]).await;
    let heard = tokio::time::timeout(SOON + Duration::from_secs(5), news.next());
    let heard = heard.await.unwrap().unwrap();
    let announcement: Value = serde_json::from_slice(&heard.message.body).unwrap();
    assert_eq!(announcement["params"]["site"], "dc7", "{announcement}");
}

#[tokio::test]
async fn calls_pass_the_exchange_where_an_operator_may_listen_only_if_it_is_set() {
    let check = async |routing: Option<&str>| {
        let site = Site::new().await;
        let bus = AmqpBus::start(Options {
            urls: vec![site.url()],
            ..Options::default()
        });
        let link = bus.unwrap().open("tap").await.unwrap();
        let binding = Binding {
            exchange: Names::REQUESTS.to_owned(),
            pattern: "#".to_owned(),
        };
        let queue = Queue::exclusive("copies", vec![binding]);
        link.declare(&queue).await.unwrap();
        let mut copies = link.consume(&queue.name, None).await.unwrap();
        let mut program = site.gateway_program().await;
        if let Some(routing) = routing {
            program = program.env("AMQP_CALL_ROUTING", routing);
        }
        let gateway = Running::gateway(program);
        let (_worker, ()) = tokio::join!(site.worker(), gateway.ready());
        gateway.lists("ifconfig").await;
        let answer = gateway.call("ifconfig", json!({ "interface": "lo" })).await;
        assert!(answer["error"].is_null(), "{answer}");
        // The call is over: whatever was copied lies in the queue.
        let heard = tokio::time::timeout(Duration::from_millis(500), copies.next()).await;
        heard.ok().flatten().map(|copy| copy.routing_key)
    };
    let (topic, queue, unset) =
        tokio::join!(check(Some("topic")), check(Some("queue")), check(None));
    assert_eq!(
        topic.as_deref(),
        Some("mcp.discovery.tools.network.ifconfig")
    );
    assert_eq!((queue, unset), (None, None));
}
