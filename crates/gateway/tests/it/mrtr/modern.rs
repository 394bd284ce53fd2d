//! Clients that come back with their answers.

use axum::http::StatusCode;
use bus::memory::MemoryBus;
use serde_json::{Value, json};

use super::*;

/// A call of `lab_asks` by a client that can be asked everything.
fn asking(rounds: &[Value]) -> Value {
    let mut body = call(1, "lab_asks", asks(rounds));
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = all_capabilities();
    body
}

/// The same request with the state of a result, and answers.
fn again(request: &Value, result: &Value, responses: Value) -> Value {
    let mut body = request.clone();
    body["id"] = 2.into();
    body["params"]["requestState"] = result["requestState"].clone();
    body["params"]["inputResponses"] = responses;
    body
}

async fn asked(gate: &Gate, body: &Value) -> Value {
    let answer = gate.client().modern(body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let result = answer.json()["result"].take();
    assert_eq!(result["resultType"], "input_required", "{result}");
    result
}

#[tokio::test]
async fn a_client_comes_back_with_its_answers_to_any_replica() {
    let site = Site::new().await;
    let questions = json!({ "who": form(), "what": sampling(), "where": roots() });
    let mut request = asking(&[questions.clone(), json!({ "more": form() })]);
    let first = asked(&site.one, &request).await;
    assert_eq!(first["inputRequests"], questions);
    assert!(!first["requestState"].as_str().unwrap().contains("round"));
    // Nothing but the arguments has to be the same, and they only in their meaning.
    request["params"]["_meta"]["progressToken"] = 7.into();
    let second = asked(
        &site.two,
        &again(&request, &first, json!({ "who": accepted() })),
    )
    .await;
    assert_ne!(first["requestState"], second["requestState"]);
    let last = again(
        &request,
        &second,
        json!({ "more": accepted(), "extra": { "n": 1.0 } }),
    );
    let answer = site.one.client().modern(&last).await.json();
    let told = &answer["result"]["structuredContent"];
    assert_eq!(told["state"], "round-2");
    assert_eq!(told["responses"], last["params"]["inputResponses"]);
}

#[tokio::test]
async fn a_worker_gets_its_own_state_and_every_other_byte_as_it_was() {
    let site = Site::new().await;
    let request = asking(&[json!({ "who": form() })]);
    let first = asked(&site.one, &request).await;
    let token = first["requestState"].as_str().unwrap();
    let text = again(&request, &first, json!({})).to_string();
    let text = text.replace(
        "\"inputResponses\":{}",
        "\"inputResponses\" : {\"who\":{\"n\":1.0e0}}",
    );
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "lab_asks"),
    ];
    let answer = site.two.client().post(&headers, &text).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let sent = site.worker.calls().pop().unwrap().body;
    assert_eq!(sent, text.replace(token, "round-1"));
}

#[tokio::test]
async fn a_prompt_asks_too() {
    let site = Site::new().await;
    let mut request = asking(&[json!({ "who": form() })]);
    request["method"] = "prompts/get".into();
    let first = asked(&site.one, &request).await;
    let last = again(&request, &first, json!({ "who": accepted() }));
    let answer = site.two.client().modern(&last).await.json();
    let told = answer["result"]["description"].as_str().unwrap();
    assert!(
        told.contains("round-1") && told.contains("Alice"),
        "{answer}"
    );
    let mut as_tool = last;
    as_tool["method"] = "tools/call".into();
    let refused = site.two.client().modern(&as_tool).await;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::BAD_REQUEST, -32602)
    );
}

/// A request that is refused as invalid and seen by no worker.
async fn check_refused(site: &Site, what: &str, body: &Value, says: &str) {
    let before = site.worker.calls().len();
    let answer = site.two.client().modern(body).await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::BAD_REQUEST, -32602),
        "{what}"
    );
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains(says), "{what}: {message}");
    assert_eq!(site.worker.calls().len(), before, "{what}");
}

#[tokio::test]
async fn a_state_is_good_for_its_request_only() {
    let site = Site::new().await;
    let request = asking(&[json!({ "who": form() })]);
    let first = asked(&site.one, &request).await;
    let good = again(&request, &first, json!({ "who": accepted() }));
    let token = first["requestState"].as_str().unwrap();
    let other = "was not made for this request";
    for (what, pointer, value, says) in [
        ("another tool", "/name", json!("lab_echo"), other),
        (
            "other arguments",
            "/arguments",
            json!({ "asks": "[]" }),
            other,
        ),
        ("no arguments", "/arguments", json!({}), other),
        (
            "tampered",
            "/requestState",
            json!(format!("{token}-TAMPERED")),
            other,
        ),
        (
            "cut",
            "/requestState",
            json!(token[..token.len() - 2]),
            other,
        ),
        ("the worker's own", "/requestState", json!("round-1"), other),
        ("no string", "/requestState", json!(1), "string"),
        ("null", "/requestState", Value::Null, "string"),
        (
            "no answers",
            "/inputResponses",
            Value::Null,
            "inputResponses",
        ),
    ] {
        let mut body = good.clone();
        *body["params"].pointer_mut(pointer).unwrap() = value;
        check_refused(&site, what, &body, says).await;
    }
    let answer = site.two.client().modern(&good).await;
    assert_eq!(
        answer.json()["result"]["structuredContent"]["state"],
        "round-1"
    );
}

/// Whether the answer of a client with these headers, and with this name, is taken at the other
/// replica.
async fn is_taken(site: &Site, good: &Value, authorization: Option<&str>, name: &str) -> bool {
    let mut body = good.clone();
    body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["name"] = name.into();
    let (headers, body) = (headers_of(authorization), body.to_string());
    let answer = site.two.client().post(&headers, &body).await.json();
    if let Some(message) = answer["error"]["message"].as_str() {
        assert!(
            message.contains("was not made for this request"),
            "{message}"
        );
    }
    answer["result"]["structuredContent"]["state"] == "round-1"
}

fn headers_of(authorization: Option<&str>) -> Vec<(&str, &str)> {
    let mut headers = vec![
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "lab_asks"),
    ];
    headers.extend(authorization.map(|value| ("authorization", value)));
    headers
}

#[tokio::test]
async fn a_state_is_good_for_its_caller_only() {
    let site = Site::new().await;
    let mut request = asking(&[json!({ "who": form() })]);
    request["params"]["_meta"]["io.modelcontextprotocol/clientInfo"] =
        json!({ "name": "a", "version": "1" });
    let asked = async |authorization| {
        let (headers, body) = (headers_of(authorization), request.to_string());
        let answer = site.one.client().post(&headers, &body).await;
        let result = answer.json()["result"].take();
        again(&request, &result, json!({ "who": accepted() }))
    };
    let of_x = asked(Some("Bearer x")).await;
    assert!(!is_taken(&site, &of_x, Some("Bearer y"), "a").await);
    assert!(!is_taken(&site, &of_x, None, "a").await);
    assert!(is_taken(&site, &of_x, Some("Bearer x"), "a").await);
    let of_a = asked(None).await;
    assert!(!is_taken(&site, &of_a, None, "b").await);
    assert!(!is_taken(&site, &of_a, Some("Bearer x"), "a").await);
    assert!(is_taken(&site, &of_a, None, "a").await);
}

#[tokio::test]
async fn a_gateway_with_another_key_refuses_the_state() {
    let bus = MemoryBus::new();
    let _worker = Worker::start(&bus).await;
    let (one, two) = (Gate::http(&bus).await, Gate::http(&bus).await);
    one.lists("lab_asks").await;
    two.lists("lab_asks").await;
    let request = asking(&[json!({ "who": form() })]);
    let first = asked(&one, &request).await;
    let answer = two
        .client()
        .modern(&again(&request, &first, json!({})))
        .await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::BAD_REQUEST, -32602)
    );
}

#[tokio::test]
async fn a_client_is_not_asked_what_it_does_not_declare() {
    let site = Site::new().await;
    let mut request = asking(&[json!({ "who": form(), "where": roots() })]);
    request["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
        json!({ "elicitation": {} });
    let answer = site.one.client().modern(&request).await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::BAD_REQUEST, -32021)
    );
    let data = &answer.json()["error"]["data"];
    assert_eq!(data["requiredCapabilities"], json!({ "roots": {} }));
}

#[tokio::test]
async fn a_worker_that_asks_wrongly_is_named_as_the_fault() {
    let site = Site::new().await;
    let long = format!(
        r#"{{"resultType":"input_required","requestState":"{}"}}"#,
        "s".repeat(65_536)
    );
    for result in [r#"{"resultType":"input_required"}"#, &long] {
        let answer = site
            .one
            .client()
            .call("lab_text", json!({ "result": result }))
            .await;
        assert_eq!(answer.code(), -32603);
        let message = answer.json()["error"]["message"].to_string();
        assert!(
            message.contains("lab_text") && message.contains("its fault"),
            "{message}"
        );
    }
}
