//! `whois` against registries that answer as a test wants.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use protocol::Category;
use serde_json::{Value, json};
use testkit::targets::{ANY_PORT, TcpServer, WhoisServer, refusing_address};
use worker::{Scope, Worker};
use worker_network::whois;

use crate::call::{error, structured};

/// Long enough for a loopback server on a busy machine, short enough for tests of silence.
const PATIENCE: Duration = Duration::from_millis(1500);

const DOMAIN: &str = "Domain Name: EXAMPLE.TEST\r\nRegistrar: Registrar Ltd\r\n\
    Creation Date: 1999-01-02T03:04:05Z\r\nUpdated Date: 2020-01-02T03:04:05Z\r\n\
    Registry Expiry Date: 2030-01-02T03:04:05Z\r\nName Server: NS1.EXAMPLE.TEST\r\n\
    Name Server: NS2.EXAMPLE.TEST\r\nDomain Status: clientHold https://icann.org/epp#clientHold\r\n";

fn worker(servers: &[String], scope: Scope) -> Worker {
    let config = whois::Config {
        servers: servers.to_vec(),
        patience: PATIENCE,
    };
    Worker::new(Category::network(), NonZeroU16::MIN)
        .tool(whois::tool_with(&config).unwrap())
        .scope(scope)
}

/// Calls a worker that has these servers configured.
async fn call(servers: &[String], arguments: Value) -> Value {
    let worker = worker(servers, Scope::default());
    worker.call_for_test("whois", arguments).await
}

/// A scope that leaves loopback out, so that only what is configured may be asked.
fn elsewhere() -> Scope {
    Scope::new(&["10.0.0.0/8".to_owned()], &[]).unwrap()
}

async fn answering(text: impl Into<String>) -> WhoisServer {
    let text = text.into();
    WhoisServer::start(ANY_PORT, move |_| text.clone())
        .await
        .unwrap()
}

fn item(kind: &str, address: SocketAddr) -> String {
    format!("{kind}={address}")
}

#[tokio::test]
async fn a_domain_is_parsed_and_its_text_kept() {
    let server = answering(DOMAIN).await;
    let configured = [item("domain", server.address())];
    let result = structured(&call(&configured, json!({ "query": "Example.TEST" })).await);
    assert_eq!(result["query"], "example.test");
    assert_eq!(result["kind"], "domain");
    assert_eq!(result["found"], true);
    let expected = json!({
        "name": "EXAMPLE.TEST", "registrar": "Registrar Ltd",
        "created": "1999-01-02T03:04:05Z", "updated": "2020-01-02T03:04:05Z",
        "expires": "2030-01-02T03:04:05Z",
        "name_servers": ["ns1.example.test", "ns2.example.test"],
        "status": ["clientHold"],
    });
    assert_eq!(result["domain"], expected);
    let answer = &result["answers"][0];
    assert_eq!(answer["server"], server.address().to_string());
    assert_eq!(answer["text"], DOMAIN.replace("\r\n", "\n"));
    assert_eq!(answer["bytes"], DOMAIN.len());
    assert_eq!(answer["truncated"], false);
    assert!(result.get("network").is_none());
    assert_eq!(server.queries(), ["example.test"]);
}

#[tokio::test]
async fn each_kind_and_domain_has_its_own_server() {
    let domain = answering("Registrar: of domains\n").await;
    let zone = answering("Registrar: of lab\n").await;
    let ip = answering("inetnum: 192.0.2.0 - 192.0.2.255\nnetname: NET\ncountry: NL\n").await;
    let asn = answering("aut-num: AS64496\nas-name: LAB\norg-name: Lab Ltd\n").await;
    let configured = [
        item("domain", domain.address()),
        item("lab", zone.address()),
        item("ip", ip.address()),
        item("asn", asn.address()),
    ];
    let ask = async |query: &str| structured(&call(&configured, json!({ "query": query })).await);
    assert_eq!(ask("a.test").await["domain"]["registrar"], "of domains");
    assert_eq!(ask("a.b.lab").await["domain"]["registrar"], "of lab");
    for query in ["192.0.2.1", "192.0.2.0/24"] {
        let result = ask(query).await;
        assert_eq!(result["kind"], "ip");
        assert_eq!(result["network"]["name"], "NET");
        assert_eq!(result["network"]["cidr"], json!(["192.0.2.0/24"]));
        assert_eq!(result["network"]["country"], "NL");
    }
    let result = ask("as64496").await;
    assert_eq!(result["kind"], "asn");
    assert_eq!(result["autonomous_system"]["name"], "LAB");
    assert_eq!(result["autonomous_system"]["organization"], "Lab Ltd");
    assert_eq!(asn.queries(), ["AS64496"]);
    assert_eq!(ip.queries(), ["192.0.2.1", "192.0.2.0/24"]);
}

#[tokio::test]
async fn referrals_lead_from_root_to_registry_to_registrar() {
    let registrar =
        answering("Registrar: R\nRegistrant Organization: Holder Ltd\nRegistrant Country: NL\n")
            .await;
    let text = format!(
        "{DOMAIN}Registrar WHOIS Server: {}\r\n",
        registrar.address()
    );
    let registry = answering(text).await;
    let root = format!(
        "% IANA WHOIS server\n\nrefer:        {}\n\ndomain:       TEST\norganisation: Not The Holder\n\
         created:      1985-01-01\nnserver:      A.NIC.TEST 192.0.2.1\n",
        registry.address()
    );
    let root = answering(root).await;
    let configured = [item("domain", root.address())];
    let result = structured(&call(&configured, json!({ "query": "example.test" })).await);
    let domain = &result["domain"];
    assert_eq!(
        domain["registrar"], "Registrar Ltd",
        "of the registry, not the registrar"
    );
    assert_eq!(
        domain["created"], "1999-01-02T03:04:05Z",
        "not of the top-level domain"
    );
    assert_eq!(domain["organization"], "Holder Ltd", "of the registrar");
    assert_eq!(domain["country"], "NL");
    let answers = result["answers"].as_array().unwrap();
    let asked: Vec<&Value> = answers.iter().map(|answer| &answer["server"]).collect();
    let expected = [root.address(), registry.address(), registrar.address()];
    assert_eq!(
        json!(asked),
        json!(expected.map(|address| address.to_string()))
    );
    for answer in &answers[..2] {
        assert_eq!(answer["refers_to"]["followed"], true, "{answer}");
    }
    assert!(answers[2].get("refers_to").is_none());
    assert_eq!(registrar.queries(), ["example.test"]);
}

/// The referral of the only answer, which must not have been followed.
async fn refused_referral(referral: &str, scope: Scope) -> Value {
    let root = answering(format!("refer: {referral}\ndomain: TEST\ncreated: 1985\n")).await;
    let worker = worker(&[item("domain", root.address())], scope);
    let result = worker
        .call_for_test("whois", json!({ "query": "example.test" }))
        .await;
    let result = structured(&result);
    assert_eq!(result["answers"].as_array().unwrap().len(), 1, "{result:#}");
    assert!(
        result.get("domain").is_none(),
        "the root does not speak of the domain"
    );
    assert!(
        result["note"].as_str().unwrap().contains("not asked"),
        "{result:#}"
    );
    let refers_to = result["answers"][0]["refers_to"].clone();
    assert_eq!(refers_to["server"], referral);
    assert_eq!(refers_to["followed"], false);
    refers_to
}

#[tokio::test]
async fn a_referral_into_the_network_of_the_worker_is_reported_not_followed() {
    for referral in [
        "169.254.169.254",
        "whois://169.254.169.254:43",
        "::ffff:169.254.169.254",
        "10.0.0.1:6379",
        "localhost",
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "[::1]:22",
        "8.8.8.8:25",
    ] {
        let scope = Scope::new(&["192.168.77.0/24".to_owned()], &[]).unwrap();
        let refers_to = refused_referral(referral, scope).await;
        let reason = refers_to["reason"].as_str().unwrap();
        assert!(reason.contains("SCAN_SCOPE_ALLOW"), "{referral}: {reason}");
    }
}

#[tokio::test]
async fn a_metadata_address_is_not_asked_even_in_the_default_scope() {
    for referral in ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"] {
        let refers_to = refused_referral(referral, Scope::default()).await;
        assert!(
            refers_to["reason"].as_str().unwrap().contains("SCAN_SCOPE"),
            "{referral}"
        );
    }
}

#[tokio::test]
async fn a_referral_that_is_no_whois_server_is_reported() {
    for referral in [
        "rwhois://127.0.0.1:4321",
        "https://registry.test/",
        "-oN",
        "a b",
    ] {
        let refers_to = refused_referral(referral, Scope::default()).await;
        let reason = refers_to["reason"].as_str().unwrap();
        assert!(
            reason.contains("not the address of a whois server"),
            "{referral}: {reason}"
        );
    }
}

#[tokio::test]
async fn a_referral_to_a_configured_server_is_followed_whatever_its_address() {
    let registry = answering(DOMAIN).await;
    let root = answering(format!("refer: {}\n", registry.address())).await;
    let configured = [
        item("domain", root.address()),
        item("lab", registry.address()),
    ];
    let worker = worker(&configured, elsewhere());
    let result = worker
        .call_for_test("whois", json!({ "query": "example.test" }))
        .await;
    assert_eq!(structured(&result)["domain"]["registrar"], "Registrar Ltd");
}

#[tokio::test]
async fn servers_that_refer_to_each_other_are_asked_once() {
    let port = testkit::ports::free_port().unwrap();
    let one = SocketAddr::from(([127, 0, 0, 2], port));
    let other = SocketAddr::from(([127, 0, 0, 3], port));
    let first = WhoisServer::start(one, move |_| format!("refer: {other}\n"))
        .await
        .unwrap();
    let second = WhoisServer::start(other, move |_| format!("refer: {one}\n"))
        .await
        .unwrap();
    let result = call(&[item("domain", one)], json!({ "query": "a.test" })).await;
    let result = structured(&result);
    assert_eq!(result["answers"].as_array().unwrap().len(), 2);
    let refers_to = &result["answers"][1]["refers_to"];
    assert_eq!(refers_to["followed"], false);
    assert!(
        refers_to["reason"].as_str().unwrap().contains("already"),
        "{refers_to}"
    );
    assert_eq!(first.queries().len() + second.queries().len(), 2);
}

#[tokio::test]
async fn a_chain_of_referrals_has_an_end() {
    let port = testkit::ports::free_port().unwrap();
    let at = |last: u8| SocketAddr::from(([127, 0, 0, last], port));
    let mut servers = Vec::new();
    for last in 2..=8 {
        let next = at(last + 1);
        let text = format!("refer: {next}\n");
        servers.push(
            WhoisServer::start(at(last), move |_| text.clone())
                .await
                .unwrap(),
        );
    }
    let result = call(&[item("domain", at(2))], json!({ "query": "a.test" })).await;
    let result = structured(&result);
    assert_eq!(result["answers"].as_array().unwrap().len(), 4);
    let asked: usize = servers.iter().map(|server| server.queries().len()).sum();
    assert_eq!(asked, 4);
}

#[tokio::test]
async fn a_registrar_that_is_down_does_not_lose_the_answer_of_the_registry() {
    let closed = refusing_address().unwrap();
    let registry = answering(format!("{DOMAIN}Registrar WHOIS Server: {closed}\r\n")).await;
    let configured = [item("domain", registry.address())];
    let result = structured(&call(&configured, json!({ "query": "example.test" })).await);
    assert_eq!(result["domain"]["registrar"], "Registrar Ltd");
    let refers_to = &result["answers"][0]["refers_to"];
    assert_eq!(refers_to["followed"], false);
    assert!(
        refers_to["reason"]
            .as_str()
            .unwrap()
            .contains(&closed.to_string())
    );
}

#[tokio::test]
async fn the_top_level_domain_is_not_taken_for_the_domain() {
    let text = "domain: TEST\norganisation: Registry\ncreated: 1985\nnserver: A.NIC.TEST\nwhois:\n";
    let root = answering(text).await;
    let configured = [item("domain", root.address())];
    let result = structured(&call(&configured, json!({ "query": "example.test" })).await);
    assert!(result.get("domain").is_none(), "{result:#}");
    assert!(
        result["note"].as_str().unwrap().contains("no whois server"),
        "{result:#}"
    );
    let result = structured(&call(&configured, json!({ "query": "test" })).await);
    assert_eq!(result["domain"]["organization"], "Registry");
    assert_eq!(result["domain"]["name_servers"], json!(["a.nic.test"]));
}

#[tokio::test]
async fn what_is_not_registered_is_a_result() {
    for text in [
        "No match for \"NOBODY.TEST\".\r\n",
        "% No entries found.\n",
        "Domain not found.\n",
        "Domain: nobody.test\nStatus: free\n",
    ] {
        let server = answering(text).await;
        let configured = [item("domain", server.address())];
        let result = structured(&call(&configured, json!({ "query": "nobody.test" })).await);
        assert_eq!(result["found"], false, "{text}");
        assert!(result.get("domain").is_none(), "{text}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_understood_says_so() {
    let server = answering("Quota exceeded, come back tomorrow\n").await;
    let configured = [item("domain", server.address())];
    let result = call(&configured, json!({ "query": "example.test" })).await;
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("Quota exceeded"), "{text}");
    let result = structured(&result);
    assert!(result["note"].as_str().unwrap().contains("read the text"));
    assert_eq!(
        result["answers"][0]["text"],
        "Quota exceeded, come back tomorrow\n"
    );
}

#[tokio::test]
async fn endless_output_is_cut() {
    let server = answering(format!("{DOMAIN}{}", "x".repeat(10_000_000))).await;
    let configured = [item("domain", server.address())];
    let result = structured(&call(&configured, json!({ "query": "example.test" })).await);
    let answer = &result["answers"][0];
    assert_eq!(answer["truncated"], true);
    assert_eq!(answer["bytes"], 65536);
    assert!(answer["text"].as_str().unwrap().len() <= 65536);
    assert_eq!(result["domain"]["registrar"], "Registrar Ltd");
}

#[tokio::test]
async fn what_a_server_said_before_it_fell_silent_is_kept() {
    let server = TcpServer::banner(ANY_PORT, DOMAIN).await.unwrap();
    let configured = [item("domain", server.address())];
    let result = structured(&call(&configured, json!({ "query": "example.test" })).await);
    assert_eq!(result["domain"]["registrar"], "Registrar Ltd");
    assert_eq!(result["answers"][0]["truncated"], true);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_told_by_how() {
    let silent = TcpServer::silent(ANY_PORT).await.unwrap();
    let closing = TcpServer::closing(ANY_PORT).await.unwrap();
    let closed = refusing_address().unwrap();
    let start = Instant::now();
    for (address, code) in [
        (silent.address(), "unreachable"),
        (closing.address(), "bad_response"),
        (closed, "connection_refused"),
    ] {
        let configured = [item("domain", address)];
        let result = call(&configured, json!({ "query": "example.test" })).await;
        let error = error(&result);
        assert_eq!(error["code"], code, "{error}");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains(&address.to_string())
        );
        assert_eq!(error["retryable"], true);
    }
    assert!(start.elapsed() < PATIENCE * 4, "{:?}", start.elapsed());
}

#[tokio::test]
async fn text_of_another_character_set_is_read() {
    let bytes = b"Registrar: Caf\xe9 \x1b[31m\nRegistrant Name: M\xfcller\n".to_vec();
    let server = TcpServer::banner(ANY_PORT, bytes).await.unwrap();
    let configured = [item("domain", server.address())];
    let result = call(&configured, json!({ "query": "example.test" })).await;
    let summary = result["content"][0]["text"].as_str().unwrap();
    assert!(
        !summary.contains('\u{1b}'),
        "no control character reaches the reader: {summary}"
    );
    assert_eq!(structured(&result)["domain"]["registrant"], "Müller");
}

#[tokio::test]
async fn a_caller_may_name_a_server_in_scope_or_configured() {
    let server = answering(DOMAIN).await;
    let address = server.address();
    let arguments = json!({ "query": "example.test", "server": address });
    let in_scope = structured(&call(&[], arguments.clone()).await);
    assert_eq!(in_scope["domain"]["registrar"], "Registrar Ltd");
    let configured = worker(&[item("lab", address)], elsewhere());
    let result = configured.call_for_test("whois", arguments.clone()).await;
    assert_eq!(structured(&result)["domain"]["registrar"], "Registrar Ltd");
    let neither = worker(&[], elsewhere());
    let error = error(&neither.call_for_test("whois", arguments).await);
    assert_eq!(error["code"], "out_of_scope");
    assert!(error["hint"].as_str().unwrap().contains("WHOIS_SERVERS"));
    assert_eq!(server.queries().len(), 2);
}

#[tokio::test]
async fn a_server_that_the_caller_named_is_asked_alone() {
    let other = answering("Registrar: other\n").await;
    let server = answering(format!("refer: {}\n", other.address())).await;
    let arguments = json!({ "query": "example.test", "server": server.address() });
    let result = structured(&call(&[], arguments).await);
    let refers_to = &result["answers"][0]["refers_to"];
    assert_eq!(refers_to["server"], other.address().to_string());
    assert_eq!(refers_to["followed"], false);
    assert!(other.queries().is_empty());
}

#[tokio::test]
async fn a_named_server_out_of_scope_is_never_asked() {
    for server in [
        "8.8.8.8",
        "8.8.8.8:43",
        "169.254.169.254",
        "[::ffff:169.254.169.254]:43",
        "0.0.0.0",
        "[fd00:ec2::254]:80",
    ] {
        let result = call(&[], json!({ "query": "example.test", "server": server })).await;
        let error = error(&result);
        assert_eq!(error["code"], "out_of_scope", "{server}: {error}");
    }
}

#[tokio::test]
async fn bad_arguments_are_refused_and_the_next_call_works() {
    let server = answering(DOMAIN).await;
    let worker = worker(&[item("domain", server.address())], Scope::default());
    let rows = [
        (json!({}), "query"),
        (json!({ "query": "" }), "query"),
        (json!({ "query": 64496 }), "query"),
        (json!({ "query": null }), "query"),
        (json!({ "query": "a".repeat(300) }), "query"),
        (json!({ "query": "a.test\r\nb.test" }), "character"),
        (json!({ "query": "a.test b.test" }), "character"),
        (json!({ "query": "-T dn,ace a.test" }), "hyphen"),
        (json!({ "query": "--help" }), "hyphen"),
        (json!({ "query": "a\u{0}.test" }), "character"),
        (json!({ "query": "a..test" }), "empty"),
        (json!({ "query": "*.test" }), "character"),
        (json!({ "query": "a_b.test" }), "character"),
        (json!({ "query": "bücher.test" }), "character"),
        (json!({ "query": "1.2.3" }), "number"),
        (json!({ "query": "1.2.3.256" }), "number"),
        (json!({ "query": "192.0.2.1/24" }), "prefix length"),
        (json!({ "query": "192.0.2.0/33" }), "query"),
        (json!({ "query": "64496" }), "ambiguous"),
        (json!({ "query": "AS4294967296" }), "4294967295"),
        (json!({ "query": "https://a.test/" }), "query"),
        (json!({ "query": "a.test", "server": "" }), "server"),
        (json!({ "query": "a.test", "server": "host:0" }), "port"),
        (json!({ "query": "a.test", "server": "-h" }), "server"),
        (
            json!({ "query": "a.test", "server": "whois://127.0.0.1" }),
            "server",
        ),
        (json!({ "query": "a.test", "server": "127.1" }), "server"),
        (
            json!({ "query": "a.test", "follow": false }),
            "known arguments",
        ),
    ];
    for (arguments, part) in rows {
        let result = worker.call_for_test("whois", arguments.clone()).await;
        let error = error(&result);
        assert_eq!(error["code"], "invalid_arguments", "{arguments}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part), "{arguments}: {message}");
    }
    assert!(
        server.queries().is_empty(),
        "no refused call asked anything"
    );
    let result = worker
        .call_for_test("whois", json!({ "query": "example.test" }))
        .await;
    assert_eq!(structured(&result)["domain"]["registrar"], "Registrar Ltd");
}

#[test]
fn an_unusable_setting_stops_the_worker_and_is_named() {
    let error = whois::tool(&["com=host:0".to_owned()]).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("WHOIS_SERVERS") && message.contains("com=host:0"),
        "{message}"
    );
}

#[test]
fn the_declaration_is_as_agreed() {
    let worker = worker(&[], Scope::default());
    insta::assert_json_snapshot!("whois", worker.descriptors()[0]);
}
