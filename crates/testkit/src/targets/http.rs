//! An HTTP server that answers with the bytes it is told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use super::listener::{Listener, acceptor};
use crate::certificates::Files;

/// How many header fields a request may have.
const N_HEADERS: usize = 64;

/// What a client asked.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// `GET`, `HEAD` and so on.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, where a `Content-Length` was given.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// The first header field of that name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What to do with a request; the connection is closed afterwards.
#[derive(Debug, Clone)]
pub struct Script {
    /// Waits first.
    pub wait: Duration,
    /// The bytes to send, status line included.
    pub bytes: Vec<u8>,
    /// Keeps the connection open after the last byte.
    pub hang: bool,
}

impl Script {
    /// A whole response with `Content-Length`.
    #[must_use]
    pub fn response(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let fields: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let fields = fields.concat();
        let head = format!(
            "HTTP/1.1 {status} Scripted\r\n{fields}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        Self::raw([head.as_bytes(), body].concat())
    }

    /// A redirect with status 302.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        Self::response(302, &[("Location", location)], "")
    }

    /// Bytes as they are.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            wait: Duration::ZERO,
            bytes: bytes.into(),
            hang: false,
        }
    }

    /// Never answers, keeps the connection open.
    #[must_use]
    pub fn silence() -> Self {
        Self::raw(Vec::new()).and_hang()
    }

    /// Waits so long before the first byte.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Keeps the connection open after the last byte.
    #[must_use]
    pub fn and_hang(mut self) -> Self {
        self.hang = true;
        self
    }
}

type Answer = dyn Fn(&HttpRequest) -> Script + Send + Sync;

/// An HTTP/1.1 server, one request per connection.
#[derive(Debug)]
pub struct HttpServer {
    listener: Listener,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
    scheme: &'static str,
}

impl HttpServer {
    /// Answers each request as `answer` says.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(
        at: SocketAddr,
        answer: impl Fn(&HttpRequest) -> Script + Send + Sync + 'static,
    ) -> Result<Self> {
        let requests = Arc::default();
        let (answer, heard): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&requests));
        let serve = move |stream: TcpStream| {
            let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
            async move {
                // A client that breaks off is the client's affair.
                let _ = converse(stream, &answer, &heard).await;
            }
        };
        Ok(Self {
            listener: Listener::start(at, serve).await?,
            requests,
            scheme: "http",
        })
    }

    /// The same behind TLS.
    ///
    /// # Errors
    /// The address cannot be listened on, or the certificate does not fit its key.
    pub async fn start_tls(
        at: SocketAddr,
        certificate: &Files,
        answer: impl Fn(&HttpRequest) -> Script + Send + Sync + 'static,
    ) -> Result<Self> {
        let requests = Arc::default();
        let (answer, heard): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&requests));
        let acceptor = acceptor(certificate)?;
        let serve = move |stream: TcpStream| {
            let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
            let acceptor = acceptor.clone();
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = converse(stream, &answer, &heard).await;
                }
            }
        };
        Ok(Self {
            listener: Listener::start(at, serve).await?,
            requests,
            scheme: "https",
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// The URL of a path (with its leading slash).
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.listener.address)
    }

    /// What it was asked, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &Arc<Answer>,
    heard: &Mutex<Vec<HttpRequest>>,
) -> Result<()> {
    let request = read_request(&mut stream).await?;
    heard
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(request.clone());
    let script = answer(&request);
    sleep(script.wait).await;
    stream.write_all(&script.bytes).await?;
    stream.flush().await?;
    if script.hang {
        std::future::pending::<()>().await;
    }
    Ok(stream.shutdown().await?)
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Result<HttpRequest> {
    let mut raw = Vec::new();
    loop {
        if let Some((length, mut request)) = parse(&raw)? {
            let body: usize = request.header("content-length").unwrap_or("0").parse()?;
            while raw.len() < length + body {
                anyhow::ensure!(
                    stream.read_buf(&mut raw).await? > 0,
                    "closed within the body"
                );
            }
            request.body = raw.drain(length..).collect();
            return Ok(request);
        }
        anyhow::ensure!(
            stream.read_buf(&mut raw).await? > 0,
            "closed within the head"
        );
    }
}

fn parse(raw: &[u8]) -> Result<Option<(usize, HttpRequest)>> {
    let mut fields = [httparse::EMPTY_HEADER; N_HEADERS];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(raw)? else {
        return Ok(None);
    };
    let headers = head.headers.iter().map(|field| {
        (
            field.name.to_ascii_lowercase(),
            String::from_utf8_lossy(field.value).into_owned(),
        )
    });
    let request = HttpRequest {
        method: head.method.context("no method")?.to_owned(),
        path: head.path.context("no path")?.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    Ok(Some((length, request)))
}
