use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::mcp::{code, method};
use protocol::response::RpcError;
use protocol::{Envelope, Kind};
use serde_json::value::RawValue;
use tokio::io::AsyncRead;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::answer::Answers;
use super::lines::{Line, Lines, MAX_LINE};
use crate::busy::Busy;
use crate::era;
use crate::gateway::Gateway;
use crate::message::{self, Reply};
use crate::news::SessionNews;
use crate::request::{Request, Speaker};
use crate::session::{Begun, Running, Session};

/// How long running calls may take to finish after the input has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(20);
/// Most requests of the client at a time.
const MAX_REQUESTS: usize = 1024;
/// Most subscriptions of the client at a time.
const MAX_SUBSCRIPTIONS: usize = 64;

/// One client on a stream.
pub(super) struct Connection {
    answers: Answers,
    /// What `initialize` agreed on, for requests that do not say it themselves.
    session: Option<Arc<Session>>,
    /// News of the session until its client says that it is ready for them.
    held_back: Option<SessionNews>,
    news: JoinSet<()>,
    running: Running,
    requests: JoinSet<()>,
    subscriptions: Arc<Semaphore>,
}

impl Connection {
    pub(super) fn new(gateway: Arc<Gateway>, messages: mpsc::Sender<Bytes>) -> Self {
        Self {
            answers: Answers {
                gateway,
                messages,
                ended: CancellationToken::new(),
            },
            session: None,
            held_back: None,
            news: JoinSet::new(),
            running: Running::default(),
            requests: JoinSet::new(),
            subscriptions: Arc::new(Semaphore::new(MAX_SUBSCRIPTIONS)),
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
                Some(_) = self.news.join_next() => continue,
                line = lines.next() => line,
            };
            match line {
                Ok(Some(line)) => self.take(line).await,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // Nobody can end a subscription or answer a question of the server any more.
        self.answers.ended.cancel();
        self.end_session();
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
            (Kind::Notification { .. }, _) => self.notification(&envelope),
            (Kind::Response { id, .. } | Kind::Error { id: Some(id), .. }, _) => {
                self.response(id, &line).await;
            }
            (Kind::Request { .. }, Ok(None)) | (Kind::Error { id: None, .. }, _) => {
                debug!("an error without an id was ignored");
            }
        }
    }

    fn notification(&mut self, envelope: &Envelope<'_>) {
        match envelope.method().as_deref() {
            Some(method::CANCELLED) => {
                if let Ok(params) = envelope.params() {
                    self.running.cancel(&params);
                }
            }
            Some(method::INITIALIZED) => {
                // Said again, it changes nothing.
                if let (Some(session), Some(news)) = (&self.session, self.held_back.take()) {
                    let tell = self.answers.clone().tell(news, Arc::clone(session));
                    self.news.spawn(tell);
                }
            }
            _ => {}
        }
    }

    async fn response(&self, id: &RawValue, line: &Bytes) {
        let inputs = &self.answers.gateway.inputs;
        let answered = match &self.session {
            Some(session) => inputs.answered(session, id, line).await,
            None => false,
        };
        if !answered {
            debug!("a response was ignored: nothing of the kind was asked");
        }
    }

    async fn request(&mut self, line: &Bytes, request: &Request<'_>) {
        let session = match self.era(request) {
            Ok(Era::Served(session)) => session,
            Ok(Era::Answered(result)) => {
                return self.send(Reply::result(request.id, &result)).await;
            }
            Err(error) => return self.send(Reply::error(Some(request.id), &error)).await,
        };
        let (begun, place) = match self.begin(request) {
            Ok(begun) => begun,
            Err(error) => return self.send(Reply::error(Some(request.id), &error)).await,
        };
        match session {
            // What follows on the stream must find it done.
            Some(session) if changes_session(&request.method) => {
                let speaker = Speaker::Legacy(&session);
                self.answers.write(request, speaker, &mut None).await;
            }
            session => {
                let answers = self.answers.clone();
                self.requests
                    .spawn(answers.answer(line.clone(), session, begun, place));
            }
        }
    }

    /// Notes a request as under way, if there is room for it.
    fn begin(
        &self,
        request: &Request<'_>,
    ) -> Result<(Begun, Option<OwnedSemaphorePermit>), RpcError> {
        if self.requests.len() >= MAX_REQUESTS {
            let message = "too many requests are under way; wait for an answer";
            return Err(Busy::Requests.error(message));
        }
        let begun = self.running.begin(request.id)?;
        if request.method != method::LISTEN {
            return Ok((begun, None));
        }
        let place = Arc::clone(&self.subscriptions).try_acquire_owned();
        let place = place.map_err(|_| {
            let message =
                format!("there are {MAX_SUBSCRIPTIONS} subscriptions already; cancel some");
            Busy::Subscriptions.error(message)
        })?;
        Ok((begun, Some(place)))
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
            return self.initialize(request).map(Era::Answered);
        }
        match &self.session {
            Some(session) => Ok(Era::Served(Some(Arc::clone(session)))),
            None if request.method == method::PING => Ok(Era::Answered("{}".to_owned())),
            None => Err(era::undecided()),
        }
    }

    /// Begins a session in place of the one before.
    fn initialize(&mut self, request: &Request<'_>) -> Result<String, RpcError> {
        let session = Arc::new(Session::negotiate(&request.params)?);
        self.end_session();
        let result = message::initialized(session.version);
        let news = self.answers.gateway.hub.listen();
        self.held_back = Some(SessionNews::new(Arc::clone(&session), news));
        self.session = Some(session);
        Ok(result)
    }

    fn end_session(&mut self) {
        self.held_back = None;
        if let Some(session) = self.session.take() {
            session.ended().cancel();
        }
    }

    async fn send(&self, reply: Reply) {
        // Without a writer the connection is ending.
        let _ = self.answers.send(reply.body).await;
    }
}

enum Era {
    /// The session for a request of its era; none for one that says everything itself.
    Served(Option<Arc<Session>>),
    /// The result is known already.
    Answered(String),
}

/// Whether a request changes what its session is told of.
fn changes_session(method: &str) -> bool {
    [
        method::SET_LEVEL,
        method::RESOURCES_SUBSCRIBE,
        method::RESOURCES_UNSUBSCRIBE,
    ]
    .contains(&method)
}
