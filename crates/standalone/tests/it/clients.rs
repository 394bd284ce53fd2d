//! Clients that others wrote.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::process::binary;
use testkit::python::visit;

use crate::site::{Site, embedded};

/// How long a visit may take, the client's own start included.
const VISIT: Duration = Duration::from_mins(1);
/// The revisions that the client speaks, as it calls them.
const MODES: [&str; 2] = ["legacy", "2026-07-28"];

/// Visits a server in both modes, pings through it and checks everything that it says.
async fn check(server: &[&str], tools: &[Value]) {
    for mode in MODES {
        let ping = ["--call", "ping", "--arguments", r#"{"host":"127.0.0.1"}"#];
        let args = [&["--mode", mode], &ping[..], server].concat();
        let report = visit(&args, VISIT).await.unwrap();
        println!("{report}");
        let names: Vec<&Value> = tools.iter().map(|tool| &tool["name"]).collect();
        assert_eq!(report["tools"], json!(names), "{report}");
        let result = &report["result"];
        assert_eq!(result["isError"], false, "{report}");
        check_round_trips(&result["structuredContent"]);
        let ping = tools.iter().find(|tool| tool["name"] == "ping").unwrap();
        let schema = jsonschema::draft202012::new(&ping["outputSchema"]).unwrap();
        schema.validate(&result["structuredContent"]).unwrap();
        assert_eq!(report["progress"], json!([1.0, 2.0, 3.0, 4.0]), "{report}");
    }
}

/// Four replies that took their time, which is short on loopback and never nothing.
fn check_round_trips(result: &Value) {
    assert_eq!(result["address"], "127.0.0.1", "{result}");
    assert_eq!([&result["sent"], &result["received"]], [4, 4], "{result}");
    let replies = result["replies"].as_array().unwrap();
    let times: Vec<f64> = replies
        .iter()
        .map(|reply| reply["rtt_ms"].as_f64().unwrap())
        .collect();
    assert!(times.iter().all(|ms| *ms > 0.0 && *ms < 1000.0), "{result}");
    let rtt = |key: &str| result["rtt_ms"][key].as_f64().unwrap();
    let shortest = times.iter().copied().fold(f64::INFINITY, f64::min);
    let longest = times.iter().copied().fold(0.0, f64::max);
    assert_eq!((rtt("min"), rtt("max")), (shortest, longest), "{result}");
    assert!((rtt("min")..=rtt("max")).contains(&rtt("avg")), "{result}");
}

#[tokio::test]
async fn python_client_pings_over_http_embedded() {
    let platform = embedded().await;
    check(&["--url", &platform.url()], &platform.tools().await).await;
}

#[tokio::test]
async fn python_client_pings_over_http_through_rabbitmq() {
    let site = Site::new().await;
    let _worker = site.worker().await;
    let gateway = site.gateway().await;
    gateway.lists("ping").await;
    check(&["--url", &gateway.url()], &gateway.tools().await).await;
}

#[tokio::test]
async fn python_client_pings_over_stdio_embedded() {
    let program = binary("cli", "discovery").await.unwrap();
    let program = program.to_str().unwrap();
    let tools = embedded().await.tools().await;
    let stdio = ["--env", "TRANSPORT_MODE=stdio", "--"];
    check(&[&stdio[..], &[program, "up"]].concat(), &tools).await;
}

#[tokio::test]
async fn python_client_pings_over_stdio_through_rabbitmq() {
    let program = binary("gateway", "discovery-gateway").await.unwrap();
    let program = program.to_str().unwrap();
    let site = Site::new().await;
    let _worker = site.worker().await;
    let gateway = site.gateway().await;
    gateway.lists("ping").await;
    let broker = format!("AMQP_URL={}", site.url());
    let stdio = ["--env", "TRANSPORT_MODE=stdio", "--env", &broker, "--"];
    check(&[&stdio[..], &[program]].concat(), &gateway.tools().await).await;
}
