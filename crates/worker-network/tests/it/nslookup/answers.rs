//! Answers, and what becomes of them.

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType, rdata};
use serde_json::{Value, json};
use testkit::targets::{DnsServer, Zone};

use super::{Scripted, answer_to, bytes, done, lab};

#[tokio::test]
async fn every_type_is_answered_with_its_data() {
    let server = DnsServer::start(lab()).await.unwrap();
    let check = async |host: &str, kind: &str, expected: Value| {
        let arguments = json!({ "host": host, "type": kind, "server": server.address() });
        let result = done(arguments).await;
        assert_eq!(result["rcode"], "NOERROR", "{host} {kind}");
        assert_eq!(result["type"], kind);
        let data: Vec<&Value> = result["answers"]
            .as_array()
            .unwrap()
            .iter()
            .inspect(|answer| assert_eq!(answer["type"], kind, "{answer}"))
            .inspect(|answer| assert_eq!(answer["name"], host, "{answer}"))
            .inspect(|answer| assert_eq!(answer["ttl"], 60, "{answer}"))
            .map(|answer| &answer["data"])
            .collect();
        assert_eq!(json!(data), expected, "{host} {kind}");
    };
    check("h1.lab.test", "A", json!(["192.0.2.1", "192.0.2.2"])).await;
    check("h1.lab.test", "AAAA", json!(["2001:db8::1"])).await;
    let mx = json!([{ "preference": 10, "exchange": "mail.lab.test" }]);
    check("lab.test", "MX", mx).await;
    check("lab.test", "NS", json!(["ns1.lab.test"])).await;
    check("lab.test", "TXT", json!(["v=spf1 -all"])).await;
    check("www.lab.test", "CNAME", json!(["h1.lab.test"])).await;
    check("1.2.0.192.in-addr.arpa", "PTR", json!(["h1.lab.test"])).await;
    let soa = json!([{
        "primary": "ns1.lab.test", "mailbox": "admin.lab.test", "serial": 7,
        "refresh_seconds": 3600, "retry_seconds": 600, "expire_seconds": 86400,
        "negative_ttl_seconds": 60,
    }]);
    check("lab.test", "SOA", soa).await;
    let srv = json!([{ "priority": 1, "weight": 2, "port": 5060, "target": "h1.lab.test" }]);
    check("_sip._tcp.lab.test", "SRV", srv).await;
    let caa = json!([{ "critical": false, "property": "issue", "value": "ca.test" }]);
    check("lab.test", "CAA", caa).await;
}

#[tokio::test]
async fn an_address_is_looked_up_by_its_reverse_name() {
    let server = DnsServer::start(lab()).await.unwrap();
    for address in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
        let result = done(json!({ "host": address, "server": server.address() })).await;
        assert_eq!(result["type"], "PTR", "{address}");
        assert_eq!(result["answers"][0]["data"], "h1.lab.test", "{address}");
    }
    assert_eq!(server.queries()[0].0, "1.2.0.192.in-addr.arpa.");
}

#[tokio::test]
async fn an_alias_is_shown_with_what_it_leads_to() {
    let server = DnsServer::start(lab()).await.unwrap();
    let result = done(json!({ "host": "www.lab.test", "server": server.address() })).await;
    let answers = result["answers"].as_array().unwrap();
    assert_eq!(answers[0]["type"], "CNAME");
    assert_eq!(answers[0]["data"], "h1.lab.test");
    assert_eq!(answers[1]["data"], "192.0.2.1");
    assert_eq!(result["server"], server.address().to_string());
    assert_eq!(result["transport"], "udp");
    assert!(result["elapsed_ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn a_missing_name_and_a_missing_type_are_results() {
    let server = DnsServer::start(lab()).await.unwrap();
    let missing = done(json!({ "host": "nobody.lab.test", "server": server.address() })).await;
    assert_eq!(missing["rcode"], "NXDOMAIN");
    assert_eq!(missing["answers"], json!([]));
    let arguments = json!({ "host": "h1.lab.test", "type": "MX", "server": server.address() });
    let no_data = done(arguments).await;
    assert_eq!(no_data["rcode"], "NOERROR");
    assert_eq!(no_data["answers"], json!([]));
}

#[tokio::test]
async fn a_refusal_of_the_server_is_a_result_with_its_code() {
    let zone = Zone::default()
        .fails("broken.test", ResponseCode::ServFail)
        .unwrap()
        .fails("private.test", ResponseCode::Refused)
        .unwrap();
    let server = DnsServer::start(zone).await.unwrap();
    for (host, rcode) in [("broken.test", "SERVFAIL"), ("private.test", "REFUSED")] {
        let result = done(json!({ "host": host, "server": server.address() })).await;
        assert_eq!(result["rcode"], rcode);
        assert_eq!(result["answers"], json!([]));
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_udp_comes_over_tcp() {
    let zone = (1..=200).fold(Zone::default(), |zone, n| {
        zone.record("many.test", "A", &format!("192.0.2.{n}"))
            .unwrap()
    });
    let server = DnsServer::start(zone.truncated("many.test").unwrap())
        .await
        .unwrap();
    let result = done(json!({ "host": "many.test", "server": server.address() })).await;
    assert_eq!(result["transport"], "tcp");
    assert_eq!(result["truncated"], false);
    assert_eq!(result["answers"].as_array().unwrap().len(), 200);
    let over_udp: Vec<bool> = server.queries().iter().map(|query| query.2).collect();
    assert_eq!(over_udp, [true, false]);
}

#[tokio::test]
async fn what_fitted_over_udp_is_shown_as_truncated_where_tcp_is_closed() {
    let server = Scripted::on_loopback(|question| {
        let mut answer = answer_to(question);
        answer.metadata.truncation = true;
        vec![bytes(&answer)]
    })
    .await;
    let result = done(json!({ "host": "many.test", "server": server.address })).await;
    assert_eq!(result["transport"], "udp");
    assert_eq!(result["truncated"], true);
    assert_eq!(result["answers"][0]["data"], "192.0.2.1");
}

#[tokio::test]
async fn the_bits_of_the_header_are_shown() {
    let server = Scripted::on_loopback(|question| {
        // The question asks for the AD bit, or a validating server would not set it.
        assert!(question.metadata.authentic_data);
        assert!(question.metadata.recursion_desired);
        let mut answer = answer_to(question);
        let yes = question.queries[0].name().to_string().starts_with("yes");
        answer.metadata.authentic_data = yes;
        answer.metadata.authoritative = yes;
        answer.metadata.recursion_available = yes;
        vec![bytes(&answer)]
    })
    .await;
    for (host, expected) in [("yes.test", true), ("no.test", false)] {
        let result = done(json!({ "host": host, "server": server.address })).await;
        assert_eq!(result["authenticated"], expected);
        assert_eq!(result["authoritative"], expected);
        assert_eq!(result["recursion_available"], expected);
    }
}

#[tokio::test]
async fn the_zone_that_denies_a_name_is_shown() {
    let server = Scripted::on_loopback(|question| {
        let mut answer = question.clone().into_response();
        answer.metadata.response_code = ResponseCode::NXDomain;
        let soa = "ns.test. admin.test. 1 2 3 4 5";
        let soa = RData::try_from_str(RecordType::SOA, soa).unwrap();
        let zone: Name = "test.".parse().unwrap();
        answer.add_authority(Record::from_rdata(zone, 900, soa));
        vec![bytes(&answer)]
    })
    .await;
    let result = done(json!({ "host": "nobody.test", "server": server.address })).await;
    assert_eq!(result["rcode"], "NXDOMAIN");
    assert_eq!(result["authority"][0]["name"], "test");
    assert_eq!(result["authority"][0]["data"]["negative_ttl_seconds"], 5);
}

#[tokio::test]
async fn answers_to_other_questions_are_passed_over() {
    let server = Scripted::on_loopback(|question| {
        let mut other_id = answer_to(question);
        other_id.metadata.id = question.metadata.id.wrapping_add(1);
        let mut other_name = answer_to(question);
        other_name.queries[0].set_name("evil.test.".parse().unwrap());
        let mut other_type = answer_to(question);
        other_type.queries[0].set_query_type(RecordType::TXT);
        let itself = bytes(question);
        let good = bytes(&answer_to(question));
        vec![
            vec![],
            vec![0; 3],
            bytes(&other_id),
            bytes(&other_name),
            bytes(&other_type),
            itself,
            good,
        ]
    })
    .await;
    let result = done(json!({ "host": "good.test", "server": server.address })).await;
    assert_eq!(result["name"], "good.test");
    assert_eq!(result["answers"][0]["name"], "good.test");
}

#[tokio::test]
async fn a_server_without_edns_is_asked_without_it() {
    let server = Scripted::on_loopback(|question| {
        if question.edns.is_none() {
            return vec![bytes(&answer_to(question))];
        }
        // Old servers send back nothing but the header.
        let id = question.metadata.id;
        let op_code = question.metadata.op_code;
        vec![bytes(&Message::error_msg(
            id,
            op_code,
            ResponseCode::FormErr,
        ))]
    })
    .await;
    let result = done(json!({ "host": "old.test", "server": server.address })).await;
    assert_eq!(result["rcode"], "NOERROR");
    assert_eq!(result["answers"][0]["data"], "192.0.2.1");
}

#[tokio::test]
async fn a_lost_question_is_asked_again() {
    let n_heard = std::sync::atomic::AtomicU32::new(0);
    let server = Scripted::on_loopback(move |question| {
        match n_heard.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => vec![],
            _ => vec![bytes(&answer_to(question))],
        }
    })
    .await;
    let result = done(json!({ "host": "lossy.test", "server": server.address })).await;
    assert_eq!(result["answers"][0]["data"], "192.0.2.1");
}

#[tokio::test]
async fn a_text_that_is_not_printable_is_shown_escaped() {
    let server = Scripted::on_loopback(|question| {
        let mut answer = question.clone().into_response();
        let name = question.queries[0].name().clone();
        let text = rdata::TXT::from_bytes(vec![b"a\x1b[2J", b"\xff|b"]);
        answer.add_answer(Record::from_rdata(name, 1, RData::TXT(text)));
        vec![bytes(&answer)]
    })
    .await;
    let arguments = json!({ "host": "t.test", "type": "TXT", "server": server.address });
    let result = done(arguments).await;
    assert_eq!(result["answers"][0]["data"], "a\\027[2J\\255|b");
}
