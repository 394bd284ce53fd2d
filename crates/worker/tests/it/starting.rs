use std::sync::Arc;

use bus::Queue;
use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use service::{Process, Settings};
use worker::{Context, Host, Tool};

use crate::gate::{Gate, until};
use crate::lab::{self, Text};
use crate::site::{Site, category, worker};

#[tokio::test]
async fn a_worker_is_ready_while_it_consumes() {
    let mut site = Site::new().await;
    site.memory.go_away();
    site.spawn(lab::worker(), Arc::new(site.memory.clone()));
    until("the worker to be known to health", async || {
        site.process
            .health
            .report()
            .components
            .contains_key("lab worker")
    })
    .await;
    assert!(!site.process.health.is_ready());
    let reason = site.process.health.report().components["lab worker"]
        .reason
        .clone();
    assert!(reason.unwrap().contains("no consumer has a connection"));
    site.memory.come_back();
    until("the worker to be ready", async || {
        site.process.health.is_ready()
    })
    .await;
    assert_eq!(site.consumers().await, 1);
    site.memory.go_away();
    until("the worker to be down", async || {
        !site.process.health.is_ready()
    })
    .await;
    site.memory.come_back();
    until("the worker to be ready again", async || {
        site.process.health.is_ready()
    })
    .await;
    site.process.shutdown.cancel();
    site.ended().await.unwrap();
    assert!(!site.process.health.is_ready());
}

#[tokio::test]
async fn settings_give_consumers_prefetch_and_prefix() {
    let gate = Gate::new();
    let settings = Settings {
        amqp_workers: "2".parse().unwrap(),
        amqp_prefetch_count: Some("3".parse().unwrap()),
        ..Settings::default()
    };
    let mut site = Site::new().await;
    site.process = Process::new("test", settings);
    site.start(worker(9, [gate.tool("hold")])).await;
    until("both consumers", async || site.consumers().await == 2).await;
    for id in 0..8 {
        site.call(&id.to_string(), "hold").await;
    }
    for _ in 0..6 {
        gate.entered().await;
    }
    assert_eq!((gate.runs(), site.queued().await), (6, 2));

    let settings = Settings {
        amqp_queue_prefix: "discovery.dc1".parse().unwrap(),
        ..Settings::default()
    };
    let mut site = Site::new().await;
    site.process = Process::new("test", settings);
    site.spawn(lab::worker(), Arc::new(site.memory.clone()));
    until("a queue of the site", async || {
        let queue = bus::Bus::queue_state(&site.memory, "discovery.dc1.tools.lab").await;
        queue.unwrap().is_some_and(|state| state.consumers == 1)
    })
    .await;
}

/// A target.
#[derive(Debug, Deserialize, JsonSchema)]
struct Target {
    /// Where.
    host: Host,
}

#[tokio::test]
async fn settings_give_scope_and_site() {
    let touch = Tool::new("touch", async |context: Context, target: Target| {
        let addresses = context.scope().resolve(&target.host).await?;
        let text = format!("{addresses:?} at {}", context.host().site);
        Ok::<_, ToolError>(Text { text })
    });
    let settings = Settings {
        discovery_site: "dc-1".parse().unwrap(),
        scan_scope_allow: "192.0.2.0/24".parse().unwrap(),
        scan_scope_deny: "192.0.2.7".parse().unwrap(),
        ..Settings::default()
    };
    let mut site = Site::new().await;
    site.process = Process::new("test", settings);
    site.start(worker(1, [touch])).await;
    let touched = async |site: &mut Site, host: &str| {
        site.publish(site.request("a", "touch", &json!({"host": host})))
            .await;
        site.reply().await
    };
    assert_eq!(
        touched(&mut site, "192.0.2.1").await.text(),
        "[192.0.2.1] at dc-1"
    );
    for host in ["127.0.0.1", "192.0.2.7", "::ffff:192.0.2.7"] {
        assert_eq!(
            touched(&mut site, host).await.failure(),
            "out_of_scope",
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_queue_of_another_version_ends_the_worker_with_how_to_migrate() {
    let mut site = Site::new().await;
    let mut other = Queue::work(&site.names, &category());
    other.max_length = None;
    site.declare(&other).await;
    site.spawn(lab::worker(), Arc::new(site.memory.clone()));
    let exit = site.ended().await.unwrap_err().into_exit();
    assert_eq!(exit.code(), 69);
    let text = exit.to_string();
    assert!(
        text.contains("mcp.discovery.tools.lab") && text.contains("fix:"),
        "{text}"
    );
}

#[tokio::test]
async fn attempts_that_are_used_up_end_the_worker() {
    let settings = Settings {
        amqp_max_reconnect_attempts: Some("2".parse().unwrap()),
        amqp_reconnect_delay: "1ms".parse().unwrap(),
        ..Settings::default()
    };
    let mut site = Site::new().await;
    site.process = Process::new("test", settings);
    site.memory.go_away();
    site.spawn(lab::worker(), Arc::new(site.memory.clone()));
    let exit = site.ended().await.unwrap_err().into_exit();
    assert_eq!(exit.code(), 69);
    let text = exit.to_string();
    assert!(
        text.contains("2 attempts") && text.contains("AMQP_URL"),
        "{text}"
    );
}

#[tokio::test]
async fn a_faulty_declaration_ends_the_worker_before_it_consumes() {
    let mut site = Site::new().await;
    let tool = Gate::new().tool("no name");
    site.spawn(worker(1, [tool]), Arc::new(site.memory.clone()));
    let exit = site.ended().await.unwrap_err().into_exit();
    assert_eq!(exit.code(), 70);
    assert!(exit.to_string().contains("no name"), "{exit}");
}
