//! A bus with names of its own, and the few things every test does with one.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bus::amqp::{AmqpBus, Options};
use bus::memory::MemoryBus;
use bus::{
    Backoff, Bus, BusState, Caller, Consumer, Delivery, Headers, Link, Message, Publish, Queue,
};
use futures::StreamExt;
use protocol::{Category, Names, headers};
use testkit::rabbitmq::{self, Node, Vhost};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long anything may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

enum Kind {
    Memory(MemoryBus),
    RabbitMq(Vhost),
    OwnNode(Node),
}

/// What a broker can be short of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Alarm {
    Memory,
    Disk,
}

/// A bus for one test.
pub(crate) struct Site {
    kind: Kind,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) names: Names,
}

impl Site {
    pub(crate) fn in_memory() -> Self {
        let bus = MemoryBus::new();
        Self {
            bus: Arc::new(bus.clone()),
            kind: Kind::Memory(bus),
            names: Names::default(),
        }
    }

    pub(crate) async fn on_rabbitmq() -> Self {
        let broker = rabbitmq::shared()
            .await
            .expect("a broker: run scripts/test");
        let vhost = broker.vhost().await.unwrap();
        let bus = connect(&vhost.url());
        within(bus.connected()).await;
        Self {
            bus,
            names: Names::default(),
            kind: Kind::RabbitMq(vhost),
        }
    }

    /// On a broker that nobody else uses.
    pub(crate) async fn on_own_node() -> Self {
        let node = Node::start().await.expect("a broker: run scripts/test");
        let bus = connect(&node.amqp_url("/"));
        within(bus.connected()).await;
        Self::of(node, bus)
    }

    /// A node and a bus on it.
    pub(crate) fn of(node: Node, bus: Arc<dyn Bus>) -> Self {
        Self {
            bus,
            names: Names::default(),
            kind: Kind::OwnNode(node),
        }
    }

    /// The address of the broker.
    pub(crate) fn url(&self) -> String {
        match &self.kind {
            Kind::Memory(_) => panic!("only on RabbitMQ"),
            Kind::RabbitMq(vhost) => vhost.url(),
            Kind::OwnNode(node) => node.amqp_url("/"),
        }
    }

    pub(crate) fn own_node(&self) -> &Node {
        match &self.kind {
            Kind::OwnNode(node) => node,
            _ => panic!("only on a broker of its own"),
        }
    }

    /// Makes the broker short of something; it tells a connection at its next message.
    pub(crate) async fn raise(&self, alarm: Alarm) {
        let shortage = match alarm {
            Alarm::Memory => "vm_memory_monitor:set_vm_memory_high_watermark(0.000001)",
            Alarm::Disk => "rabbit_disk_monitor:set_disk_free_limit(1000000000000000)",
        };
        self.at_node(shortage).await;
    }

    /// The same, until the bus knows it; returns the reason.
    pub(crate) async fn block(&self, alarm: Alarm) -> String {
        if let Kind::Memory(bus) = &self.kind {
            bus.block("low on memory");
        } else {
            self.raise(alarm).await;
            let unheard = Publish::broadcast(Names::CONTROL, "unheard".to_owned(), message("x"));
            // Whether this one still gets through does not matter.
            let _ = tokio::time::timeout(Duration::from_secs(5), self.bus.publish(unheard)).await;
        }
        let mut state = self.bus.state();
        let blocked = within(state.wait_for(|state| matches!(state, BusState::Blocked(_)))).await;
        match &*blocked.unwrap() {
            BusState::Blocked(reason) => reason.to_string(),
            state => panic!("{state:?}"),
        }
    }

    /// Ends the alarm.
    pub(crate) async fn unblock(&self, alarm: Alarm) {
        if let Kind::Memory(bus) = &self.kind {
            return bus.unblock();
        }
        let plenty = match alarm {
            Alarm::Memory => "vm_memory_monitor:set_vm_memory_high_watermark(0.4)",
            Alarm::Disk => "rabbit_disk_monitor:set_disk_free_limit(50000000)",
        };
        self.at_node(plenty).await;
    }

    async fn at_node(&self, expression: &str) {
        let expression = format!("begin {expression}, \"ok\" end");
        self.own_node().eval(&expression).await.unwrap();
    }

    /// Ends every connection; the bus may come back at once.
    pub(crate) async fn end_connections(&self) {
        match &self.kind {
            Kind::Memory(bus) => {
                bus.go_away();
                bus.come_back();
            }
            Kind::RabbitMq(vhost) => {
                vhost
                    .broker()
                    .close_connections(vhost.name())
                    .await
                    .unwrap();
            }
            Kind::OwnNode(node) => node.close_connections("/").await.unwrap(),
        }
    }

    /// Deletes a queue behind everyone's back.
    pub(crate) async fn forget(&self, queue: &str) {
        let Kind::RabbitMq(vhost) = &self.kind else {
            panic!("only on RabbitMQ")
        };
        let properties = lapin::ConnectionProperties::default();
        let connection = lapin::Connection::connect(&vhost.url(), properties)
            .await
            .unwrap();
        let channel = connection.create_channel().await.unwrap();
        let options = lapin::options::QueueDeleteOptions::default();
        channel.queue_delete(queue.into(), options).await.unwrap();
    }

    /// Lowers by a policy how many messages a queue holds.
    pub(crate) async fn lower_limit(&self, queue: &str, limit: usize) {
        let Kind::RabbitMq(vhost) = &self.kind else {
            panic!("only on RabbitMQ")
        };
        let expression = format!(
            "begin ok = rabbit_policy:parse_set(<<\"{}\">>, <<\"lower\">>, <<\"^{}$\">>, \
             <<\"{{\\\"max-length\\\":{limit}}}\">>, <<\"0\">>, <<\"queues\">>, \
             <<\"testkit\">>), \"set\" end",
            vhost.name(),
            queue.replace('.', "[.]"),
        );
        vhost.broker().eval(&expression).await.unwrap();
    }

    pub(crate) async fn link(&self) -> Box<dyn Link> {
        self.bus.open("test").await.unwrap()
    }

    pub(crate) fn work_queue(&self) -> Queue {
        Queue::work(&self.names, &Category::network())
    }

    /// Declares the work queue and takes from it.
    pub(crate) async fn work(&self, link: &dyn Link, prefetch: u16) -> Consumer {
        let queue = self.work_queue();
        link.declare(&queue).await.unwrap();
        link.consume(&queue.name, NonZeroU16::new(prefetch))
            .await
            .unwrap()
    }

    pub(crate) fn request(&self, id: &str) -> Publish {
        Publish {
            exchange: Names::REQUESTS.to_owned(),
            routing_key: self.names.tool_key(&Category::network(), "ping"),
            mandatory: true,
            may_share: false,
            message: message(id),
        }
    }

    /// A caller whose reply queue is kept alive as long as the set lives.
    pub(crate) async fn caller(&self, tasks: &mut JoinSet<()>) -> Caller {
        let instance = uuid::Uuid::new_v4().to_string();
        let bus = Arc::clone(&self.bus);
        let caller = Caller::new(bus, self.names.clone(), instance, Duration::from_hours(1));
        let running = caller.clone();
        tasks.spawn(async move {
            running
                .run(&Backoff::default(), &CancellationToken::new())
                .await
                .unwrap();
        });
        within(caller.connected()).await;
        caller
    }
}

pub(crate) fn connect(url: &str) -> Arc<dyn Bus> {
    let options = Options {
        urls: vec![url.to_owned()],
        ..Options::default()
    };
    Arc::new(AmqpBus::start(options).unwrap())
}

pub(crate) fn message(id: &str) -> Message {
    Message {
        kind: Some(headers::kind::REQUEST.to_owned()),
        correlation_id: Some(id.to_owned()),
        message_id: Some(id.to_owned()),
        persistent: true,
        headers: Headers::default().with(headers::METHOD, "tools/call"),
        body: format!("{{\"id\":\"{id}\"}}").into(),
        ..Message::default()
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("in time")
}

pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    within(consumer.next()).await.expect("a delivery")
}

pub(crate) fn id(delivery: &Delivery) -> &str {
    delivery.message.correlation_id.as_deref().unwrap()
}

/// Waits until the broker says what is expected of a queue.
pub(crate) async fn until_state(
    bus: &Arc<dyn Bus>,
    queue: &str,
    expected: impl Fn(Option<bus::QueueState>) -> bool,
) {
    let state = async || {
        let state = bus.queue_state(queue).await.ok()?;
        expected(state).then_some(())
    };
    testkit::wait::until(queue, DEADLINE, state).await.unwrap();
}
