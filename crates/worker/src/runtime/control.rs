//! What workers are told on the control exchange.

use bus::{Binding, Delivery, Queue};
use protocol::control::{Cancel, DISCOVER, FAULT, GRANT, Grant};
use protocol::{Envelope, Names, mcp};

use super::{Runtime, answers};

/// The queue on which one connection of a worker listens.
pub(super) fn queue(runtime: &Runtime) -> Queue {
    let Runtime { names, worker, .. } = runtime;
    let binding = |pattern: String| Binding {
        exchange: Names::CONTROL.to_owned(),
        pattern,
    };
    Queue::exclusive(
        names.control_queue(&runtime.instance, runtime.next_generation()),
        vec![
            binding(names.cancel_key(worker.category())),
            binding(names.discover_key()),
            binding(names.faults_key(worker.category())),
            binding(names.answers_key(worker.category())),
        ],
    )
}

/// Does what a control message says; one that says nothing to a worker is logged.
pub(super) fn take(runtime: &Runtime, delivery: &Delivery) {
    let Ok(envelope) = Envelope::parse(&delivery.message.body) else {
        tracing::warn!(
            key = delivery.routing_key,
            "a control message is not JSON-RPC"
        );
        return;
    };
    match envelope.method().as_deref() {
        Some(mcp::method::CANCELLED) => {
            let Some(cancel) = cancel(&envelope) else {
                tracing::warn!("a cancel without params.requestId was ignored");
                return;
            };
            let (correlation_id, reason) = (&cancel.request_id, &cancel.reason);
            tracing::debug!(correlation_id, reason, "a call is cancelled");
            runtime.cancels.cancel(correlation_id);
            runtime.answers.cancelled(correlation_id);
        }
        Some(FAULT) => runtime.faults.hear(&envelope, &runtime.instance),
        Some(GRANT) => {
            let Some(Grant {
                request_id,
                granted,
            }) = grant(&envelope)
            else {
                tracing::warn!("a grant without params.requestId and params.granted was ignored");
                return;
            };
            runtime.grants.tell(&request_id, granted);
        }
        Some(DISCOVER) => runtime.discover.notify_one(),
        _ if answers::take(&runtime.answers, &envelope) => {}
        method => tracing::debug!(?method, "a control message of no use to a worker"),
    }
}

fn grant(envelope: &Envelope<'_>) -> Option<Grant> {
    let params = envelope.params().ok()?;
    Some(Grant {
        request_id: params.string("requestId")?.into_owned(),
        granted: params.get("granted")?.get().parse().ok()?,
    })
}

fn cancel(envelope: &Envelope<'_>) -> Option<Cancel> {
    let params = envelope.params().ok()?;
    let text = |key: &str| params.string(key).map(std::borrow::Cow::into_owned);
    Some(Cancel {
        request_id: text("requestId")?,
        reason: text("reason"),
    })
}
