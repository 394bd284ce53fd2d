//! What is written on behalf of one request or session; each runs as a task of its own.

use std::sync::Arc;

use bytes::Bytes;
use protocol::Envelope;
use protocol::mcp::method;
use serde_json::value::RawValue;
use service::TraceContext;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::call::{RunningCall, Step};
use crate::gateway::{Answer, Gateway};
use crate::news::{SessionNews, Subscription};
use crate::request::{Request, Speaker};
use crate::session::{Begun, Session};

/// What every request of a connection needs to be answered.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) gateway: Arc<Gateway>,
    pub(super) messages: mpsc::Sender<Bytes>,
    /// Cancelled when no more input will come.
    pub(super) ended: CancellationToken,
}

impl Answers {
    /// Answers one request; cancelled, it says nothing more but that the client need not answer
    /// what it was asked for the request.
    pub(super) async fn answer(
        self,
        line: Bytes,
        session: Option<Arc<Session>>,
        begun: Begun,
        _place: Option<OwnedSemaphorePermit>,
    ) {
        let mut running = None;
        let work = async {
            // It was read before; a task needs its own view of the line.
            let Ok(envelope) = Envelope::parse(&line) else {
                return;
            };
            let Ok(Some(request)) = Request::read(&line, &envelope) else {
                return;
            };
            let speaker = session.as_deref().map_or(Speaker::Modern, Speaker::Legacy);
            self.write(&request, speaker, &mut running).await;
        };
        tokio::select! {
            () = work => {}
            () = begun.cancelled() => {}
        }
        for message in running.map(|mut call| call.withdraw()).unwrap_or_default() {
            self.send(message).await;
        }
    }

    /// Writes all that comes of a request. A call that begins is kept in `running`, for what is
    /// to be done when this future is dropped early.
    pub(super) async fn write(
        &self,
        request: &Request<'_>,
        speaker: Speaker<'_>,
        running: &mut Option<Box<RunningCall>>,
    ) {
        let trace = TraceContext::default();
        match self.gateway.answer(request, speaker, &trace).await {
            Answer::Done(reply) => _ = self.send(reply.body).await,
            Answer::Call(call) => self.call(running.insert(call)).await,
            Answer::Subscription(news) => self.follow(*news, request.id).await,
        }
    }

    /// Writes the news of a session until it ends.
    pub(super) async fn tell(self, mut news: SessionNews, session: Arc<Session>) {
        let work = async {
            while let Some(body) = news.next().await {
                if !self.send(body).await {
                    return;
                }
            }
        };
        // Also while the client does not read.
        session.ended().run_until_cancelled(work).await;
    }

    async fn call(&self, call: &mut RunningCall) {
        while let Some(step) = call.next().await {
            let body = match step {
                Step::Notification(body) => body,
                Step::Final(reply) => reply.body,
                // One stream carries everything here.
                Step::Detach => continue,
            };
            if !self.send(body).await {
                return;
            }
        }
    }

    /// Writes the news of a subscription until the server ends it.
    async fn follow(&self, mut news: Subscription, id: &RawValue) {
        // The acknowledgement comes first, whatever happens.
        let mut step = news.next().await;
        while let Some(Step::Notification(body)) = step {
            if !self.send(body).await {
                return;
            }
            let next = self.ended.run_until_cancelled(news.next()).await;
            step = next.unwrap_or_else(|| news.close());
        }
        if let Some(Step::Final(reply)) = step {
            // A client may wait for either sign of the end (MCP 2026-07-28, "Subscriptions",
            // "Graceful Closure", and "Cancellation").
            let cancelled = method::CANCELLED;
            let sign = format!(
                r#"{{"jsonrpc":"2.0","method":"{cancelled}","params":{{"requestId":{id}}}}}"#
            );
            _ = self.send(reply.body).await && self.send(sign).await;
        }
    }

    /// False when nobody takes what is written.
    pub(super) async fn send(&self, body: impl Into<Bytes>) -> bool {
        self.messages.send(body.into()).await.is_ok()
    }
}
