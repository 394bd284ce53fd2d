use std::sync::Arc;

use bus::CallRequest;
use protocol::response::RpcError;
use service::telemetry::trace;
use service::{Outcome, TraceContext};
use tracing::Span;
use uuid::Uuid;

use super::mirrors;
use super::target::Target;
use crate::call::{self, RunningCall};
use crate::gateway::Gateway;
use crate::input::Client;
use crate::refusal;
use crate::request::{Request, Speaker};

impl Gateway {
    /// Asks a worker.
    pub(super) async fn call(
        self: &Arc<Self>,
        request: &Request<'_>,
        speaker: Speaker<'_>,
        context: TraceContext,
    ) -> Result<RunningCall, RpcError> {
        let target = self.target(request, speaker).await?;
        let metrics = self.metrics.call(target.item.category.as_str());
        let begun = self
            .prepare(request, speaker, target, context)
            .and_then(|call| {
                let call = Arc::new(call);
                let pending = self.caller.call(Arc::clone(&call));
                let pending = pending.map_err(|error| refusal::unanswered(&error).0)?;
                Ok((call, pending))
            });
        match begun {
            Ok((call, pending)) => {
                let id = request.id.to_owned();
                let client = speaker.session().map(Client::new);
                Ok(RunningCall::new(self, call, pending, id, client, metrics))
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
        target: Target,
        context: TraceContext,
    ) -> Result<CallRequest, RpcError> {
        let Target {
            item,
            method,
            tool,
            name,
        } = target;
        let params = mirrors::mirrored(request, speaker, &item.params)?;
        let timeout = refusal::timeout(&request.meta, item.deadlines)?;
        let category = item.category.clone();
        let waits = self.patient.contains(&category);
        if !waits && self.queues.is_deserted(&category) {
            return Err(refusal::no_worker(&category));
        }
        Ok(CallRequest {
            category,
            tool,
            method,
            name,
            body: call::body(request, speaker, &self.keys)?,
            timeout,
            message_id: Uuid::now_v7().to_string(),
            at_most_once: item.at_most_once,
            waits_for_worker: waits,
            params,
            trace: trace_headers(trace::current(&Span::current()).unwrap_or(context)),
        })
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
