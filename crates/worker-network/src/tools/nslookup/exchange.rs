//! One question to one name server, over UDP first and over TCP where the answer is too long.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

/// Payload size that no path fragments in practice (DNS flag day 2020).
const PAYLOAD: u16 = 1232;
/// How often a question is sent over UDP before the server counts as silent.
const N_SENDS: u32 = 3;

/// What the answer came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Transport {
    /// One datagram.
    Udp,
    /// A connection, because the answer did not fit in a datagram.
    Tcp,
}

/// An answer to the question asked.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) message: Message,
    pub(super) transport: Transport,
    /// From the first question to the last answer.
    pub(super) elapsed: Duration,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no answer within {} ms", .0.as_millis())]
    Silent(Duration),
    #[error("port closed")]
    Refused,
    #[error("{0}")]
    Network(io::Error),
    #[error("the answer is not a DNS message: {0}")]
    Malformed(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            _ => Self::Network(error),
        }
    }
}

/// Asks a server and waits at most for `patience`.
///
/// A server that does not understand EDNS is asked again without it (RFC 6891 section 6.2.2).
pub(super) async fn ask(
    server: SocketAddr,
    query: &Query,
    patience: Duration,
) -> Result<Reply, Failure> {
    let start = Instant::now();
    let end = start + patience;
    let exchange = async {
        let reply = ask_once(server, query, true, end).await?;
        match reply.0.metadata.response_code {
            ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS
                if reply.0.edns.is_none() =>
            {
                ask_once(server, query, false, end).await
            }
            _ => Ok(reply),
        }
    };
    match timeout_at(end, exchange).await {
        Ok(Ok((message, transport))) => Ok(Reply {
            message,
            transport,
            elapsed: start.elapsed(),
        }),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(Failure::Silent(patience)),
    }
}

async fn ask_once(
    server: SocketAddr,
    query: &Query,
    edns: bool,
    end: Instant,
) -> Result<(Message, Transport), Failure> {
    let request = request(query, edns);
    let bytes = request
        .to_vec()
        .map_err(|error| Failure::Malformed(error.to_string()))?;
    let short = over_udp(server, &request, &bytes, end).await?;
    if !short.metadata.truncation {
        return Ok((short, Transport::Udp));
    }
    // What fitted in the datagram is better than nothing where TCP is blocked, so TCP does not
    // get all of the time.
    let tcp_end = Instant::now() + (end - Instant::now()) * 9 / 10;
    match timeout_at(tcp_end, over_tcp(server, &request, &bytes)).await {
        Ok(Ok(message)) => Ok((message, Transport::Tcp)),
        Ok(Err(_)) | Err(_) => Ok((short, Transport::Udp)),
    }
}

fn request(query: &Query, edns: bool) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    // Asks for the AD bit without the signatures (RFC 6840 section 5.7).
    message.metadata.authentic_data = true;
    message.add_query(query.clone());
    if edns {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD).set_version(0);
        message.set_edns(edns);
    }
    message
}

async fn over_udp(
    server: SocketAddr,
    request: &Message,
    bytes: &[u8],
    end: Instant,
) -> Result<Message, Failure> {
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0)).await?;
    // A connected socket takes datagrams of this server only, and learns of a closed port.
    socket.connect(server).await?;
    let interval = (end - Instant::now()) / N_SENDS;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        socket.send(bytes).await?;
        let next_send = (Instant::now() + interval).min(end);
        while let Ok(received) = timeout_at(next_send, socket.recv(&mut buffer)).await {
            if let Some(message) = accept(request, &buffer[..received?])? {
                return Ok(message);
            }
        }
        if Instant::now() >= end {
            return Err(Failure::Silent(interval * N_SENDS));
        }
    }
}

/// RFC 1035 section 4.2.2: two bytes of length before each message.
async fn over_tcp(server: SocketAddr, request: &Message, bytes: &[u8]) -> Result<Message, Failure> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    accept(request, &answer)?
        .ok_or_else(|| Failure::Malformed("it answers another question".to_owned()))
}

/// Reads an answer; `None` for one that does not belong to the request.
///
/// Identifier and question must be those of the request (RFC 5452 section 9.1); only an error
/// may come without the question.
fn accept(request: &Message, bytes: &[u8]) -> Result<Option<Message>, Failure> {
    if bytes.get(..2) != Some(&request.metadata.id.to_be_bytes()) {
        return Ok(None);
    }
    let message =
        Message::from_vec(bytes).map_err(|error| Failure::Malformed(error.to_string()))?;
    let is_answer = message.metadata.message_type == MessageType::Response
        && message.metadata.op_code == OpCode::Query;
    let same_question = message.queries == request.queries;
    let error_without =
        message.queries.is_empty() && message.metadata.response_code != ResponseCode::NoError;
    Ok((is_answer && (same_question || error_without)).then_some(message))
}
