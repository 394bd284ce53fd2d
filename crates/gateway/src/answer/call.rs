use std::sync::Arc;

use bus::{COMPRESSIBLE, CallRequest, PendingCall};
use protocol::response::RpcError;
use service::telemetry::trace;
use service::{Outcome, TraceContext};
use tracing::Span;

use super::mirrors;
use super::target::Target;
use crate::bulkhead::Place;
use crate::busy;
use crate::call::{self, Key, RunningCall};
use crate::caller_scope::CallerScope;
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
        let item = Arc::clone(&target.item);
        let caller = CallerScope::of(request, speaker, &self.stdio_client);
        match self.begin(request, speaker, &caller, target, context) {
            Ok((place, call, pending)) => {
                let id = request.id.to_owned();
                let client = (speaker.session().map(Client::new), caller.of_states());
                let counted = (place, metrics);
                // On standard input there is no other connection on which to ask again.
                let is_connected = request.headers.is_none();
                let running =
                    RunningCall::new(self, call, pending, id, client, is_connected, counted);
                Ok(running)
            }
            Err(error) => {
                if let Some(reason) = busy::reason(&error) {
                    self.metrics.refused(item.category.as_str(), reason);
                }
                metrics.finish(Outcome::Refused);
                Err(error)
            }
        }
    }

    /// Begins a call, if there is room for it.
    fn begin(
        &self,
        request: &Request<'_>,
        speaker: Speaker<'_>,
        caller: &CallerScope<'_>,
        target: Target,
        context: TraceContext,
    ) -> Result<(Place, Arc<CallRequest>, PendingCall), RpcError> {
        let category = &target.item.category;
        let place = self.bulkhead.enter(category, caller, request.remote)?;
        let call = Arc::new(self.prepare(request, speaker, caller, target, context)?);
        let pending = self.caller.call(Arc::clone(&call));
        let pending = pending.map_err(|error| refusal::not_begun(&error).0)?;
        Ok((place, call, pending))
    }

    /// Everything that can speak against a call before it is made.
    fn prepare(
        &self,
        request: &Request<'_>,
        speaker: Speaker<'_>,
        caller: &CallerScope<'_>,
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
        let key = Key::of(request, caller)?;
        let category = item.category.clone();
        let waits = self.patient.contains(&category);
        if !waits && self.queues.is_deserted(&category) {
            return Err(refusal::no_worker(&category));
        }
        let body = call::body(request, speaker, caller, &self.keys)?;
        let workers_read_zstd = body.len() > COMPRESSIBLE && self.catalogue.reads_zstd(&category);
        Ok(CallRequest {
            category,
            tool,
            method,
            name,
            body,
            timeout,
            message_id: key.message_id,
            idempotent: key.is_callers,
            workers_read_zstd,
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
