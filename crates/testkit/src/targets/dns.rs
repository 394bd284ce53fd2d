//! A DNS server with a zone of a test's own, on UDP and TCP of the same port.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use hickory_proto::{
    op::{Message, MessageType, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    task::JoinSet,
};

use super::listener::Listener;
use crate::ports::free_port;

/// Seconds that every record may be kept.
const TTL: u32 = 60;

/// What a server knows.
#[derive(Debug, Clone, Default)]
pub struct Zone {
    records: HashMap<Name, Vec<Record>>,
    codes: HashMap<Name, ResponseCode>,
    silent: HashSet<Name>,
    truncated: HashSet<Name>,
}

impl Zone {
    /// Adds a record in zone-file form: `record("h1.test", "MX", "10 mail.test.")`.
    ///
    /// # Errors
    /// Name, type or value are not valid.
    pub fn record(mut self, name: &str, kind: &str, value: &str) -> Result<Self> {
        let name = parse(name)?;
        let kind = RecordType::from_str(kind).with_context(|| format!("type {kind}"))?;
        let data = RData::try_from_str(kind, value).with_context(|| format!("{kind} {value}"))?;
        let record = Record::from_rdata(name.clone(), TTL, data);
        self.records.entry(name).or_default().push(record);
        Ok(self)
    }

    /// Answers every question for this name with a code, such as `ServFail` or `Refused`.
    ///
    /// # Errors
    /// The name is not valid.
    pub fn fails(mut self, name: &str, code: ResponseCode) -> Result<Self> {
        self.codes.insert(parse(name)?, code);
        Ok(self)
    }

    /// Never answers a question for this name.
    ///
    /// # Errors
    /// The name is not valid.
    pub fn silent(mut self, name: &str) -> Result<Self> {
        self.silent.insert(parse(name)?);
        Ok(self)
    }

    /// Answers over UDP that the answer is too long for it; TCP gives the whole.
    ///
    /// # Errors
    /// The name is not valid.
    pub fn truncated(mut self, name: &str) -> Result<Self> {
        self.truncated.insert(parse(name)?);
        Ok(self)
    }

    /// The answer to a question; `None` means silence.
    fn answer(&self, question: &Message, over_udp: bool) -> Option<Message> {
        let query = question.queries.first()?;
        let name = lower(query.name());
        if self.silent.contains(&name) {
            return None;
        }
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.message_type = MessageType::Response;
        answer.metadata.recursion_desired = question.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.metadata.response_code = self.code(&name);
        answer.add_query(query.clone());
        if over_udp && self.truncated.contains(&name) {
            answer.metadata.truncation = true;
        } else {
            answer.add_answers(self.chain(query, name));
        }
        Some(answer)
    }

    fn code(&self, name: &Name) -> ResponseCode {
        let known = self.records.contains_key(name) || self.truncated.contains(name);
        let otherwise = if known {
            ResponseCode::NoError
        } else {
            ResponseCode::NXDomain
        };
        self.codes.get(name).copied().unwrap_or(otherwise)
    }

    /// The records of the type asked for, behind those CNAME records that lead to them.
    fn chain(&self, query: &Query, mut name: Name) -> Vec<Record> {
        let wanted = query.query_type();
        let mut chain = Vec::new();
        for _ in 0..8 {
            let records = self.records.get(&name).map_or(&[][..], Vec::as_slice);
            let matching = records
                .iter()
                .filter(|it| wanted == RecordType::ANY || it.record_type() == wanted);
            let before = chain.len();
            chain.extend(matching.cloned());
            let alias = records.iter().find_map(|record| match &record.data {
                RData::CNAME(target) => Some((record, target)),
                _ => None,
            });
            match alias {
                Some((record, target)) if chain.len() == before => {
                    chain.push(record.clone());
                    name = lower(&target.0);
                }
                _ => return chain,
            }
        }
        chain
    }
}

fn parse(name: &str) -> Result<Name> {
    let mut name = Name::from_str(name).with_context(|| format!("name {name}"))?;
    name.set_fqdn(true);
    Ok(lower(&name))
}

fn lower(name: &Name) -> Name {
    name.to_lowercase()
}

/// A question as it was heard: name with its last dot, type, and whether it came over UDP.
type Heard = Arc<Mutex<Vec<(String, String, bool)>>>;

/// The server.
#[derive(Debug)]
pub struct DnsServer {
    listener: Listener,
    heard: Heard,
    _udp: JoinSet<()>,
}

impl DnsServer {
    /// Serves a zone on a port of 127.0.0.1.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(zone: Zone) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let (zone, heard) = (Arc::new(zone), Heard::default());
        let socket = UdpSocket::bind(address).await?;
        let mut udp = JoinSet::new();
        udp.spawn(serve_udp(socket, Arc::clone(&zone), Arc::clone(&heard)));
        let tcp_heard = Arc::clone(&heard);
        let serve = move |stream| {
            let (zone, heard) = (Arc::clone(&zone), Arc::clone(&tcp_heard));
            async move {
                // A client that breaks off is the client's affair.
                let _ = serve_tcp(stream, &zone, &heard).await;
            }
        };
        Ok(Self {
            listener: Listener::start(address, serve).await?,
            heard,
            _udp: udp,
        })
    }

    /// Where it listens, UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// The questions in order: name with its last dot, type, and whether it came over UDP.
    #[must_use]
    pub fn queries(&self) -> Vec<(String, String, bool)> {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Zone>, heard: Heard) {
    let mut buffer = vec![0; 4096];
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let question = buffer.get(..length).unwrap_or_default();
        if let Some(answer) = reply(question, &zone, &heard, true) {
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

/// Each message has its length in two bytes before it (RFC 1035, section 4.2.2).
async fn serve_tcp(mut stream: TcpStream, zone: &Zone, heard: &Heard) -> Result<()> {
    loop {
        let mut question = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut question).await?;
        if let Some(answer) = reply(&question, zone, heard, false) {
            stream.write_u16(u16::try_from(answer.len())?).await?;
            stream.write_all(&answer).await?;
        }
    }
}

fn reply(question: &[u8], zone: &Zone, heard: &Heard, over_udp: bool) -> Option<Vec<u8>> {
    let question = Message::from_vec(question).ok()?;
    if let Some(query) = question.queries.first() {
        let asked = (
            query.name().to_string(),
            query.query_type().to_string(),
            over_udp,
        );
        heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(asked);
    }
    zone.answer(&question, over_udp)?.to_vec().ok()
}
