//! Requests in, answers out, whatever the front: what the two eras share.

use std::collections::HashSet;
use std::sync::Arc;

use bus::Caller;
use protocol::Category;
use seal::Keyring;
use service::telemetry::trace;
use service::{Metrics, Outcome, TraceContext};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

use crate::bulkhead::Bulkhead;
use crate::call::RunningCall;
use crate::catalogue::Catalogue;
use crate::input::Inputs;
use crate::message::Reply;
use crate::news::{Hub, Subscription};
use crate::peers::Peers;
use crate::queues::Queues;
use crate::request::{Request, Speaker};
use crate::session::Sessions;
use crate::streams::Streams;

/// Answers requests; shared by all fronts.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) catalogue: Catalogue,
    pub(crate) queues: Queues,
    pub(crate) bulkhead: Arc<Bulkhead>,
    pub(crate) caller: Caller,
    /// Categories whose calls wait for a worker until their deadline.
    pub(crate) patient: HashSet<Category>,
    /// What tells the client on standard input from those of other gateways.
    pub(crate) stdio_client: String,
    pub(crate) metrics: Metrics,
    /// Seals what clients keep for the gateway.
    pub(crate) keys: Arc<Keyring>,
    /// The sessions of HTTP clients of the `initialize` era.
    pub(crate) sessions: Sessions,
    /// Requests to clients that wait for an answer.
    pub(crate) inputs: Inputs,
    /// What changes.
    pub(crate) hub: Hub,
    /// Event streams of HTTP clients that they may come back to.
    pub(crate) streams: Streams,
    /// The other replicas.
    pub(crate) peers: Peers,
    /// Where cancels are sent from when a client goes, and calls are seen through.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the process begins to shut down: streams that only their client would end,
    /// subscriptions among them, end at once; running calls go on.
    pub(crate) leaving: CancellationToken,
    /// Cancelled when the time to shut down is over: running calls end with an error.
    pub(crate) stop: CancellationToken,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is answered.
    Done(Reply),
    /// A worker will answer it.
    Call(Box<RunningCall>),
    /// News follow until the client or the gateway ends it.
    Subscription(Box<Subscription>),
}

impl Gateway {
    /// Answers a request, `initialize` excepted, which is the front's.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        request: &Request<'_>,
        speaker: Speaker<'_>,
        transport: &TraceContext,
    ) -> Answer {
        let span = info_span!(
            "mcp.request",
            otel.kind = "server",
            method = request.known_method(),
            tool = Empty,
            resource = Empty,
            category = Empty,
            outcome = Empty,
        );
        let context = request.trace(transport);
        trace::set_parent(&span, &context);
        let answer = self.route(request, speaker, context);
        let answer = answer.instrument(span.clone()).await;
        answer.unwrap_or_else(|error| {
            span.record("outcome", Outcome::Refused.as_str());
            Answer::Done(Reply::error(Some(request.id), &error))
        })
    }
}

#[cfg(test)]
impl Gateway {
    /// A gateway on a bus of its own, without workers and without anything behind it.
    pub(crate) fn for_test() -> Arc<Self> {
        Self::for_test_on(&bus::memory::MemoryBus::new(), "test")
    }

    /// One of several gateways on a bus.
    pub(crate) fn for_test_on(bus: &bus::memory::MemoryBus, instance: &str) -> Arc<Self> {
        let bus: Arc<dyn bus::Bus> = Arc::new(bus.clone());
        let (names, instance) = (protocol::Names::default(), instance.to_owned());
        let ttl = std::time::Duration::from_mins(1);
        let caller = Caller::new(Arc::clone(&bus), names.clone(), instance.clone(), ttl);
        let hub = Hub::new();
        let (_, catalogue) = crate::catalogue::Listener::new(
            Arc::clone(&bus),
            names.clone(),
            instance.clone(),
            caller.clone(),
            HashSet::new(),
            (hub.clone(), service::Health::default()),
        );
        let peers = Peers::new(Arc::clone(&bus), names.clone(), instance);
        let keys = Arc::new(Keyring::random());
        Arc::new(Self {
            catalogue,
            streams: Streams::new(peers.instance(), std::time::Duration::from_mins(30)),
            sessions: Sessions::for_test(&keys),
            keys,
            queues: Queues::new(bus, names, Metrics::default()),
            bulkhead: Arc::new(Bulkhead::new(crate::bulkhead::Limits::default())),
            caller,
            patient: HashSet::new(),
            stdio_client: peers.instance().to_owned(),
            metrics: Metrics::default(),
            inputs: Inputs::new(peers.clone(), std::time::Duration::from_mins(30)),
            hub,
            peers,
            tasks: TaskTracker::new(),
            leaving: CancellationToken::new(),
            stop: CancellationToken::new(),
        })
    }
}
