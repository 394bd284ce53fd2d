//! Banner, silence, whois and DNS, asked by plain sockets.

use std::{str::FromStr as _, time::Duration};

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};
use testkit::targets::{ANY_PORT, DnsServer, TcpServer, WhoisServer, Zone, refusing_address};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn banner_comes_at_once_and_silence_stays() {
    let server = TcpServer::banner(ANY_PORT, "220 ready\r\n").await.unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let mut banner = [0; 11];
    timeout(SOON, stream.read_exact(&mut banner))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&banner, b"220 ready\r\n");
    let server = TcpServer::silent(ANY_PORT).await.unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    timeout(Duration::from_millis(100), stream.read_u8())
        .await
        .unwrap_err();
    TcpStream::connect(refusing_address().unwrap())
        .await
        .unwrap_err();
}

#[tokio::test]
async fn whois_answers_the_line_and_closes() {
    let server = WhoisServer::start(ANY_PORT, |query| format!("domain: {query}\r\n"))
        .await
        .unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"example.test\r\n").await.unwrap();
    let mut text = String::new();
    timeout(SOON, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(text, "domain: example.test\r\n");
    assert_eq!(server.queries(), ["example.test"]);
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_str(name).unwrap(), kind));
    message.to_vec().unwrap()
}

async fn ask_udp(server: &DnsServer, name: &str, kind: RecordType) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket
        .send_to(&question(name, kind), server.address())
        .await
        .unwrap();
    let mut buffer = [0; 4096];
    let length = timeout(SOON, socket.recv(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

fn values(message: &Message) -> Vec<String> {
    message
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect()
}

#[tokio::test]
async fn zone_is_answered_with_aliases_failures_and_unknown_names() {
    let zone = Zone::default()
        .record("h1.test", "A", "192.0.2.1")
        .and_then(|zone| zone.record("www.test", "CNAME", "h1.test."))
        .and_then(|zone| zone.record("h1.test", "MX", "10 mail.test."))
        .and_then(|zone| zone.fails("broken.test", ResponseCode::ServFail))
        .unwrap();
    let server = DnsServer::start(zone).await.unwrap();
    assert_eq!(
        values(&ask_udp(&server, "H1.test.", RecordType::A).await),
        ["192.0.2.1"]
    );
    let alias = ask_udp(&server, "www.test.", RecordType::A).await;
    assert_eq!(values(&alias), ["h1.test.", "192.0.2.1"]);
    assert_eq!(
        values(&ask_udp(&server, "h1.test.", RecordType::MX).await),
        ["10 mail.test."]
    );
    let none = ask_udp(&server, "h1.test.", RecordType::AAAA).await;
    assert_eq!(
        (none.metadata.response_code, none.answers.len()),
        (ResponseCode::NoError, 0)
    );
    let unknown = ask_udp(&server, "h9.test.", RecordType::A).await;
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
    let broken = ask_udp(&server, "broken.test.", RecordType::A).await;
    assert_eq!(broken.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(server.queries().len(), 6);
}

#[tokio::test]
async fn truncated_answer_is_whole_over_tcp() {
    let zone = Zone::default()
        .record("big.test", "TXT", "\"much\"")
        .unwrap();
    let server = DnsServer::start(zone.truncated("big.test").unwrap())
        .await
        .unwrap();
    assert!(
        ask_udp(&server, "big.test.", RecordType::TXT)
            .await
            .metadata
            .truncation
    );
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let query = question("big.test.", RecordType::TXT);
    stream
        .write_u16(u16::try_from(query.len()).unwrap())
        .await
        .unwrap();
    stream.write_all(&query).await.unwrap();
    let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(values(&Message::from_vec(&answer).unwrap()), ["much"]);
}
