//! A scripted worker that needs input, and one whose words are given.

use serde_json::{Value, json};

/// Arguments of `lab_asks`, a tool and a prompt: what is asked in each round.
pub fn asks(rounds: &[Value]) -> Value {
    json!({ "asks": json!(rounds).to_string() })
}

/// The result of `lab_asks`: the next question, with the number of the round as its state; after
/// the last one what came back with it.
pub fn asked(params: &Value) -> Value {
    let rounds: Value =
        serde_json::from_str(params["arguments"]["asks"].as_str().unwrap()).unwrap();
    let state = params["requestState"].as_str();
    let round = state.map_or(0, |state| {
        let round = state
            .strip_prefix("round-")
            .expect("the worker's own state");
        round.parse().unwrap()
    });
    if let Some(requests) = rounds.get(round) {
        return json!({
            "resultType": "input_required",
            "inputRequests": requests,
            "requestState": format!("round-{}", round + 1),
        });
    }
    let told = json!({ "state": state, "responses": params["inputResponses"] });
    json!({
        "resultType": "complete",
        "content": [],
        "messages": [],
        "description": told.to_string(),
        "structuredContent": told,
    })
}

/// The answer of `lab_text`: the JSON text that it is given, as its result.
pub fn given(body: &Value) -> String {
    let (id, arguments) = (&body["id"], &body["params"]["arguments"]);
    let result = arguments["result"].as_str().unwrap();
    format!(r#"{{"jsonrpc":"2.0", "id":{id},"result": {result} }}"#)
}
