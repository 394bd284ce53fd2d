//! One JSON-RPC message that came by POST, in the era it speaks.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::HeaderValue;
use axum::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use protocol::mcp::{MODERN_VERSION, code, method};
use protocol::response::RpcError;
use protocol::{Envelope, Kind};
use serde_json::value::RawValue;
use service::TraceContext;
use tokio::sync::OwnedSemaphorePermit;

use super::front::{Front, refuse};
use super::headers::{self, McpHeaders, SESSION};
use super::stateless::{self, Source};
use super::{respond, resumable};
use crate::busy::Busy;
use crate::era;
use crate::gateway::Answer;
use crate::message::{self, Reply};
use crate::news::Subscription;
use crate::request::{Request, Speaker};
use crate::session::{Gone, Session};

impl Front {
    /// Answers the body of a POST. Without a place it begins nothing: requests are refused.
    pub(super) async fn message(
        self: &Arc<Self>,
        (headers, remote): (&HeaderMap, Option<IpAddr>),
        body: &Bytes,
        place: Option<OwnedSemaphorePermit>,
    ) -> Response<Body> {
        let envelope = match Envelope::parse(body) {
            Ok(envelope) => envelope,
            Err(error) => return respond::refused(StatusCode::BAD_REQUEST, &(&error).into()),
        };
        let mcp = match McpHeaders::read(headers) {
            Ok(mcp) => mcp,
            Err(error) => return bad_request(&envelope, &error),
        };
        match (envelope.kind, Request::read(body, &envelope)) {
            (Kind::Request { .. }, Ok(Some(request))) => {
                let Some(place) = place else {
                    return self.overloaded(Busy::Requests, Some(request.id));
                };
                let trace = headers::trace(headers);
                let request = Request {
                    headers: Some(headers),
                    remote,
                    ..request
                };
                self.request(&mcp, &request, &trace, place).await
            }
            (Kind::Request { .. }, Err(error)) => bad_request(&envelope, &(&error).into()),
            (Kind::Request { .. }, Ok(None)) => refuse(StatusCode::BAD_REQUEST, "no request"),
            (Kind::Notification { .. }, _) => self.notification(&mcp, &envelope).await,
            (Kind::Response { id, .. } | Kind::Error { id: Some(id), .. }, _) => {
                self.response(&mcp, id, body).await
            }
            (Kind::Error { id: None, .. }, _) => {
                refuse(StatusCode::BAD_REQUEST, "the error answers no request")
            }
        }
    }

    async fn request(
        self: &Arc<Self>,
        mcp: &McpHeaders<'_>,
        request: &Request<'_>,
        trace: &TraceContext,
        place: OwnedSemaphorePermit,
    ) -> Response<Body> {
        if era::is_modern(&request.meta) || mcp.version == Some(MODERN_VERSION) {
            return self.modern(mcp, request, trace, place).await;
        }
        if request.method == method::INITIALIZE {
            return self.initialize(request);
        }
        if let Err(error) = era::check_of_session(mcp.version) {
            return respond::with_status(StatusCode::BAD_REQUEST, reply(request, &error));
        }
        match self.session(mcp).await {
            Ok(session) => self.legacy(session, request, trace, place).await,
            Err((status, error)) => respond::with_status(status, reply(request, &error)),
        }
    }

    async fn modern(
        &self,
        mcp: &McpHeaders<'_>,
        request: &Request<'_>,
        trace: &TraceContext,
        place: OwnedSemaphorePermit,
    ) -> Response<Body> {
        let checked =
            era::requested_version(&request.meta).and_then(|version| mcp.check(request, &version));
        if let Err(error) = checked {
            return respond::json(reply(request, &error), true);
        }
        match self.gateway.answer(request, Speaker::Modern, trace).await {
            Answer::Done(reply) => respond::json(reply, true),
            Answer::Call(call) => stateless::call(Source::Call(call), place).await,
            Answer::Subscription(news) => self.subscription(news, request.id).await,
        }
    }

    fn initialize(&self, request: &Request<'_>) -> Response<Body> {
        let session = match Session::negotiate(&request.params) {
            Ok(session) => session,
            Err(error) => return respond::json(reply(request, &error), false),
        };
        let result = message::initialized(session.version);
        let id = match self.gateway.sessions.open(session) {
            Ok(id) => id,
            Err(error) => return respond::json(reply(request, &error), false),
        };
        let mut response = respond::json(Reply::result(request.id, &result), false);
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(SESSION, id);
        }
        response
    }

    async fn legacy(
        self: &Arc<Self>,
        session: Arc<Session>,
        request: &Request<'_>,
        trace: &TraceContext,
        place: OwnedSemaphorePermit,
    ) -> Response<Body> {
        let begun = match session.running().begin(request.id) {
            Ok(begun) => begun,
            Err(error) => return respond::json(reply(request, &error), false),
        };
        // Ended since it was found: what begins now would not be stopped any more.
        if session.ended().is_cancelled() {
            let error = reply(request, &Gone::Ended.into());
            return respond::with_status(StatusCode::NOT_FOUND, error);
        }
        match self
            .gateway
            .answer(request, Speaker::Legacy(&session), trace)
            .await
        {
            Answer::Done(reply) => {
                // The next request may come to another replica, which has to know by then.
                self.gateway.sessions.known(&session).await;
                respond::json(reply, false)
            }
            Answer::Call(call) => {
                let call = (request.id, *call);
                resumable::call(&self.gateway, &session, call, begun, place).await
            }
            Answer::Subscription(news) => self.subscription(news, request.id).await,
        }
    }

    /// A stream for as long as the client wants, which takes no place of a call.
    async fn subscription(&self, news: Box<Subscription>, id: &RawValue) -> Response<Body> {
        match Arc::clone(&self.streams).try_acquire_owned() {
            Ok(place) => stateless::call(Source::Subscription(news), place).await,
            Err(_) => self.overloaded(Busy::Streams, Some(id)),
        }
    }

    async fn notification(&self, mcp: &McpHeaders<'_>, envelope: &Envelope<'_>) -> Response<Body> {
        // The stateless era has no notifications from clients over HTTP; what comes anyway has
        // no effect.
        if mcp.version == Some(MODERN_VERSION) {
            return respond::empty(StatusCode::ACCEPTED);
        }
        if let Err(error) = era::check_of_session(mcp.version) {
            return respond::refused(StatusCode::BAD_REQUEST, &error);
        }
        let session = match self.session(mcp).await {
            Ok(session) => session,
            Err((status, error)) => return respond::refused(status, &error),
        };
        if envelope.method().as_deref() == Some(method::CANCELLED)
            && let Ok(params) = envelope.params()
            && !session.running().cancel(&params)
        {
            let (sessions, peers) = (&self.gateway.sessions, &self.gateway.peers);
            sessions.cancel_elsewhere(peers, &session, &params).await;
        }
        respond::empty(StatusCode::ACCEPTED)
    }

    /// Takes the answer to a request of this server.
    async fn response(&self, mcp: &McpHeaders<'_>, id: &RawValue, body: &Bytes) -> Response<Body> {
        if mcp.version == Some(MODERN_VERSION) {
            let why = "a response answers a request, and in this revision servers send none";
            return refuse(StatusCode::BAD_REQUEST, why);
        }
        let session = match self.session(mcp).await {
            Ok(session) => session,
            Err((status, error)) => return respond::refused(status, &error),
        };
        if self.gateway.inputs.answered(&session, id, body).await {
            respond::empty(StatusCode::ACCEPTED)
        } else {
            refuse(
                StatusCode::BAD_REQUEST,
                "the message answers no request of this server, or one that is answered already",
            )
        }
    }

    pub(super) async fn session(
        &self,
        mcp: &McpHeaders<'_>,
    ) -> Result<Arc<Session>, (StatusCode, RpcError)> {
        let Some(id) = mcp.session else {
            let error = if mcp.version.is_some() {
                let why = "the header Mcp-Session-Id is missing; begin with initialize";
                RpcError::new(code::INVALID_REQUEST, why)
            } else {
                era::undecided()
            };
            return Err((StatusCode::BAD_REQUEST, error));
        };
        let found = self.gateway.sessions.find(id).await;
        found.map_err(|gone| (StatusCode::NOT_FOUND, gone.into()))
    }
}

fn reply(request: &Request<'_>, error: &RpcError) -> Reply {
    Reply::error(Some(request.id), error)
}

fn bad_request(envelope: &Envelope<'_>, error: &RpcError) -> Response<Body> {
    respond::with_status(StatusCode::BAD_REQUEST, Reply::error(envelope.id(), error))
}
