use protocol::{Category, Names};

/// An exchange of the platform; all are durable topic exchanges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange(pub String);

impl Exchange {
    /// Every exchange that a site uses, declared on each new connection.
    #[must_use]
    pub fn all(names: &Names) -> Vec<Self> {
        [Names::REQUESTS, Names::CONTROL, names.events_exchange()]
            .map(|name| Self(name.to_owned()))
            .to_vec()
    }
}

/// Which routing keys of an exchange a queue takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Topic exchange.
    pub exchange: String,
    /// Topic pattern: `*` stands for one word, `#` for any number.
    pub pattern: String,
}

/// How long a queue lives, and who may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Replicated and durable: a quorum queue.
    Durable,
    /// Classic, exclusive to one link, gone with it.
    Exclusive,
}

/// What happens to a message that finds the queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The publisher is told (nack).
    RejectPublish,
    /// The oldest message goes.
    DropHead,
}

/// A queue with everything the broker must know of it.
///
/// The arguments are constants: arguments that followed settings would end in reply code
/// 406 as soon as two processes differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Name on the broker.
    pub name: String,
    /// Durable or exclusive.
    pub lifetime: Lifetime,
    /// Most messages it holds (soft by one on RabbitMQ), and what happens beyond.
    pub max_length: Option<(u32, Overflow)>,
    /// Backstop of the broker against messages that are handed out for ever.
    pub delivery_limit: Option<u32>,
    /// What it takes.
    pub bindings: Vec<Binding>,
}

impl Queue {
    /// Most calls that wait for one category.
    pub const WORK_MAX_LENGTH: u32 = 100_000;
    /// Most dead letters that are kept.
    pub const DEAD_MAX_LENGTH: u32 = 10_000;
    /// See [`Queue::delivery_limit`]: letters are looked at any number of times. Without the
    /// argument RabbitMQ 4 would drop what was handed out 20 times, and RabbitMQ 3 refuses the
    /// -1 that stands for no limit there.
    pub const DEAD_DELIVERY_LIMIT: u32 = 1_000_000_000;
    /// See [`Queue::delivery_limit`]; the runtime gives up long before.
    pub const WORK_DELIVERY_LIMIT: u32 = 20;

    /// A category's work queue; only the worker runtime declares it.
    #[must_use]
    pub fn work(names: &Names, category: &Category) -> Self {
        Self {
            name: names.work_queue(category),
            lifetime: Lifetime::Durable,
            max_length: Some((Self::WORK_MAX_LENGTH, Overflow::RejectPublish)),
            delivery_limit: Some(Self::WORK_DELIVERY_LIMIT),
            bindings: vec![Binding {
                exchange: Names::REQUESTS.to_owned(),
                pattern: names.work_binding(category),
            }],
        }
    }

    /// The queue of dead letters.
    #[must_use]
    pub fn dead(names: &Names) -> Self {
        Self {
            name: names.dead_queue(),
            lifetime: Lifetime::Durable,
            max_length: Some((Self::DEAD_MAX_LENGTH, Overflow::DropHead)),
            delivery_limit: Some(Self::DEAD_DELIVERY_LIMIT),
            bindings: Vec::new(),
        }
    }

    /// A queue that is one link's own: replies (no binding) or a subscription.
    #[must_use]
    pub fn exclusive(name: impl Into<String>, bindings: Vec<Binding>) -> Self {
        Self {
            name: name.into(),
            lifetime: Lifetime::Exclusive,
            max_length: None,
            delivery_limit: None,
            bindings,
        }
    }
}
