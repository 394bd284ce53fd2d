//! Resources: a text, a picture, one to watch, and a template.

use std::time::Duration;

use serde_json::json;
use worker::{Contents, Context, Resource, ResourceRequest, ResourceTemplate, Stop};

use super::media::PNG;

/// How long a client may keep what never changes.
const KEEP: Duration = Duration::from_mins(1);

pub(super) fn resources() -> Vec<Resource> {
    vec![
        Resource::new("test://static-text", "Static text", text)
            .description("A text that never changes.")
            .mime_type("text/plain")
            .cache(KEEP, true),
        Resource::new("test://static-binary", "Static picture", async |_, _| {
            Ok::<_, Stop>(Contents::blob("image/png", PNG))
        })
        .description("A picture that never changes.")
        .mime_type("image/png")
        .cache(KEEP, true),
        Resource::new("test://watched-resource", "Watched text", async |_, _| {
            Ok::<_, Stop>(Contents::text("text/plain", "Worth to be watched."))
        })
        .description("A text to subscribe to.")
        .mime_type("text/plain"),
    ]
}

async fn text(_: Context, _uri: String) -> Result<Contents, Stop> {
    let text = "This is the content of the static text resource.";
    Ok(Contents::text("text/plain", text))
}

pub(super) fn template() -> ResourceTemplate {
    ResourceTemplate::new("test://template/{id}/data", "Data of an id", data)
        .description("An object that names its id.")
        .mime_type("application/json")
}

async fn data(_: Context, request: ResourceRequest) -> Result<Contents, Stop> {
    let id = request.variables.get("id").map_or("", String::as_str);
    let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
    Ok(Contents::text("application/json", data.to_string()))
}
