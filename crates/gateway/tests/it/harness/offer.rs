//! What a scripted worker offers beside tools.

use protocol::Instance;
use protocol::control::Announcement;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::asks::asked;
use super::worker::scripted;

/// What a worker announces, as the JSON texts of its descriptors.
#[derive(Clone, Default)]
pub struct Offer {
    pub tools: Vec<String>,
    pub resources: Vec<String>,
    pub templates: Vec<String>,
    pub prompts: Vec<String>,
}

impl Offer {
    /// One of each, with the scripted tools.
    pub fn full() -> Self {
        Self {
            tools: scripted(),
            resources: vec![resource("test://one")],
            templates: vec![template("test://{id}/data")],
            prompts: vec![prompt("lab_ask")],
        }
    }

    pub fn announcement(&self, instance: Instance) -> Announcement {
        let raw = |texts: &[String]| -> Vec<Box<RawValue>> {
            let raw = |text: &String| RawValue::from_string(text.clone()).unwrap();
            texts.iter().map(raw).collect()
        };
        let mut announcement = Announcement {
            instance,
            version: "1.0.0".to_owned(),
            site: "default".to_owned(),
            capacity: 1000,
            encodings: Vec::new(),
            digest: String::new(),
            tools: raw(&self.tools),
            resources: raw(&self.resources),
            resource_templates: raw(&self.templates),
            prompts: raw(&self.prompts),
        };
        announcement.digest = announcement.digest();
        announcement
    }
}

/// A resource's descriptor.
pub fn resource(uri: &str) -> String {
    json!({ "uri": uri, "name": uri }).to_string()
}

/// A resource template's descriptor.
fn template(uri_template: &str) -> String {
    json!({ "uriTemplate": uri_template, "name": uri_template }).to_string()
}

/// A prompt's descriptor.
pub fn prompt(name: &str) -> String {
    json!({ "name": name, "arguments": [{ "name": "who" }] }).to_string()
}

/// The answer to what is no tool call; it tells what was asked.
pub fn answer(body: &Value) -> Value {
    let (id, params) = (&body["id"], &body["params"]);
    let mut result = match body["method"].as_str().unwrap() {
        "prompts/get" if params["name"] == "lab_asks" => {
            return json!({ "jsonrpc": "2.0", "id": id, "result": asked(params) });
        }
        "prompts/get" => json!({ "description": params["arguments"], "messages": [] }),
        "resources/read" if params["uri"] == "test://gone/data" => {
            let error =
                json!({ "code": -32602, "message": "gone", "data": { "uri": params["uri"] } });
            return json!({ "jsonrpc": "2.0", "id": id, "error": error });
        }
        "resources/read" => json!({
            "contents": [{ "uri": params["uri"], "text": "" }], "ttlMs": 5, "cacheScope": "private",
        }),
        "completion/complete" => {
            json!({ "completion": { "values": [params["argument"]["value"]] } })
        }
        other => panic!("{other} is nothing for a worker"),
    };
    result["resultType"] = "complete".into();
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}
