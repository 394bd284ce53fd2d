//! The least that a server of tools over HTTP can be: it reads one form of call with borrowed
//! structures, and writes what was to be echoed. Nothing is checked, routed or kept.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use super::echo_worker::TOOL;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    params: Params<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    /// A request for the list of tools has none.
    #[serde(borrow, default)]
    arguments: Option<Arguments<'a>>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    text: &'a RawValue,
}

async fn answer(body: Bytes) -> Response {
    let Ok(Request { id, params }) = serde_json::from_slice(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let result = match params.arguments {
        Some(Arguments { text }) => format!(r#"{{"content":[{{"type":"text","text":{text}}}]}}"#),
        None => format!(r#"{{"tools":[{{"name":"{TOOL}"}}]}}"#),
    };
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}

/// Serves until the process is ended.
pub(crate) fn run(port: u16) -> Result<ExitCode> {
    serve(port, || Ok(Router::new().route("/mcp", post(answer))))
}

/// Serves a router of a contestant until the process is ended; it is made within the runtime.
pub(super) fn serve(port: u16, router: impl FnOnce() -> Result<Router>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let router = router()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await?.tap_io(|stream| {
            // A connection that cannot have it works all the same.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await?;
        Ok(ExitCode::SUCCESS)
    })
}
