//! A small OTLP receiver: HTTP with protobuf, plain or over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::serve::Listener;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::child::PATIENCE;

pub(crate) struct Receiver {
    pub(crate) endpoint: String,
    requests: mpsc::Receiver<ExportTraceServiceRequest>,
    _server: JoinSet<()>,
}

/// A span with the resource it came from.
pub(crate) struct Received {
    pub(crate) resource: Vec<(String, String)>,
    pub(crate) span: Span,
}

impl Receiver {
    pub(crate) async fn plain() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        Self::serve(listener, endpoint)
    }

    /// Also gives the certificate, in PEM, that its clients have to trust.
    pub(crate) async fn tls() -> (Self, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = Tls {
            listener,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        };
        (
            Self::serve(tls, format!("https://localhost:{port}")),
            cert.pem(),
        )
    }

    /// Waits for this many spans.
    pub(crate) async fn spans(&mut self, n_spans: usize) -> Vec<Received> {
        let mut spans = Vec::new();
        while spans.len() < n_spans {
            let request = timeout(PATIENCE, self.requests.recv()).await;
            let request = request.expect("no spans came").expect("the receiver runs");
            spans.extend(received(request));
        }
        spans
    }

    fn serve<L: Listener<Addr: std::fmt::Debug>>(listener: L, endpoint: String) -> Self {
        let (sender, requests) = mpsc::channel(100);
        let router = Router::new()
            .route("/v1/traces", post(export))
            .with_state(sender);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            endpoint,
            requests,
            _server: server,
        }
    }
}

async fn export(
    State(sender): State<mpsc::Sender<ExportTraceServiceRequest>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    sender.send(request).await.unwrap();
    StatusCode::OK
}

fn received(request: ExportTraceServiceRequest) -> Vec<Received> {
    let mut spans = Vec::new();
    for resource_spans in request.resource_spans {
        let attributes = resource_spans.resource.unwrap().attributes;
        let resource: Vec<(String, String)> = attributes
            .into_iter()
            .filter_map(|attribute| match attribute.value?.value? {
                Value::StringValue(text) => Some((attribute.key, text)),
                _ => None,
            })
            .collect();
        for span in resource_spans
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
        {
            spans.push(Received {
                resource: resource.clone(),
                span,
            });
        }
    }
    spans
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
