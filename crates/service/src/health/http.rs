//! `/health`, `/ready`, `/live` and `/metrics`.

use std::future::IntoFuture;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Health, Report, Status};
use crate::metrics::{self, Metrics};

/// Time that open requests have to end once the port closes.
const GRACE: Duration = Duration::from_secs(1);

/// The routes, to be served alone with [`serve`] or merged into those of another port.
///
/// - `GET /health`: the report; 200 if every required component is up, otherwise 503.
/// - `GET /ready`: the same report without the categories; 503 also while the process drains.
/// - `GET /live`: the loops that are stuck; 503 if there are any. The broker plays no part in it:
///   to start the process again does not bring that back.
/// - `GET /metrics`: the `OpenMetrics` text.
pub fn router(health: Health, metrics: Metrics) -> Router {
    let health = Router::new()
        .route("/health", get(report))
        .route("/ready", get(ready))
        .route("/live", get(live))
        .with_state(health);
    Router::new()
        .route("/metrics", get(exposition))
        .with_state(metrics)
        .merge(health)
}

/// Serves the routes on this listener until `shutdown`, then gives open requests one second.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let server = axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let patience = async {
        shutdown.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = server => ended,
        () = patience => Ok(()),
    }
}

async fn report(State(health): State<Health>) -> Response {
    let report = health.report();
    let is_up = report.status == Status::Up;
    json(is_up, &report)
}

async fn ready(State(health): State<Health>) -> Response {
    let report = Report {
        categories: None,
        ..health.report()
    };
    let is_ready = report.status == Status::Up && !report.draining;
    json(is_ready, &report)
}

async fn live(State(health): State<Health>) -> Response {
    let liveness = health.liveness();
    json(liveness.status == Status::Up, &liveness)
}

async fn exposition(State(metrics): State<Metrics>) -> Response {
    let headers = [
        (CONTENT_TYPE, metrics::CONTENT_TYPE),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, metrics.encode()).into_response()
}

fn json(is_good: bool, report: &impl Serialize) -> Response {
    let code = if is_good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-store"),
    ];
    match serde_json::to_vec(report) {
        Ok(body) => (code, headers, body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
