//! Workers that ask for input, and how clients of both eras are asked.

mod modern;
mod sessions;
mod stdio;

use bus::memory::MemoryBus;
use serde_json::{Value, json};

use crate::harness::*;

const KEY: &str = "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a";

/// Two gateways with one key, and a worker behind them.
struct Site {
    one: Gate,
    two: Gate,
    worker: Worker,
}

impl Site {
    async fn new() -> Self {
        let bus = MemoryBus::new();
        let offer = Offer {
            prompts: vec![prompt("lab_asks")],
            ..Offer::full()
        };
        let worker = Worker::offering(&bus, "network", &offer).await;
        let gate = || {
            Gate::with(&bus, |settings| {
                settings.session_key = Some(KEY.parse().unwrap());
            })
        };
        let (one, two) = (gate().await, gate().await);
        one.lists("lab_asks").await;
        two.lists("lab_asks").await;
        Self { one, two, worker }
    }
}

fn form() -> Value {
    json!({ "method": "elicitation/create", "params": {
        "mode": "form", "message": "Who?", "requestedSchema": { "type": "object" },
    }})
}

fn sampling() -> Value {
    json!({ "method": "sampling/createMessage", "params": { "messages": [], "maxTokens": 10 } })
}

fn roots() -> Value {
    json!({ "method": "roots/list" })
}

fn all_capabilities() -> Value {
    json!({ "elicitation": {}, "sampling": {}, "roots": {} })
}

fn accepted() -> Value {
    json!({ "action": "accept", "content": { "name": "Alice" } })
}
