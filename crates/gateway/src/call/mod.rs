//! A call on its way: frames from the worker become messages to the client, and input that the
//! worker needs is asked of clients that cannot come back with it themselves.

mod answer;
mod key;
mod request;

use std::collections::VecDeque;
use std::sync::Arc;

use bus::{CallError, CallRequest, Frame, PendingCall};
use bytes::Bytes;
use protocol::mcp::code;
use protocol::response::RpcError;
use serde_json::value::RawValue;
use service::{Outcome, metrics};
use tokio::runtime::Handle;
use tracing::{Instrument, Span, debug};
use uuid::Uuid;

use crate::bulkhead::Place;
use crate::busy;
use crate::gateway::Gateway;
use crate::input::{Asked, Client, Round};
use crate::message::Reply;
use crate::refusal;

use answer::{Answer, Reader};
pub(crate) use key::Key;
pub(crate) use request::body;

/// Most times that a worker asks for input before it must answer.
const MAX_ROUNDS: u32 = 16;

/// A call that a worker will answer. Dropped before that, it is cancelled, unless its client may
/// come back for the answer.
#[derive(Debug)]
pub(crate) struct RunningCall {
    gateway: Arc<Gateway>,
    /// The call of the first round; each further one adds to its body.
    call: Arc<CallRequest>,
    id: Box<RawValue>,
    /// The client, where it is one that is asked on the stream of its call.
    client: Option<Client>,
    /// Whose a request state is that the client is to come back with.
    caller: [u8; 32],
    /// The client has given it a key by which it can ask for the answer again, also over another
    /// connection.
    is_repeatable: bool,
    stage: Stage,
    n_rounds: u32,
    metrics: Option<metrics::Call>,
    /// Its right to be under way, until it ends.
    place: Option<Place>,
    runtime: Handle,
    span: Span,
}

#[derive(Debug)]
enum Stage {
    /// The worker works.
    Worker(Box<PendingCall>),
    /// The client is asked.
    Client(Round),
    /// The answer is known; before it, the client is told what it need not answer any more.
    Ending(VecDeque<Bytes>, Reply),
    /// The answer is out, or nobody wants it.
    Over,
}

/// What comes next of a call.
#[derive(Debug)]
pub(crate) enum Step {
    /// A notification, or a request to the client; more will come.
    Notification(Bytes),
    /// The worker will be quiet for long: a stream that its client can resume may end here.
    Detach,
    /// The answer; nothing comes after it.
    Final(Reply),
}

impl RunningCall {
    /// A call that `pending` has begun. `client` is the client, where it has a session, and
    /// `caller` whose it is otherwise; `is_connected` where it is one with its connection, as on
    /// standard input.
    pub(crate) fn new(
        gateway: &Arc<Gateway>,
        call: Arc<CallRequest>,
        pending: PendingCall,
        id: Box<RawValue>,
        (client, caller): (Option<Client>, [u8; 32]),
        is_connected: bool,
        (place, metrics): (Place, metrics::Call),
    ) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            is_repeatable: call.idempotent && !is_connected,
            call,
            id,
            client,
            caller,
            stage: Stage::Worker(Box::new(pending)),
            n_rounds: 1,
            metrics: Some(metrics),
            place: Some(place),
            runtime: Handle::current(),
            span: Span::current(),
        }
    }

    /// The next message for the client; `None` after the final one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Step> {
        loop {
            match &mut self.stage {
                Stage::Worker(pending) => {
                    let next = pending.next().instrument(self.span.clone());
                    match self.gateway.stop.run_until_cancelled(next).await {
                        Some(Ok(Frame::Notification(body))) => {
                            return Some(Step::Notification(body));
                        }
                        Some(Ok(Frame::Detach)) => return Some(Step::Detach),
                        Some(Ok(Frame::Final(body))) => self.answered(&body),
                        Some(Err(error)) => self.unanswered(&error),
                        None => self.shut_down(),
                    }
                }
                Stage::Client(round) => {
                    if let Some(request) = round.send() {
                        return Some(Step::Notification(request));
                    }
                    match self
                        .gateway
                        .stop
                        .run_until_cancelled(round.answered())
                        .await
                    {
                        Some(Ok(())) => self.again(),
                        Some(Err((error, outcome))) => self.fail(&error, outcome),
                        None => self.shut_down(),
                    }
                }
                Stage::Ending(withdrawn, reply) => {
                    if let Some(message) = withdrawn.pop_front() {
                        return Some(Step::Notification(message));
                    }
                    let reply = reply.clone();
                    self.stage = Stage::Over;
                    return Some(Step::Final(reply));
                }
                Stage::Over => return None,
            }
        }
    }

    /// Whether the client is asked, so that nothing goes on until it answers.
    pub(crate) fn is_with_client(&self) -> bool {
        matches!(self.stage, Stage::Client(_))
    }

    /// Ends the call because its client cancelled it, and gives what the client should still
    /// be told: which requests to it are void.
    pub(crate) fn withdraw(&mut self) -> VecDeque<Bytes> {
        let withdrawn = self.withdrawn("the call was cancelled");
        self.cancel("the client no longer waits");
        withdrawn
    }

    fn answered(&mut self, body: &Bytes) {
        let reader = Reader {
            call: &self.call,
            id: &self.id,
            client: self.client.as_ref(),
            caller: &self.caller,
            keys: &self.gateway.keys,
        };
        match reader.read(body) {
            Answer::Reply(reply, outcome) => self.end(reply, outcome),
            Answer::Asks(asked) => self.ask(asked),
        }
    }

    /// Begins to ask the client what a worker wants to know.
    fn ask(&mut self, asked: Asked) {
        // The worker is done with this round, however long the client takes.
        if let Some(metrics) = self.metrics.take() {
            metrics.finish(Outcome::Ok);
        }
        if self.n_rounds >= MAX_ROUNDS {
            return self.fail(&too_many_rounds(), Outcome::ProtocolError);
        }
        let Some(client) = &self.client else {
            return;
        };
        match Round::new(&self.gateway.inputs, client, asked) {
            Ok(round) => {
                self.stage = Stage::Client(round);
                if let Some(place) = &mut self.place {
                    place.wait_for_client();
                }
            }
            Err(error) => self.fail(&error, Outcome::Refused),
        }
    }

    /// Sends the call to a worker again, with what the client has answered.
    fn again(&mut self) {
        let Stage::Client(round) = &self.stage else {
            return;
        };
        let category = &self.call.category;
        if !self.call.waits_for_worker && self.gateway.queues.is_deserted(category) {
            let error = refusal::no_worker(category);
            return self.fail(&error, Outcome::Refused);
        }
        let body = match request::with_params(&self.call.body, &round.params()) {
            Ok(body) => body,
            Err(error) => return self.fail(&(&error).into(), Outcome::ProtocolError),
        };
        self.n_rounds += 1;
        self.metrics = Some(self.gateway.metrics.call(category.as_str()));
        let mut call = CallRequest {
            body,
            ..CallRequest::clone(&self.call)
        };
        if let Some(place) = &mut self.place {
            place.go_on();
        }
        if !call.idempotent {
            // It is another request, which a worker must not take for the one it has answered.
            // A caller's key stands for the call with all its rounds, whose answer is the last.
            call.message_id = Uuid::now_v7().to_string();
        }
        match self.gateway.caller.call(call) {
            Ok(pending) => self.stage = Stage::Worker(Box::new(pending)),
            Err(error) => {
                let (error, outcome) = refusal::not_begun(&error);
                self.fail(&error, outcome);
            }
        }
    }

    fn unanswered(&mut self, error: &CallError) {
        let (error, outcome) = refusal::unanswered(error);
        self.fail(&error, outcome);
    }

    /// Ends the call because the gateway does. What is known of it is told: an answer that has
    /// come, or that it may have run and must not run twice. Other calls may be tried again.
    fn shut_down(&mut self) {
        if let Stage::Worker(pending) = &mut self.stage {
            match pending.close() {
                Some(Ok(body)) => return self.answered(&body),
                Some(Err(error)) => return self.unanswered(&error),
                None => {}
            }
        }
        let withdrawn = self.withdrawn("the server shuts down");
        self.cancel("the gateway shuts down");
        let reply = Reply::error(Some(&self.id), &refusal::ending());
        self.stage = Stage::Ending(withdrawn, reply);
    }

    fn fail(&mut self, error: &RpcError, outcome: Outcome) {
        if let Some(reason) = busy::reason(error) {
            let category = self.call.category.as_str();
            self.gateway.metrics.refused(category, reason);
        }
        self.end(Reply::error(Some(&self.id), error), outcome);
    }

    /// The answer is known.
    fn end(&mut self, reply: Reply, outcome: Outcome) {
        let withdrawn = self.withdrawn("the call has ended");
        self.stage = Stage::Ending(withdrawn, reply);
        self.place = None;
        self.finish(outcome);
    }

    /// Stops the worker, unless the call is over.
    fn cancel(&mut self, reason: &'static str) {
        self.place = None;
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Worker(pending) => {
                self.finish(Outcome::Cancelled);
                let cancel = async move { pending.cancel(reason).await };
                self.gateway
                    .tasks
                    .spawn_on(cancel.instrument(self.span.clone()), &self.runtime);
            }
            Stage::Client(_) => self.finish(Outcome::Cancelled),
            Stage::Ending(..) | Stage::Over => {}
        }
    }

    fn withdrawn(&self, reason: &str) -> VecDeque<Bytes> {
        match &self.stage {
            Stage::Client(round) => round.withdraw(reason),
            _ => VecDeque::new(),
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.span.record("outcome", outcome.as_str());
        self.span
            .in_scope(|| debug!(outcome = outcome.as_str(), "call ended"));
        if outcome == Outcome::Ok {
            self.gateway.queues.succeeded(&self.call.category);
        }
        if let Some(metrics) = self.metrics.take() {
            metrics.finish(outcome);
        }
    }
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        if self.is_repeatable && matches!(self.stage, Stage::Worker(_)) {
            // Its worker goes on, so that a repetition gets the answer and not a second run.
            self.finish(Outcome::Cancelled);
            self.stage = Stage::Over;
        }
        self.cancel("the client no longer waits");
    }
}

fn too_many_rounds() -> RpcError {
    RpcError::new(
        code::INTERNAL_ERROR,
        format!(
            "the tool asked for input {MAX_ROUNDS} times and has not answered; this is its fault"
        ),
    )
}
