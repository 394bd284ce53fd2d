//! A client over HTTP/1.1: one connection that is kept alive, bytes written as they are.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::calls::{self, Template};
use super::client::Client;

/// Header fields that are looked at.
const N_FIELDS: usize = 32;

/// A client of an MCP endpoint.
#[derive(Debug)]
pub(super) struct HttpClient {
    address: SocketAddr,
    request: Template,
    /// Absent before the first call and after one that failed.
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl HttpClient {
    pub(super) fn new(address: SocketAddr) -> Self {
        let body = calls::modern_call();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n\
             Mcp-Method: tools/call\r\nMcp-Name: echo\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            address,
            request: Template::new(request),
            stream: None,
            buffer: Vec::with_capacity(4096),
        }
    }

    async fn exchange(&mut self, stream: &mut TcpStream, number: &str) -> Result<()> {
        stream.write_all(self.request.number(number)).await?;
        self.buffer.clear();
        loop {
            if let Some((body, end)) = parse(&self.buffer)?
                && self.buffer.len() >= end
            {
                let body = self.buffer.get(body..end).unwrap_or_default();
                return calls::check(body, number);
            }
            let n_read = stream.read_buf(&mut self.buffer).await?;
            ensure!(n_read > 0, "the server has closed the connection");
        }
    }
}

impl Client for HttpClient {
    async fn call(&mut self, number: u64) -> Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.address).await?,
        };
        self.exchange(&mut stream, &calls::numbered(number)).await?;
        self.stream = Some(stream);
        Ok(())
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Where the body of a response begins and ends, once its head is there.
fn parse(raw: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; N_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(begin) = head.parse(raw).context("not HTTP/1.1")? else {
        return Ok(None);
    };
    let length = head
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    let Some(length) = length else {
        bail!("no whole answer: {}", String::from_utf8_lossy(raw));
    };
    if head.code != Some(200) && raw.len() >= begin + length {
        bail!("{}", String::from_utf8_lossy(raw));
    }
    Ok(Some((begin, begin + length)))
}
