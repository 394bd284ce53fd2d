//! A client over HTTP/1.1: one connection that is kept alive, bytes written as they are.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Ask;
use super::calls::{self, Template};
use super::client::Client;

/// Header fields that are looked at.
const N_FIELDS: usize = 32;
/// The revision with sessions, as a header field.
const WITH_SESSION: &str = "MCP-Protocol-Version: 2025-11-25\r\n";

/// A client of an MCP endpoint.
#[derive(Debug)]
pub(super) struct HttpClient {
    address: SocketAddr,
    ask: Ask,
    request: Template,
    /// Absent before the first call and after one that failed.
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl HttpClient {
    pub(super) fn new(address: SocketAddr, ask: Ask) -> Self {
        let fields =
            |method: &str| format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n");
        let request = match ask {
            Ask::Call => {
                let fields = fields("tools/call") + "Mcp-Name: echo\r\n";
                post(address, &fields, &calls::modern_call())
            }
            Ask::List => post(address, &fields("tools/list"), &calls::list()),
            // Made when there is a session.
            Ask::CallInSession => String::new(),
        };
        Self {
            address,
            ask,
            request: Template::new(request),
            stream: None,
            buffer: Vec::with_capacity(4096),
        }
    }

    async fn connect(&mut self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await;
        let mut stream = stream.with_context(|| format!("cannot connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        if self.ask == Ask::CallInSession {
            self.begin_session(&mut stream).await?;
        }
        Ok(stream)
    }

    async fn begin_session(&mut self, stream: &mut TcpStream) -> Result<()> {
        let initialize = post(self.address, "", calls::INITIALIZE);
        self.exchange(stream, initialize.as_bytes()).await?;
        let session = field(&self.buffer, "mcp-session-id")?.context("no session")?;
        let fields = format!("{WITH_SESSION}Mcp-Session-Id: {session}\r\n");
        let initialized = post(self.address, &fields, calls::INITIALIZED);
        self.exchange(stream, initialized.as_bytes()).await?;
        self.request = Template::new(post(self.address, &fields, &calls::session_call()));
        Ok(())
    }

    /// Sends a request and reads the whole response into the buffer; where its body is there.
    async fn exchange(&mut self, stream: &mut TcpStream, request: &[u8]) -> Result<Range<usize>> {
        stream.write_all(request).await?;
        self.buffer.clear();
        let mut body = None;
        loop {
            if body.is_none() {
                body = body_of(&self.buffer)?;
            }
            match &body {
                Some(body) if self.buffer.len() >= body.end => return Ok(body.clone()),
                _ => {}
            }
            let n_read = stream.read_buf(&mut self.buffer).await?;
            ensure!(n_read > 0, "the server has closed the connection");
        }
    }
}

impl Client for HttpClient {
    async fn call(&mut self, number: u64) -> Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) if is_open(&stream) => stream,
            _ => self.connect().await?,
        };
        let number = calls::numbered(number);
        let request = self.request.number(&number).to_vec();
        let body = self.exchange(&mut stream, &request).await?;
        let answer = self.buffer.get(body).unwrap_or_default();
        match self.ask {
            Ask::Call | Ask::CallInSession => calls::check(answer, &number)?,
            Ask::List => calls::check_page(answer, &number)?,
        }
        self.stream = Some(stream);
        Ok(())
    }
}

/// Whether the server has left it open. It closes those that were idle for long, as they are while
/// other contestants have their turns.
fn is_open(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0]);
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn post(address: SocketAddr, fields: &str, body: &str) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Where the body of a response is, once its head is there.
fn body_of(raw: &[u8]) -> Result<Option<Range<usize>>> {
    let mut fields = [httparse::EMPTY_HEADER; N_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(begin) = head.parse(raw).context("not HTTP/1.1")? else {
        return Ok(None);
    };
    let code = head.code.unwrap_or_default();
    let length = match value(&head, "content-length") {
        Some(length) => length.parse()?,
        None if code == 202 => 0,
        None => bail!("no whole answer: {}", String::from_utf8_lossy(raw)),
    };
    ensure!(
        matches!(code, 200 | 202),
        "{}",
        String::from_utf8_lossy(raw)
    );
    Ok(Some(begin..begin + length))
}

fn field(raw: &[u8], name: &str) -> Result<Option<String>> {
    let mut fields = [httparse::EMPTY_HEADER; N_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    head.parse(raw).context("not HTTP/1.1")?;
    Ok(value(&head, name).map(str::to_owned))
}

fn value<'a>(head: &httparse::Response<'_, 'a>, name: &str) -> Option<&'a str> {
    let mut fields = head.headers.iter();
    let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(field.value).ok()
}
