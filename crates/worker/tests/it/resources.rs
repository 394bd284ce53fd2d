use std::time::Duration;

use protocol::mcp::method::{COMPLETE, RESOURCES_READ};
use protocol::{ErrorCode, ToolError};
use serde_json::{Value, json};
use worker::{
    CompletionRequest, Contents, Context, Resource, ResourceRequest, ResourceTemplate, Stop, Worker,
};

use crate::lab;
use crate::site::{Reply, Site};

async fn text(_: Context, uri: String) -> Result<Contents, ToolError> {
    Ok(Contents::text("text/plain", format!("of {uri}")))
}

async fn by_id(_: Context, request: ResourceRequest) -> Result<Contents, Stop> {
    match request.variables["id"].as_str() {
        "absent" => Err(Stop::unknown_resource(&request.uri)),
        id => {
            let text = json!({"id": id, "uri": request.uri}).to_string();
            Ok(Contents::text("application/json", text))
        }
    }
}

async fn ids(_: Context, request: CompletionRequest) -> Result<Vec<String>, ToolError> {
    Ok(vec![format!("{}1", request.value)])
}

fn worker() -> Worker {
    let parts = async |_: Context, _: String| {
        let bytes = Contents::blob("image/png", [0xff, 0x00]).uri("test://parts/2");
        Ok::<_, ToolError>(Contents::text("", "one").and(bytes))
    };
    let failing = async |_: Context, _: String| {
        Err::<Contents, _>(ToolError::new(ErrorCode::Unreachable, "the disk is gone"))
    };
    lab::worker()
        .resource(
            Resource::new("test://text", "text", text)
                .title("Text")
                .description("A text.")
                .mime_type("text/plain")
                .size(15)
                .annotations(json!({"priority": 0.5}))
                .cache(Duration::from_secs(3), true),
        )
        .resource(Resource::new("test://parts", "parts", parts))
        .resource(Resource::new("test://things/special/data", "special", text))
        .resource(Resource::new("test://failing", "failing", failing))
        .resource_template(
            ResourceTemplate::new("test://things/{id}/data", "thing", by_id)
                .title("Thing")
                .description("A thing.")
                .mime_type("application/json")
                .cache(Duration::from_millis(1), false)
                .complete("id", ids),
        )
        .resource_template(ResourceTemplate::new("test://{+id}", "anything", by_id))
}

async fn read(uri: &str) -> Reply {
    let mut site = Site::with(worker()).await;
    let reply = site.ask(RESOURCES_READ, uri, &json!({ "uri": uri })).await;
    site.all_is_settled().await;
    reply
}

#[tokio::test]
async fn a_resource_is_read_with_how_long_it_may_be_kept() {
    assert_eq!(
        *read("test://text").await.result(),
        json!({
            "resultType": "complete",
            "contents": [
                {"uri": "test://text", "mimeType": "text/plain", "text": "of test://text"},
            ],
            "ttlMs": 3000,
            "cacheScope": "public",
        })
    );
    assert_eq!(
        *read("test://parts").await.result(),
        json!({
            "resultType": "complete",
            "contents": [
                {"uri": "test://parts", "text": "one"},
                {"uri": "test://parts/2", "mimeType": "image/png", "blob": "/wA="},
            ],
            "ttlMs": 0,
            "cacheScope": "private",
        })
    );
}

#[tokio::test]
async fn the_first_template_that_fits_is_read_where_no_resource_is() {
    let contents = async |uri: &str| read(uri).await.result()["contents"][0].clone();
    let uri = "test://things/a%20b/data";
    let thing = contents(uri).await;
    let text: Value = serde_json::from_str(thing["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, json!({"id": "a b", "uri": uri}));
    assert_eq!(
        (&thing["uri"], &thing["mimeType"]),
        (&json!(uri), &json!("application/json"))
    );
    let special = contents("test://things/special/data").await;
    assert_eq!(special["text"], "of test://things/special/data");
    let other = contents("test://a/b").await;
    assert!(
        other["text"].as_str().unwrap().contains("\"a/b\""),
        "{other}"
    );
}

#[tokio::test]
async fn a_resource_that_is_not_there_is_an_error_with_its_uri() {
    for uri in ["other://text", "test://things/absent/data"] {
        let reply = read(uri).await;
        let (code, message) = reply.error();
        assert_eq!(code, -32602);
        assert!(message.contains(uri), "{message}");
        assert_eq!(reply.body["error"]["data"], json!({ "uri": uri }));
    }
}

#[tokio::test]
async fn a_resource_that_cannot_be_read_is_an_error() {
    let reply = read("test://failing").await;
    assert_eq!(reply.error().0, -32603);
    assert_eq!(reply.body["error"]["data"]["error"]["code"], "unreachable");
}

#[tokio::test]
async fn values_of_a_variable_are_suggested() {
    let mut site = Site::with(worker()).await;
    for (uri, variable, expected) in [
        ("test://things/{id}/data", "id", json!(["a1"])),
        ("test://things/7/data", "id", json!(["a1"])),
        ("test://things/{id}/data", "other", json!([])),
        ("test://{+id}", "id", json!([])),
        ("test://text", "id", json!([])),
    ] {
        let params = json!({
            "ref": {"type": "ref/resource", "uri": uri},
            "argument": {"name": variable, "value": "a"},
        });
        let reply = site.ask(COMPLETE, uri, &params).await;
        assert_eq!(reply.result()["completion"]["values"], expected, "{uri}");
    }
}

#[tokio::test]
async fn resources_and_templates_are_announced() {
    let mut site = Site::new().await;
    site.spawn(worker(), std::sync::Arc::new(site.memory.clone()));
    let news = site.news().await;
    let uris: Vec<&Value> = news["params"]["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|resource| &resource["uri"])
        .collect();
    assert_eq!(
        uris,
        [
            "test://failing",
            "test://parts",
            "test://text",
            "test://things/special/data"
        ]
    );
    assert_eq!(
        news["params"]["resources"][2],
        json!({
            "uri": "test://text",
            "name": "text",
            "title": "Text",
            "description": "A text.",
            "mimeType": "text/plain",
            "size": 15,
            "annotations": {"priority": 0.5},
            "_meta": {"opendiscovery/category": "lab"},
        })
    );
    assert_eq!(
        news["params"]["resource_templates"],
        json!([
            {
                "uriTemplate": "test://things/{id}/data",
                "name": "thing",
                "title": "Thing",
                "description": "A thing.",
                "mimeType": "application/json",
                "_meta": {"opendiscovery/category": "lab"},
            },
            {
                "uriTemplate": "test://{+id}",
                "name": "anything",
                "_meta": {"opendiscovery/category": "lab"},
            },
        ])
    );
}

#[test]
fn a_resource_that_no_client_could_use_is_refused() {
    let refused = |worker: Worker, why: &str| {
        let error = worker.check().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    let resource = |uri: &str| Resource::new(uri, "name", text);
    refused(lab::worker().resource(resource("text")), "no scheme");
    refused(lab::worker().resource(resource("a b:x")), "no scheme");
    refused(
        lab::worker().resource(resource("test://a b")),
        "percent-encode",
    );
    refused(
        lab::worker().resource(Resource::new("x:", "", text)),
        "name is empty",
    );
    let strange = resource("x:").annotations(json!([]));
    refused(lab::worker().resource(strange), "annotations");
    refused(
        lab::worker()
            .resource(resource("x:"))
            .resource(resource("x:")),
        "twice",
    );
    let template = |text: &str| ResourceTemplate::new(text, "name", by_id);
    refused(
        lab::worker().resource_template(template("x:{?a}")),
        "neither",
    );
    refused(
        lab::worker().resource_template(template("{a}:x")),
        "no scheme",
    );
    let nothing = template("x:{a}").complete("b", ids);
    refused(lab::worker().resource_template(nothing), "no variable");
    let twice = lab::worker().resource_template(template("x:{a}"));
    refused(twice.resource_template(template("x:{a}")), "twice");
}
