//! `nslookup` against servers that answer as a test wants.

mod answers;
mod arguments;
mod servers;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use hickory_resolver::proto::op::Message;
use hickory_resolver::proto::rr::{RData, Record, rdata};
use protocol::Category;
use serde_json::Value;
use testkit::targets::Zone;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use worker::{Scope, Worker};
use worker_network::nslookup;

use crate::call::{error, structured};

/// Long enough for a loopback server on a busy machine, short enough for tests of silence.
const PATIENCE: Duration = Duration::from_millis(1500);

fn worker(config: nslookup::Config) -> Worker {
    Worker::new(Category::network(), NonZeroU16::MIN)
        .tool(nslookup::tool_with(config))
        .scope(Scope::default())
}

fn config() -> nslookup::Config {
    nslookup::Config {
        patience: PATIENCE,
        ..nslookup::Config::default()
    }
}

async fn call(arguments: Value) -> Value {
    worker(config()).call_for_test("nslookup", arguments).await
}

async fn done(arguments: Value) -> Value {
    structured(&call(arguments).await)
}

async fn failed(arguments: Value) -> Value {
    error(&call(arguments).await)
}

/// A server that sends what `answer` makes of each question over UDP.
struct Scripted {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Scripted {
    async fn start(
        at: SocketAddr,
        answer: impl Fn(&Message) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind(at).await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut buffer = vec![0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let question = Message::from_vec(&buffer[..length]).unwrap();
                for datagram in answer(&question) {
                    socket.send_to(&datagram, client).await.unwrap();
                }
            }
        });
        Self {
            address,
            _serving: serving,
        }
    }

    async fn on_loopback(answer: impl Fn(&Message) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        Self::start(SocketAddr::from(([127, 0, 0, 1], 0)), answer).await
    }
}

/// The good answer: one A record.
fn answer_to(question: &Message) -> Message {
    let mut answer = question.clone().into_response();
    let name = question.queries[0].name().clone();
    let data = RData::A(rdata::A(Ipv4Addr::new(192, 0, 2, 1)));
    answer.add_answer(Record::from_rdata(name, 300, data));
    answer
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

fn lab() -> Zone {
    let record = |zone: Zone, (name, kind, value)| zone.record(name, kind, value).unwrap();
    [
        ("h1.lab.test", "A", "192.0.2.1"),
        ("h1.lab.test", "A", "192.0.2.2"),
        ("h1.lab.test", "AAAA", "2001:db8::1"),
        ("lab.test", "MX", "10 mail.lab.test."),
        ("lab.test", "NS", "ns1.lab.test."),
        ("lab.test", "TXT", "\"v=spf1 -all\""),
        (
            "lab.test",
            "SOA",
            "ns1.lab.test. admin.lab.test. 7 3600 600 86400 60",
        ),
        ("lab.test", "CAA", "0 issue \"ca.test\""),
        ("_sip._tcp.lab.test", "SRV", "1 2 5060 h1.lab.test."),
        ("www.lab.test", "CNAME", "h1.lab.test."),
        ("1.2.0.192.in-addr.arpa", "PTR", "h1.lab.test."),
        (
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
            "PTR",
            "h1.lab.test.",
        ),
    ]
    .into_iter()
    .fold(Zone::default(), record)
}

#[test]
fn the_declaration_is_as_agreed() {
    insta::assert_json_snapshot!("nslookup", worker(config()).descriptors()[0]);
}
