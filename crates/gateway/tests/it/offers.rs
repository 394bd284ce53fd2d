//! Resources, templates, prompts and completion, in both eras.

use axum::http::StatusCode;
use bus::memory::MemoryBus;
use serde_json::{Value, json};

use crate::harness::*;

const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
    ("prompts/list", "prompts"),
];

async fn served() -> (Gate, Worker) {
    let bus = MemoryBus::new();
    let worker = Worker::offering(&bus, "network", &Offer::full()).await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    (gate, worker)
}

fn with(method: &str, params: &Value) -> Value {
    let mut body = request(1, method);
    for (key, value) in params.as_object().unwrap() {
        body["params"][key] = value.clone();
    }
    body
}

fn legacy(method: &str, params: impl Into<Value>) -> Value {
    let params: Value = params.into();
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

#[tokio::test]
async fn every_list_is_served_in_both_eras_also_when_it_is_empty() {
    let gate = Gate::http(&MemoryBus::new()).await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    for (method, member) in LISTS {
        let modern = client.modern(&request(1, method)).await.json()["result"].take();
        assert_eq!(modern[member], json!([]), "{modern}");
        assert_eq!(modern["resultType"], "complete");
        assert_eq!(modern["cacheScope"], "public");
        assert!(modern["ttlMs"].is_u64());
        let before = client.legacy(&session, &legacy(method, json!({}))).await;
        let expected = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"{member}":[]}}}}"#);
        assert_eq!(before.body, expected);
    }
}

#[tokio::test]
async fn descriptors_of_every_kind_reach_clients_byte_for_byte() {
    let bus = MemoryBus::new();
    let odd = r#""new":{"n":1.0,"big":123456789012345678901234567890,"e":1E+2, "u":"\u00e4"}"#;
    let schema =
        r#"{"type":"object","$anchor":"a","dependentSchemas":{"b":false},"multipleOf":1.0}"#;
    let offer = Offer {
        tools: vec![format!(
            r#"{{ "name":"probe", "inputSchema":{schema} ,{odd}}}"#
        )],
        resources: vec![format!(r#"{{ "uri":"test://a", "name":"A" ,{odd}}}"#)],
        templates: vec![format!(
            r#"{{ "uriTemplate":"test://{{x}}", "name":"A" ,{odd}}}"#
        )],
        prompts: vec![format!(r#"{{ "name":"ask", "arguments":[] ,{odd}}}"#)],
    };
    let _worker = Worker::offering(&bus, "lab", &offer).await;
    let gate = Gate::http(&bus).await;
    gate.lists("probe").await;
    let client = gate.client();
    let session = client.session("2025-06-18").await;
    let texts = [offer.tools, offer.resources, offer.templates, offer.prompts];
    for ((method, member), text) in LISTS.into_iter().zip(texts) {
        let expected = format!(r#""{member}":[{}]"#, text[0]);
        for answer in [
            client.modern(&request(1, method)).await,
            client.legacy(&session, &legacy(method, json!({}))).await,
        ] {
            let body = String::from_utf8(answer.body.to_vec()).unwrap();
            assert!(body.contains(&expected), "{body}");
        }
    }
}

#[tokio::test]
async fn requests_reach_the_worker_under_their_names() {
    let (gate, worker) = served().await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    let prompt = json!({ "type": "ref/prompt", "name": "lab_ask" });
    let of_template = json!({ "type": "ref/resource", "uri": "test://{id}/data" });
    let of_resource = json!({ "type": "ref/resource", "uri": "test://one" });
    let argument = json!({ "name": "who", "value": "m" });
    let cases = [
        ("prompts/get", json!({ "name": "lab_ask" }), "lab_ask"),
        (
            "resources/read",
            json!({ "uri": "test://one" }),
            "test://one",
        ),
        (
            "resources/read",
            json!({ "uri": "test://5/data" }),
            "test://5/data",
        ),
        (
            "completion/complete",
            json!({ "ref": prompt, "argument": argument }),
            "lab_ask",
        ),
        (
            "completion/complete",
            json!({ "ref": of_template, "argument": argument }),
            "test://{id}/data",
        ),
        (
            "completion/complete",
            json!({ "ref": of_resource, "argument": argument }),
            "test://one",
        ),
    ];
    for (method, params, name) in cases {
        let modern = client.modern(&with(method, &params)).await;
        assert_eq!(modern.status, StatusCode::OK, "{modern:?}");
        assert_eq!(
            modern.json()["result"]["resultType"],
            "complete",
            "{modern:?}"
        );
        let before = client
            .legacy(&session, &legacy(method, params.clone()))
            .await;
        let result = before.json()["result"].take();
        assert!(result.is_object(), "{before:?}");
        for unknown in ["resultType", "ttlMs", "cacheScope"] {
            assert!(result.get(unknown).is_none(), "{method}: {result}");
        }
        for call in worker.calls().iter().rev().take(2) {
            assert_eq!(call.headers.text("mcp-method"), Some(method));
            assert_eq!(call.headers.text("mcp-name"), Some(name));
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_words_of_the_era() {
    let (gate, _worker) = served().await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    let unknown = json!({ "uri": "test://none" });
    let modern = client.modern(&with("resources/read", &unknown)).await;
    assert_eq!(
        (modern.status, modern.code()),
        (StatusCode::BAD_REQUEST, -32602)
    );
    assert_eq!(modern.json()["error"]["data"], unknown);
    let before = client
        .legacy(&session, &legacy("resources/read", unknown.clone()))
        .await;
    assert_eq!((before.status, before.code()), (StatusCode::OK, -32002));
    assert_eq!(before.json()["error"]["data"], unknown);
    // The worker of the template may find that there is no such resource, too.
    let gone = json!({ "uri": "test://gone/data" });
    let modern = client.modern(&with("resources/read", &gone)).await;
    let before = client
        .legacy(&session, &legacy("resources/read", gone.clone()))
        .await;
    assert_eq!((modern.code(), before.code()), (-32602, -32002));
    assert_eq!(before.json()["error"]["data"], gone);
    let misspelt = json!({ "name": "lab_aks" });
    for answer in [
        client.modern(&with("prompts/get", &misspelt)).await,
        client
            .legacy(&session, &legacy("prompts/get", misspelt))
            .await,
    ] {
        assert_eq!(answer.code(), -32602);
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains("did you mean lab_ask?"), "{message}");
    }
}

#[tokio::test]
async fn malformed_parameters_are_refused_with_what_is_wrong() {
    let (gate, _worker) = served().await;
    let client = gate.client();
    let session = client.session("2025-11-25").await;
    let both = [
        ("prompts/get", json!({}), "params.name"),
        ("resources/read", json!({}), "params.uri"),
        (
            "resources/read",
            json!({ "uri": format!("test://{}", "x".repeat(9000)) }),
            "longer",
        ),
        ("completion/complete", json!({}), "params.ref"),
        ("completion/complete", json!({ "ref": "x" }), "params.ref"),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/tool" } }),
            "ref/prompt",
        ),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt" } }),
            "params.ref.name",
        ),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/prompt", "name": "zz" } }),
            "Unknown prompt: zz",
        ),
        (
            "completion/complete",
            json!({ "ref": { "type": "ref/resource", "uri": "a:b" } }),
            "Resource not found",
        ),
        ("resources/list", json!({ "cursor": "dHQwOTk" }), "cursor"),
    ];
    let before = [
        ("logging/setLevel", json!({}), "params.level"),
        (
            "logging/setLevel",
            json!({ "level": "loud" }),
            "debug, info",
        ),
        ("resources/subscribe", json!({}), "params.uri"),
        ("resources/unsubscribe", json!({ "uri": 1 }), "params.uri"),
    ];
    for (method, params, expected) in &both {
        let answer = client.modern(&with(method, params)).await;
        check(&answer, expected);
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    for (method, params, expected) in both.into_iter().chain(before) {
        check(
            &client.legacy(&session, &legacy(method, params)).await,
            expected,
        );
    }
}

fn check(answer: &Answer, expected: &str) {
    assert_eq!(answer.code(), -32602, "{answer:?}");
    let message = answer.json()["error"]["message"].to_string();
    assert!(message.contains(expected), "{message} lacks {expected}");
}

#[tokio::test]
async fn a_session_sets_its_log_level_and_its_subscriptions() {
    let gate = Gate::http(&MemoryBus::new()).await;
    let client = gate.client();
    let session = client.session("2025-06-18").await;
    for (method, params) in [
        ("ping", json!({})),
        ("logging/setLevel", json!({ "level": "debug" })),
        ("resources/subscribe", json!({ "uri": "test://watched" })),
        ("resources/unsubscribe", json!({ "uri": "test://watched" })),
        ("resources/unsubscribe", json!({ "uri": "test://never" })),
    ] {
        let answer = client.legacy(&session, &legacy(method, params)).await;
        assert_eq!(
            answer.body, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            "{method}"
        );
    }
}

#[tokio::test]
async fn an_unknown_log_level_of_a_request_is_refused() {
    let (gate, _worker) = served().await;
    let mut body = call(1, "ping", json!({}));
    body["params"]["_meta"]["io.modelcontextprotocol/logLevel"] = "loud".into();
    let answer = gate.client().modern(&body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    check(&answer, "io.modelcontextprotocol/logLevel");
    body["params"]["_meta"]["io.modelcontextprotocol/logLevel"] = "error".into();
    assert_eq!(gate.client().modern(&body).await.status, StatusCode::OK);
}

#[tokio::test]
async fn long_lists_come_in_pages_each_with_its_own_cursors() {
    let bus = MemoryBus::new();
    let uris: Vec<String> = (0..150).map(|n| format!("test://{n:03}")).collect();
    let offer = Offer {
        tools: vec![descriptor("probe")],
        resources: uris.iter().map(|uri| resource(uri)).collect(),
        ..Offer::default()
    };
    let _worker = Worker::offering(&bus, "lab", &offer).await;
    let gate = Gate::http(&bus).await;
    gate.lists("probe").await;
    let client = gate.client();
    let first = client.modern(&request(1, "resources/list")).await.json()["result"].take();
    let cursor = json!({ "cursor": first["nextCursor"] });
    let second = client.modern(&with("resources/list", &cursor)).await.json()["result"].take();
    assert!(second.get("nextCursor").is_none());
    let listed: Vec<&str> = [&first, &second]
        .into_iter()
        .flat_map(|page| page["resources"].as_array().unwrap())
        .map(|resource| resource["uri"].as_str().unwrap())
        .collect();
    assert_eq!(listed, uris);
    check(
        &client.modern(&with("prompts/list", &cursor)).await,
        "cursor",
    );
}

#[tokio::test]
async fn a_deadline_beyond_a_minute_is_refused_where_no_tool_is_called() {
    let (gate, _worker) = served().await;
    let mut body = with("resources/read", &json!({ "uri": "test://one" }));
    body["params"]["_meta"]["opendiscovery/timeoutMs"] = 60_001.into();
    let answer = gate.client().modern(&body).await;
    check(&answer, "60000 ms");
    assert_eq!(answer.json()["error"]["data"]["maxTimeoutMs"], 60_000);
}

#[tokio::test]
async fn lists_follow_what_workers_offer() {
    let bus = MemoryBus::new();
    let mut worker = Worker::offering(&bus, "network", &Offer::full()).await;
    let gate = Gate::http(&bus).await;
    gate.lists("ping").await;
    let client = gate.client();
    let resources = async || {
        let result = client.modern(&request(1, "resources/list")).await.json()["result"].take();
        result["resources"].as_array().unwrap().len()
    };
    let more = Offer {
        resources: vec![resource("test://one"), resource("test://two")],
        ..Offer::full()
    };
    worker.change(&more).await;
    eventually("the second resource is listed", || async {
        resources().await == 2
    })
    .await;
    worker.leave().await;
    eventually("no resource is listed", || async { resources().await == 0 }).await;
    // It is still known, so a request waits for a worker that may come back.
    let mut read = with("resources/read", &json!({ "uri": "test://two" }));
    read["params"]["_meta"]["opendiscovery/timeoutMs"] = 50.into();
    assert_eq!(client.modern(&read).await.code(), -31003);
}
