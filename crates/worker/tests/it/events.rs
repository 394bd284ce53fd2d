use bus::{Binding, Queue};
use protocol::{Change, Event, ToolError, headers};
use serde_json::json;
use service::{Process, Settings};
use worker::{Context, Tool, Worker};

use crate::lab::{self, Nothing, Text};
use crate::site::{Site, Taking, category};

fn worker() -> Worker {
    let tell = async |context: Context, _: Nothing| {
        context.notify(Change::ToolsListChanged);
        let uri = "test://watched".to_owned();
        context.notify(Change::ResourceUpdated { uri });
        let text = "told".to_owned();
        Ok::<_, ToolError>(Text { text })
    };
    lab::worker().tool(Tool::new("tell", tell))
}

async fn listen(site: &Site) -> Taking {
    let binding = Binding {
        exchange: site.names.events_exchange().to_owned(),
        pattern: site.names.event_key("#"),
    };
    site.take(&Queue::exclusive("events", vec![binding])).await
}

async fn next(events: &mut Taking) -> (String, Event) {
    let delivery = events.next().await;
    let event = serde_json::from_slice(&delivery.message.body).unwrap();
    delivery.ack().await.unwrap();
    (delivery.routing_key, event)
}

#[tokio::test]
async fn a_change_is_an_event_of_the_worker() {
    let mut site = Site::new().await;
    let settings = Settings {
        discovery_site: "dc-1".parse().unwrap(),
        ..Settings::default()
    };
    site.process = Process::new("test", settings);
    let mut events = listen(&site).await;
    site.start(worker()).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut request = site.request("a", "tell", &json!({}));
    request.message.headers.insert(headers::TRACEPARENT, trace);
    site.publish(request).await;
    assert_eq!(site.reply().await.text(), "told");

    let (key, first) = next(&mut events).await;
    assert_eq!(key, "mcp.discovery.events.tools.list_changed");
    assert_eq!(first.change(), Some(Change::ToolsListChanged));
    let (key, second) = next(&mut events).await;
    assert_eq!(key, "mcp.discovery.events.resources.updated");
    assert_eq!(second.subject.as_deref(), Some("test://watched"));
    for event in [&first, &second] {
        assert_eq!(event.specversion, "1.0");
        assert!(
            event.source.starts_with(&format!("/{}/", category())),
            "{event:?}"
        );
        assert_eq!(event.site.as_deref(), Some("dc-1"));
        assert_eq!(event.traceparent.as_deref(), Some(trace));
        let time = event.time.as_deref().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
        assert_eq!(event.id.parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
    }
    assert_eq!(first.source, second.source);
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn a_worker_that_stops_publishes_its_last_events() {
    let mut site = Site::new().await;
    let mut events = listen(&site).await;
    site.start(worker()).await;
    site.call("a", "tell").await;
    assert_eq!(site.reply().await.text(), "told");
    site.all_is_settled().await;
    assert_eq!(
        next(&mut events).await.1.change(),
        Some(Change::ToolsListChanged)
    );
    assert!(next(&mut events).await.1.subject.is_some());
}
