//! One TCP connection on which a test decides every byte.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{Event, body::Framing, sse};

/// How long connecting and sending may take.
const SEND: Duration = Duration::from_secs(10);
/// How many header fields a response may have.
const N_HEADERS: usize = 64;

/// What came back.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body without its framing; empty where only the head was read.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header field of that name (any case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is not JSON; the message carries it.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {}, not JSON: {}", self.status, self.text()))
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    raw: Vec<u8>,
    body: Vec<u8>,
    framing: Framing,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// The connection is refused, or not made within 10 s.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = timeout(SEND, TcpStream::connect(address))
            .await
            .with_context(|| format!("{address} does not answer"))?
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            raw: Vec::new(),
            body: Vec::new(),
            framing: Framing::Done,
        })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The server has closed, or does not read for 10 s.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        timeout(SEND, self.stream.write_all(bytes))
            .await
            .context("the server does not read")??;
        Ok(())
    }

    /// Closes our direction; the server's stays open.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn close_sending(&mut self) -> Result<()> {
        Ok(self.stream.shutdown().await?)
    }

    /// Reads a whole response.
    ///
    /// # Errors
    /// It has not ended within `deadline`, or is not HTTP/1.1.
    pub async fn response(&mut self, deadline: Duration) -> Result<Response> {
        let whole = async {
            let mut response = self.read_head().await?;
            while self.framing != Framing::Done {
                if !self.read_body().await? {
                    break;
                }
            }
            response.body = std::mem::take(&mut self.body);
            Ok(response)
        };
        timeout(deadline, whole)
            .await
            .with_context(|| format!("no response in {deadline:?}"))?
    }

    /// Reads the head of a response, whose events are to be read one by one.
    ///
    /// # Errors
    /// It has not come within `deadline`, or is not HTTP/1.1.
    pub async fn head(&mut self, deadline: Duration) -> Result<Response> {
        timeout(deadline, self.read_head())
            .await
            .with_context(|| format!("no response in {deadline:?}"))?
    }

    /// The next server-sent event of the body; `None` at its end.
    ///
    /// # Errors
    /// None has come within `deadline`, or the connection broke.
    pub async fn event(&mut self, deadline: Duration) -> Result<Option<Event>> {
        let next = async {
            loop {
                if let Some(event) = sse::take_event(&mut self.body) {
                    return Ok(Some(event));
                }
                if self.framing == Framing::Done || !self.read_body().await? {
                    return Ok(None);
                }
            }
        };
        timeout(deadline, next)
            .await
            .with_context(|| format!("no event in {deadline:?}"))?
    }

    /// Waits until the server closes the connection without sending anything more.
    ///
    /// # Errors
    /// It is open after `deadline`, or something came.
    pub async fn closed(&mut self, deadline: Duration) -> Result<()> {
        let read = timeout(deadline, self.read()).await;
        match read.with_context(|| format!("open after {deadline:?}"))? {
            Ok(0) | Err(_) => Ok(()),
            Ok(_) => bail!(
                "not closed but sent: {}",
                String::from_utf8_lossy(&self.raw)
            ),
        }
    }

    async fn read(&mut self) -> Result<usize> {
        Ok(self.stream.read_buf(&mut self.raw).await?)
    }

    async fn read_head(&mut self) -> Result<Response> {
        loop {
            if let Some((length, response)) = parse_head(&self.raw)? {
                self.raw.drain(..length);
                self.framing = Framing::of(response.status, &response.headers)?;
                self.unframe()?;
                return Ok(response);
            }
            let n = self.read().await?;
            ensure!(
                n > 0,
                "closed before the head: {}",
                String::from_utf8_lossy(&self.raw)
            );
        }
    }

    /// Reads once; false when the server has closed where a body may end like that.
    async fn read_body(&mut self) -> Result<bool> {
        let n = self.read().await?;
        ensure!(
            n > 0 || self.framing == Framing::UntilClose,
            "closed within the body"
        );
        self.unframe()?;
        Ok(n > 0)
    }

    fn unframe(&mut self) -> Result<()> {
        loop {
            let before = (self.framing, self.raw.len());
            self.framing = self.framing.take(&mut self.raw, &mut self.body)?;
            if before == (self.framing, self.raw.len()) {
                return Ok(());
            }
        }
    }
}

fn parse_head(raw: &[u8]) -> Result<Option<(usize, Response)>> {
    let mut fields = [httparse::EMPTY_HEADER; N_HEADERS];
    let mut head = httparse::Response::new(&mut fields);
    let parsed = head
        .parse(raw)
        .with_context(|| format!("not HTTP/1.1: {}", String::from_utf8_lossy(raw)))?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let headers = head.headers.iter().map(|field| {
        (
            field.name.to_ascii_lowercase(),
            String::from_utf8_lossy(field.value).into_owned(),
        )
    });
    let status = head.code.context("no status code")?;
    Ok(Some((
        length,
        Response {
            status,
            headers: headers.collect(),
            body: Vec::new(),
        },
    )))
}

/// One request on a connection of its own; `Host` and `Content-Length` are added unless given.
///
/// # Errors
/// There is no whole response within `deadline`.
pub async fn request(
    address: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    deadline: Duration,
) -> Result<Response> {
    let given = |name: &str| {
        headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    let mut head = format!("{line} HTTP/1.1\r\n");
    let mut add = |name: &str, value: &str| {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    };
    if !given("host") {
        add("Host", &address.to_string());
    }
    if !given("content-length") && !given("transfer-encoding") && !body.is_empty() {
        add("Content-Length", &body.len().to_string());
    }
    for (name, value) in headers {
        add(name, value);
    }
    head.push_str("\r\n");
    let mut connection = Connection::open(address).await?;
    // A server may refuse a request by its head and close before it has read the body; what it
    // answered is still there to read.
    let sent = connection.send(&[head.as_bytes(), body].concat()).await;
    let response = connection.response(deadline).await;
    match (sent, response) {
        (_, Ok(response)) => Ok(response),
        (Err(sent), Err(response)) => Err(response.context(sent)),
        (Ok(()), Err(response)) => Err(response),
    }
}

/// `GET` of a path.
///
/// # Errors
/// There is no whole response within `deadline`.
pub async fn get(address: SocketAddr, path: &str, deadline: Duration) -> Result<Response> {
    request(address, &format!("GET {path}"), &[], b"", deadline).await
}
