//! Clients that are asked on the stream of their call, over HTTP.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::*;

/// A client of the `initialize` era.
struct Session {
    id: String,
    version: &'static str,
}

/// The stream of a call.
struct Stream {
    open: Open,
    rest: String,
}

impl Session {
    async fn open(gate: &Gate, version: &'static str, capabilities: Value) -> Self {
        let mut body = initialize(version);
        body["params"]["capabilities"] = capabilities;
        let answer = gate.client().post(&[], &body.to_string()).await;
        let id = answer.headers["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let session = Self { id, version };
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(
            session.post(gate, &initialized).await.status,
            StatusCode::ACCEPTED
        );
        session
    }

    fn headers(&self) -> [(&str, &str); 2] {
        [
            ("mcp-session-id", &self.id),
            ("mcp-protocol-version", self.version),
        ]
    }

    async fn post(&self, gate: &Gate, body: &Value) -> Answer {
        gate.client().post(&self.headers(), &body.to_string()).await
    }

    async fn stream(&self, gate: &Gate, body: &Value) -> Stream {
        let open = gate
            .client()
            .open_post(&self.headers(), &body.to_string())
            .await;
        assert_eq!(open.headers["content-type"], "text/event-stream");
        let rest = String::new();
        Stream { open, rest }
    }

    /// Answers a request of the server.
    async fn answer(&self, gate: &Gate, request: &Value, result: Value) {
        let body = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result });
        let answer = self.post(gate, &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    }
}

impl Stream {
    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        tokio::time::timeout(PATIENCE, self.read())
            .await
            .expect("a message in time")
    }

    async fn read(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let (message, rest) = (events(event).pop(), rest.to_owned());
                self.rest = rest;
                if message.is_some() {
                    return message;
                }
            } else {
                let piece = self.open.piece().await?;
                self.rest.push_str(std::str::from_utf8(&piece).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn a_client_is_asked_on_the_stream_of_its_call_and_answers_at_any_replica() {
    let site = Site::new().await;
    let session = Session::open(&site.one, "2025-11-25", all_capabilities()).await;
    let questions = json!({ "who": form(), "what": sampling(), "where": roots() });
    let body = legacy_call(5, "lab_asks", asks(std::slice::from_ref(&questions)));
    let mut stream = session.stream(&site.one, &body).await;
    for (key, gate) in [
        ("who", &site.two),
        ("what", &site.one),
        ("where", &site.two),
    ] {
        let request = stream.next().await.unwrap();
        let question = questions
            .as_object()
            .unwrap()
            .iter()
            .find(|(_, question)| question["method"] == request["method"]);
        let (asked, question) = question.unwrap();
        assert_eq!(request["params"], question["params"], "{key}");
        session.answer(gate, &request, json!({ "of": asked })).await;
    }
    let last = stream.next().await.unwrap();
    assert_eq!(last["id"], 5);
    let told = &last["result"]["structuredContent"];
    assert_eq!(told["state"], "round-1");
    for key in ["who", "what", "where"] {
        assert_eq!(told["responses"][key], json!({ "of": key }));
    }
    assert!(last["result"].get("resultType").is_none());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_worker_that_asks_again_gets_the_answers_of_that_round() {
    let site = Site::new().await;
    let session = Session::open(&site.one, "2025-11-25", all_capabilities()).await;
    let rounds = [json!({ "first": form() }), json!({ "second": form() })];
    let body = legacy_call(5, "lab_asks", asks(&rounds));
    let mut stream = session.stream(&site.one, &body).await;
    let first = stream.next().await.unwrap();
    session.answer(&site.two, &first, accepted()).await;
    let second = stream.next().await.unwrap();
    assert_ne!(first["id"], second["id"]);
    session
        .answer(&site.one, &second, json!({ "action": "decline" }))
        .await;
    let told = stream.next().await.unwrap()["result"]["structuredContent"].take();
    assert_eq!(told["state"], "round-2");
    assert_eq!(
        told["responses"],
        json!({ "second": { "action": "decline" } })
    );
    let calls = site.worker.calls();
    let params = |round: usize| {
        serde_json::from_slice::<Value>(&calls[round].body).unwrap()["params"].take()
    };
    assert!(params(0).get("requestState").is_none());
    assert_eq!(params(1)["requestState"], "round-1");
    assert_eq!(params(1)["inputResponses"], json!({ "first": accepted() }));
    assert_eq!(params(1)["arguments"], body["params"]["arguments"]);
    assert_eq!(params(1)["_meta"], params(0)["_meta"]);
    // A worker must not take a round for the one before, which it has answered.
    assert_ne!(calls[0].message_id, calls[1].message_id);
    assert_ne!(calls[1].message_id, calls[2].message_id);
}

#[tokio::test]
async fn the_rounds_of_a_call_with_a_key_are_one_call() {
    let site = Site::new().await;
    let session = Session::open(&site.one, "2025-11-25", all_capabilities()).await;
    let mut body = legacy_call(5, "lab_asks", asks(&[json!({ "who": form() })]));
    body["params"]["_meta"] = json!({ "opendiscovery/idempotencyKey": "k" });
    let mut stream = session.stream(&site.one, &body).await;
    let question = stream.next().await.unwrap();
    session.answer(&site.two, &question, accepted()).await;
    assert!(stream.next().await.unwrap()["result"].is_object());
    let calls = site.worker.calls();
    let id = calls[0].message_id.as_ref().unwrap();
    assert!(id.starts_with("key-"), "{id}");
    assert_eq!(calls[1].message_id.as_ref(), Some(id));
    assert!(
        calls
            .iter()
            .all(|call| call.headers.is_true("mcp-idempotent"))
    );
}

#[tokio::test]
async fn an_older_revision_is_asked_in_its_own_form_or_not_at_all() {
    let site = Site::new().await;
    let body = legacy_call(5, "lab_asks", asks(&[json!({ "who": form() })]));
    let session = Session::open(&site.one, "2025-06-18", all_capabilities()).await;
    let request = session.stream(&site.one, &body).await.next().await.unwrap();
    assert!(request["params"].get("mode").is_none(), "{request}");
    let session = Session::open(&site.one, "2025-03-26", all_capabilities()).await;
    let answer = session.post(&site.one, &body).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::OK, -32602));
    let error = answer.json()["error"].take();
    assert!(
        error["data"]["requiredCapabilities"]["elicitation"].is_object(),
        "{error}"
    );
    assert!(
        error["message"].as_str().unwrap().contains("2025-03-26"),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_that_refuses_ends_the_call_and_is_quoted() {
    let site = Site::new().await;
    let session = Session::open(&site.one, "2025-11-25", all_capabilities()).await;
    let body = legacy_call(
        5,
        "lab_asks",
        asks(&[json!({ "a": sampling(), "b": roots() })]),
    );
    let mut stream = session.stream(&site.one, &body).await;
    let (first, second) = (stream.next().await.unwrap(), stream.next().await.unwrap());
    let refusal = json!({ "jsonrpc": "2.0", "id": first["id"],
        "error": { "code": -1, "message": "User rejected sampling request" } });
    assert_eq!(
        session.post(&site.two, &refusal).await.status,
        StatusCode::ACCEPTED
    );
    let void = stream.next().await.unwrap();
    assert_eq!(void["method"], "notifications/cancelled");
    assert_eq!(void["params"]["requestId"], second["id"]);
    let last = stream.next().await.unwrap();
    assert_eq!(
        (&last["id"], &last["error"]["code"]),
        (&json!(5), &json!(-32603))
    );
    let message = last["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("User rejected sampling request") && message.contains("\"a\""),
        "{message}"
    );
}

#[tokio::test]
async fn only_the_session_that_was_asked_can_answer_and_only_once() {
    let site = Site::new().await;
    let session = Session::open(&site.one, "2025-11-25", all_capabilities()).await;
    let other = Session::open(&site.one, "2025-11-25", all_capabilities()).await;
    let body = legacy_call(
        5,
        "lab_asks",
        asks(&[json!({ "a": roots(), "b": roots() })]),
    );
    let mut stream = session.stream(&site.one, &body).await;
    let (first, second) = (stream.next().await.unwrap(), stream.next().await.unwrap());
    let response = json!({ "jsonrpc": "2.0", "id": first["id"], "result": {} });
    assert_eq!(
        other.post(&site.one, &response).await.status,
        StatusCode::BAD_REQUEST
    );
    session
        .answer(&site.one, &first, json!({ "roots": [] }))
        .await;
    assert_eq!(
        session.post(&site.one, &response).await.status,
        StatusCode::BAD_REQUEST
    );
    session
        .answer(&site.one, &second, json!({ "roots": [] }))
        .await;
    assert!(stream.next().await.unwrap()["result"].is_object());
}

#[tokio::test]
async fn a_cancelled_call_takes_its_requests_back() {
    let site = Site::new().await;
    let session = Session::open(&site.one, "2025-11-25", all_capabilities()).await;
    let body = legacy_call(5, "lab_asks", asks(&[json!({ "who": form() })]));
    let mut stream = session.stream(&site.one, &body).await;
    let request = stream.next().await.unwrap();
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": 5 } });
    session.post(&site.two, &cancel).await;
    let void = stream.next().await.unwrap();
    assert_eq!(void["method"], "notifications/cancelled");
    assert_eq!(void["params"]["requestId"], request["id"]);
    assert!(
        stream.next().await.is_none(),
        "a cancelled request has no answer"
    );
    let late = json!({ "jsonrpc": "2.0", "id": request["id"], "result": accepted() });
    assert_eq!(
        session.post(&site.one, &late).await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn a_session_that_ends_ends_its_questions() {
    let site = Site::new().await;
    let session = Session::open(&site.one, "2025-11-25", all_capabilities()).await;
    let body = legacy_call(5, "lab_asks", asks(&[json!({ "who": form() })]));
    let mut stream = session.stream(&site.one, &body).await;
    stream.next().await.unwrap();
    let ended = site
        .two
        .client()
        .send(Method::DELETE, &session.headers(), "")
        .await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    while stream.next().await.is_some() {}
    assert_eq!(
        site.worker.calls().len(),
        1,
        "the worker was not asked again"
    );
}

#[tokio::test]
async fn a_state_within_a_session_is_refused() {
    let site = Site::new().await;
    let session = Session::open(&site.one, "2025-11-25", all_capabilities()).await;
    for (member, value) in [
        ("requestState", json!("round-1")),
        ("inputResponses", json!({})),
    ] {
        let mut body = legacy_call(5, "lab_asks", asks(&[json!({ "who": form() })]));
        body["params"][member] = value;
        let answer = session.post(&site.one, &body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::OK, -32602),
            "{member}"
        );
    }
    assert!(site.worker.calls().is_empty());
}

#[tokio::test]
async fn a_worker_may_come_back_without_a_question_but_not_for_ever() {
    let site = Site::new().await;
    let session = Session::open(&site.one, "2025-11-25", json!({})).await;
    let check = async |rounds: usize| {
        let body = legacy_call(5, "lab_asks", asks(&vec![json!({}); rounds]));
        session.post(&site.one, &body).await.json()
    };
    let answered = check(15).await;
    assert_eq!(answered["result"]["structuredContent"]["state"], "round-15");
    let endless = check(16).await;
    assert_eq!(endless["error"]["code"], -32603, "{endless}");
}
