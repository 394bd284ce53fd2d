//! One query to one server (RFC 3912): a line there, text back until the server closes.

use std::net::SocketAddr;
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::query::Query;
use crate::tools::server::Server;

/// Bytes of an answer that are kept.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) address: SocketAddr,
    pub(super) text: String,
    pub(super) n_bytes: usize,
    /// The server had more to say than was kept, or did not come to an end in time.
    pub(super) truncated: bool,
    pub(super) elapsed: Duration,
}

/// Asks a server at one of its addresses and waits at most for `patience`.
pub(super) async fn ask(
    server: &Server,
    addresses: &[SocketAddr],
    query: &Query,
    patience: Duration,
) -> Result<Answer, ToolError> {
    let start = Instant::now();
    let end = start + patience;
    let (mut stream, address) = connect(server, addresses, end).await?;
    let mut bytes = Vec::new();
    let exchange = async {
        stream.write_all(line(server, query).as_bytes()).await?;
        let limit = u64::try_from(MAX_ANSWER).unwrap_or(u64::MAX) + 1;
        (&mut stream).take(limit).read_to_end(&mut bytes).await
    };
    let outcome = timeout_at(end, exchange).await;
    let in_time = match outcome {
        Ok(Ok(_)) => true,
        // What came before the server reset the connection is an answer.
        Ok(Err(error)) if bytes.is_empty() => {
            return Err(ToolError::new(
                ErrorCode::BadResponse,
                format!("whois server {server} ({address}) broke the connection: {error}"),
            ));
        }
        Ok(Err(_)) | Err(_) => false,
    };
    if bytes.is_empty() {
        return Err(nothing(server, address, in_time, patience));
    }
    let truncated = !in_time || bytes.len() > MAX_ANSWER;
    bytes.truncate(MAX_ANSWER);
    Ok(Answer {
        address,
        text: text(&bytes),
        n_bytes: bytes.len(),
        truncated,
        elapsed: start.elapsed(),
    })
}

fn nothing(server: &Server, address: SocketAddr, in_time: bool, patience: Duration) -> ToolError {
    if in_time {
        ToolError::new(
            ErrorCode::BadResponse,
            format!("whois server {server} ({address}) closed the connection without an answer"),
        )
        .hint("it may limit how often it answers; wait, or ask another server")
    } else {
        ToolError::new(
            ErrorCode::Unreachable,
            format!(
                "whois server {server} ({address}) took the query and did not answer within {} ms",
                patience.as_millis()
            ),
        )
        .hint("try again later, or ask another server")
    }
}

async fn connect(
    server: &Server,
    addresses: &[SocketAddr],
    end: Instant,
) -> Result<(TcpStream, SocketAddr), ToolError> {
    let mut failures = Vec::new();
    let mut refused = false;
    for (position, &address) in addresses.iter().enumerate() {
        let n_left = u32::try_from(addresses.len() - position).unwrap_or(u32::MAX);
        let share = end.saturating_duration_since(Instant::now()) / n_left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, address)),
            Ok(Err(error)) => {
                refused |= error.kind() == std::io::ErrorKind::ConnectionRefused;
                failures.push(format!("{address}: {error}"));
            }
            Err(_) => {
                failures.push(format!(
                    "{address}: no answer within {} ms",
                    share.as_millis()
                ));
            }
        }
    }
    let code = if refused {
        ErrorCode::ConnectionRefused
    } else {
        ErrorCode::Unreachable
    };
    Err(ToolError::new(
        code,
        format!(
            "cannot connect to whois server {server}: {}",
            failures.join("; ")
        ),
    )
    .hint("check that the worker's host may open TCP connections to it (often port 43)"))
}

/// The query as a server wants it: some need a word in front to look for exactly one object.
fn line(server: &Server, query: &Query) -> String {
    let name = server.host.to_string().to_ascii_lowercase();
    match (name.as_str(), query) {
        ("whois.arin.net", Query::Address(_)) => format!("n + {query}\r\n"),
        ("whois.arin.net", Query::Network(_)) => format!("r + = {query}\r\n"),
        ("whois.arin.net", Query::Asn(number)) => format!("a + {number}\r\n"),
        ("whois.verisign-grs.com", Query::Domain(_)) => format!("domain {query}\r\n"),
        ("whois.denic.de", Query::Domain(_)) => format!("-T dn,ace {query}\r\n"),
        ("whois.jprs.jp", Query::Domain(_)) => format!("{query}/e\r\n"),
        _ => format!("{query}\r\n"),
    }
}

/// Text with plain line ends, from UTF-8 or else from ISO-8859-1, as RFC 3912 leaves the
/// character set open. A character that the limit cut does not make the rest another set.
fn text(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(error) if error.error_len().is_none() => {
            String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned()
        }
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    text.replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_exactly_one_line() {
        let check = |server: &str, query: &str, expected: &str| {
            let line = line(&server.parse().unwrap(), &query.parse().unwrap());
            assert_eq!(line, expected);
        };
        check("whois.iana.org", "example.com", "example.com\r\n");
        check("whois.arin.net", "192.0.2.1", "n + 192.0.2.1\r\n");
        check("whois.arin.net", "192.0.2.0/24", "r + = 192.0.2.0/24\r\n");
        check("whois.arin.net", "AS64496", "a + 64496\r\n");
        check("whois.ripe.net", "AS64496", "AS64496\r\n");
        check("WHOIS.verisign-grs.com", "a.com", "domain a.com\r\n");
    }

    #[test]
    fn text_is_read_in_either_character_set() {
        assert_eq!(text("grün\r\n".as_bytes()), "grün\n");
        assert_eq!(text(b"gr\xfcn\r\nx"), "grün\nx");
        assert_eq!(text(b"gr\xc3"), "gr");
    }
}
