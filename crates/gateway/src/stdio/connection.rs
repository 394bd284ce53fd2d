use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::mcp::{code, method};
use protocol::response::RpcError;
use protocol::{Envelope, Kind};
use serde_json::value::RawValue;
use service::TraceContext;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::lines::{Line, Lines, MAX_LINE};
use crate::call::Step;
use crate::era;
use crate::gateway::{Answer, Gateway};
use crate::message::{self, Reply};
use crate::request::{Request, Speaker};
use crate::session::{Begun, Running, Session};

/// How long running calls may take to finish after the input has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(20);
/// Most requests of the client at a time.
const MAX_REQUESTS: usize = 1024;

/// One client on a stream.
pub(super) struct Connection {
    gateway: Arc<Gateway>,
    messages: mpsc::Sender<Bytes>,
    /// What `initialize` agreed on, for requests that do not say it themselves.
    session: Option<Arc<Session>>,
    running: Running,
    requests: JoinSet<()>,
}

impl Connection {
    pub(super) fn new(gateway: Arc<Gateway>, messages: mpsc::Sender<Bytes>) -> Self {
        Self {
            gateway,
            messages,
            session: None,
            running: Running::default(),
            requests: JoinSet::new(),
        }
    }

    /// Reads until the end of the input, then finishes what runs.
    pub(super) async fn run(
        mut self,
        input: impl AsyncRead + Unpin,
        shutdown: &CancellationToken,
    ) -> io::Result<()> {
        let mut lines = Lines::new(input);
        let ended = loop {
            let line = tokio::select! {
                () = shutdown.cancelled() => break Ok(()),
                Some(_) = self.requests.join_next() => continue,
                line = lines.next() => line,
            };
            match line {
                Ok(Some(line)) => self.take(line).await,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let finish = async { while self.requests.join_next().await.is_some() {} };
        if timeout(LAST_ANSWERS, finish).await.is_err() {
            warn!("calls that were still running after the end of the input are cancelled");
        }
        ended
    }

    async fn take(&mut self, line: Line) {
        match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => {}
            Line::Whole(line) => self.message(line).await,
            Line::TooLong => {
                let error = RpcError::new(
                    code::INVALID_REQUEST,
                    format!("a message may have {MAX_LINE} bytes at most"),
                );
                self.send(Reply::error(None, &error)).await;
            }
        }
    }

    async fn message(&mut self, line: Bytes) {
        let envelope = match Envelope::parse(&line) {
            Ok(envelope) => envelope,
            Err(error) => return self.send(Reply::error(None, &(&error).into())).await,
        };
        match (envelope.kind, Request::read(&line, &envelope)) {
            (Kind::Request { .. }, Ok(Some(request))) => self.request(&line, &request).await,
            (Kind::Request { id, .. }, Err(error)) => {
                self.send(Reply::error(Some(id), &(&error).into())).await;
            }
            (Kind::Notification { .. }, _) => {
                if envelope.method().as_deref() == Some(method::CANCELLED)
                    && let Ok(params) = envelope.params()
                {
                    self.running.cancel(&params);
                }
            }
            (Kind::Response { id, .. }, _) | (Kind::Error { id: Some(id), .. }, _) => {
                self.response(id, &line).await;
            }
            (Kind::Request { .. }, Ok(None)) | (Kind::Error { id: None, .. }, _) => {
                debug!("an error without an id was ignored")
            }
        }
    }

    async fn response(&self, id: &RawValue, line: &Bytes) {
        let answered = match &self.session {
            Some(session) => self.gateway.inputs.answered(session, id, line).await,
            None => false,
        };
        if !answered {
            debug!("a response was ignored: nothing of the kind was asked");
        }
    }

    async fn request(&mut self, line: &Bytes, request: &Request<'_>) {
        let era = match self.era(request) {
            Ok(Era::Served(era)) => era,
            Ok(Era::Answered(result)) => {
                return self.send(Reply::result(request.id, &result)).await;
            }
            Err(error) => return self.send(Reply::error(Some(request.id), &error)).await,
        };
        let begun = if self.requests.len() < MAX_REQUESTS {
            self.running.begin(request.id)
        } else {
            Err(RpcError::new(
                code::BUSY,
                "too many requests are under way; wait for an answer",
            ))
        };
        match begun {
            Ok(begun) => {
                let (gateway, messages) = (Arc::clone(&self.gateway), self.messages.clone());
                self.requests
                    .spawn(answer(gateway, messages, line.clone(), era, begun));
            }
            Err(error) => self.send(Reply::error(Some(request.id), &error)).await,
        }
    }

    /// Finds out which era a request speaks; `initialize` and what comes before it are answered
    /// here, in their order.
    fn era(&mut self, request: &Request<'_>) -> Result<Era, RpcError> {
        if era::is_modern(&request.meta) || request.method == method::DISCOVER {
            let version = era::requested_version(&request.meta)?;
            era::check_supported(&version)?;
            return Ok(Era::Served(None));
        }
        if request.method == method::INITIALIZE {
            let session = Session::negotiate(&request.params)?;
            let result = message::initialized(session.version);
            self.session = Some(Arc::new(session));
            return Ok(Era::Answered(result));
        }
        match &self.session {
            Some(session) => Ok(Era::Served(Some(Arc::clone(session)))),
            None if request.method == method::PING => Ok(Era::Answered("{}".to_owned())),
            None => Err(era::undecided()),
        }
    }

    async fn send(&self, reply: Reply) {
        // Without a writer the connection is ending.
        let _ = self.messages.send(reply.body).await;
    }
}

enum Era {
    /// The session for a request of its era; none for one that says everything itself.
    Served(Option<Arc<Session>>),
    /// The result is known already.
    Answered(String),
}

/// Passes a message on; false when nobody takes it.
async fn pass_on(step: Step, messages: &mpsc::Sender<Bytes>) -> bool {
    let body = match step {
        Step::Notification(body) => body,
        Step::Final(reply) => reply.body,
        Step::Detach => return true,
    };
    messages.send(body).await.is_ok()
}

/// Answers one request; cancelled, it says nothing more.
async fn answer(
    gateway: Arc<Gateway>,
    messages: mpsc::Sender<Bytes>,
    line: Bytes,
    session: Option<Arc<Session>>,
    begun: Begun,
) {
    let work = async {
        // It was read before; a task needs its own view of the line.
        let Ok(envelope) = Envelope::parse(&line) else {
            return;
        };
        let Ok(Some(request)) = Request::read(&line, &envelope) else {
            return;
        };
        let speaker = session.as_deref().map_or(Speaker::Modern, Speaker::Legacy);
        match gateway
            .answer(&request, speaker, &TraceContext::default())
            .await
        {
            Answer::Done(reply) => _ = messages.send(reply.body).await,
            Answer::Call(mut call) => {
                while let Some(step) = call.next().await {
                    if !pass_on(step, &messages).await {
                        return;
                    }
                }
            }
            Answer::Subscription(mut news) => {
                while let Some(step) = news.next().await {
                    if !pass_on(step, &messages).await {
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = begun.cancelled() => {}
    }
}
