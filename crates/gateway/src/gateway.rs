//! Requests in, answers out, whatever the front: what the two eras share.

use std::collections::HashSet;
use std::sync::Arc;

use bus::{CallRequest, Caller};
use bytes::Bytes;
use protocol::mcp::{code, method};
use protocol::response::RpcError;
use protocol::{Category, Error, ToolDescriptor, canonical_tool_name};
use seal::Keyring;
use service::telemetry::trace;
use service::{Metrics, Outcome, TraceContext};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};
use uuid::Uuid;

use crate::call::RunningCall;
use crate::catalogue::{Catalogue, Tool};
use crate::input::Inputs;
use crate::message::{self, Reply};
use crate::news::{Hub, Subscription};
use crate::peers::Peers;
use crate::queues::Queues;
use crate::request::{Request, Speaker};
use crate::session::Sessions;
use crate::{refusal, splice};

/// Answers requests; shared by all fronts.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) catalogue: Catalogue,
    pub(crate) queues: Queues,
    pub(crate) caller: Caller,
    /// Categories whose calls wait for a worker until their deadline.
    pub(crate) patient: HashSet<Category>,
    pub(crate) metrics: Metrics,
    /// Seals what clients keep for the gateway.
    pub(crate) keys: Arc<Keyring>,
    /// The sessions of HTTP clients of the `initialize` era.
    pub(crate) sessions: Sessions,
    /// Requests to clients that wait for an answer.
    pub(crate) inputs: Inputs,
    /// What changes.
    pub(crate) hub: Hub,
    /// The other replicas.
    pub(crate) peers: Peers,
    /// Where cancels are sent from when a client goes, and calls are seen through.
    pub(crate) tasks: TaskTracker,
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
            category = Empty,
            outcome = Empty,
        );
        let context = request.trace(transport);
        trace::set_parent(&span, &context);
        let answer = async {
            if request.method == method::TOOLS_CALL {
                return self
                    .call(request, speaker, context)
                    .await
                    .map(Box::new)
                    .map(Answer::Call);
            }
            let result = self.result(request, speaker).await?;
            Ok(Answer::Done(Reply::result(request.id, &result)))
        };
        let answer: Result<Answer, RpcError> = answer.instrument(span.clone()).await;
        answer.unwrap_or_else(|error| {
            span.record("outcome", Outcome::Refused.as_str());
            Answer::Done(Reply::error(Some(request.id), &error))
        })
    }

    /// The result of what the gateway answers itself.
    async fn result(
        &self,
        request: &Request<'_>,
        speaker: Speaker<'_>,
    ) -> Result<String, RpcError> {
        match (request.method.as_ref(), speaker) {
            (method::DISCOVER, Speaker::Modern) => Ok(message::discover()),
            (method::PING, Speaker::Legacy(_)) => Ok("{}".to_owned()),
            (method::TOOLS_LIST, _) => self.list(request, speaker).await,
            (method, _) => Err(message::method_not_found(method, speaker.is_modern())),
        }
    }

    async fn list(&self, request: &Request<'_>, speaker: Speaker<'_>) -> Result<String, RpcError> {
        let cursor = match request.params.get("cursor") {
            None => None,
            Some(_) => Some(request.params.string("cursor").ok_or_else(invalid_cursor)?),
        };
        if !self.catalogue.settled().await {
            return Err(refusal::no_broker());
        }
        let catalogue = self.catalogue.now();
        let page = catalogue
            .page(cursor.as_deref())
            .map_err(|_| invalid_cursor())?;
        Ok(match speaker {
            Speaker::Modern => message::modern_list(&page),
            Speaker::Legacy(_) => message::legacy_list(&page),
        })
    }

    async fn call(
        self: &Arc<Self>,
        request: &Request<'_>,
        speaker: Speaker<'_>,
        context: TraceContext,
    ) -> Result<RunningCall, RpcError> {
        let name = request.params.name().ok_or_else(|| {
            RpcError::new(
                code::INVALID_PARAMS,
                "params.name must be a string: the tool's name",
            )
        })?;
        let tool = self.find(&name).await?;
        let span = Span::current();
        span.record("tool", &tool.name)
            .record("category", tool.category.as_str());
        let metrics = self.metrics.call(tool.category.as_str());
        let pending = self
            .prepare(request, speaker, &tool, context)
            .and_then(|call| {
                self.caller
                    .call(call)
                    .map_err(|error| refusal::unanswered(&error).0)
            });
        match pending {
            Ok(pending) => {
                let id = request.id.to_owned();
                Ok(RunningCall::new(
                    pending,
                    id,
                    speaker.is_modern(),
                    metrics,
                    self,
                ))
            }
            Err(error) => {
                metrics.finish(Outcome::Refused);
                Err(error)
            }
        }
    }

    /// Everything that can speak against a call before it is made.
    fn prepare(
        &self,
        request: &Request<'_>,
        speaker: Speaker<'_>,
        tool: &Tool,
        context: TraceContext,
    ) -> Result<CallRequest, RpcError> {
        let timeout = refusal::timeout(&request.meta, tool.deadlines)?;
        let waits = self.patient.contains(&tool.category);
        if !waits && self.queues.is_deserted(&tool.category) {
            return Err(refusal::no_worker(&tool.category));
        }
        Ok(CallRequest {
            category: tool.category.clone(),
            tool: tool.name.clone(),
            method: method::TOOLS_CALL,
            name: request.params.name().unwrap_or_default().into_owned(),
            body: body(request, speaker).map_err(|error| RpcError::from(&error))?,
            timeout,
            message_id: Uuid::now_v7().to_string(),
            at_most_once: tool.at_most_once,
            waits_for_worker: waits,
            params: Vec::new(),
            trace: trace_headers(trace::current(&Span::current()).unwrap_or(context)),
        })
    }

    async fn find(&self, name: &str) -> Result<Arc<Tool>, RpcError> {
        let known = |name| self.catalogue.now().find(name).map(Arc::clone);
        if let Some(tool) = known(name) {
            return Ok(tool);
        }
        if !self.catalogue.settled().await {
            return Err(refusal::no_broker());
        }
        known(name)
            .or_else(|| self.expected(name).map(Arc::new))
            .ok_or_else(|| refusal::unknown_tool(name, &self.catalogue.now()))
    }

    /// A tool that a worker will announce when it comes: of a category whose calls wait for one,
    /// and of which this gateway has never heard any.
    fn expected(&self, name: &str) -> Option<Tool> {
        let name = canonical_tool_name(name);
        let category = Category::of_core_tool(&name)?;
        let is_awaited = self.patient.contains(&category) && !self.catalogue.now().lists(&category);
        (is_awaited && ToolDescriptor::name_is_valid(&name))
            .then(|| Tool::expected(name.into_owned(), category))
    }
}

#[cfg(test)]
impl Gateway {
    /// A gateway on a bus of its own, without workers and without anything behind it.
    pub(crate) fn for_test() -> Arc<Self> {
        let bus: Arc<dyn bus::Bus> = Arc::new(bus::memory::MemoryBus::new());
        let (names, instance) = (protocol::Names::default(), "test".to_owned());
        let ttl = std::time::Duration::from_mins(1);
        let caller = Caller::new(Arc::clone(&bus), names.clone(), instance.clone(), ttl);
        let (_, catalogue) = crate::catalogue::Listener::new(
            Arc::clone(&bus),
            names.clone(),
            instance.clone(),
            caller.clone(),
            HashSet::new(),
        );
        Arc::new(Self {
            catalogue,
            peers: Peers::new(Arc::clone(&bus), names.clone(), instance),
            queues: Queues::new(bus, names, Metrics::default()),
            caller,
            patient: HashSet::new(),
            metrics: Metrics::default(),
            keys: Arc::new(Keyring::random()),
            sessions: Sessions::default(),
            inputs: Inputs::default(),
            hub: Hub::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }
}

/// The body for the worker: unchanged, or completed by what the session agreed on.
fn body(request: &Request<'_>, speaker: Speaker<'_>) -> Result<Bytes, Error> {
    match (
        speaker,
        request.raw_params,
        std::str::from_utf8(request.body),
    ) {
        (Speaker::Legacy(session), Some(params), Ok(text)) => {
            splice::complete_meta(text, params, &session.meta())
        }
        _ => Ok(request.body.clone()),
    }
}

fn trace_headers(context: TraceContext) -> Vec<(&'static str, String)> {
    use protocol::headers::{BAGGAGE, TRACEPARENT, TRACESTATE};
    [
        (TRACEPARENT, context.traceparent),
        (TRACESTATE, context.tracestate),
        (BAGGAGE, context.baggage),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn invalid_cursor() -> RpcError {
    RpcError::new(
        code::INVALID_PARAMS,
        "params.cursor is not a cursor of this server; begin again without one",
    )
}
