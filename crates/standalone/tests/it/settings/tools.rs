//! Settings of the tools, seen by what a client gets.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use testkit::targets::{ANY_PORT, WhoisServer};

use crate::site::{Running, Site, embedded_program};

/// The embedded platform with these settings.
async fn platform(settings: &[(&str, &str)]) -> Running {
    let program = embedded_program().await;
    let program = settings
        .iter()
        .fold(program, |it, (name, value)| it.env(name, value));
    let platform = Running::gateway(program);
    platform.ready().await;
    platform.lists("ping").await;
    platform
}

async fn result(platform: &Running, tool: &str, arguments: Value) -> Value {
    platform.call(tool, arguments).await["result"]["structuredContent"].clone()
}

#[tokio::test]
async fn the_scan_scope_is_what_is_allowed_without_what_is_denied() {
    let limited = platform(&[
        ("SCAN_SCOPE_ALLOW", "127.0.0.0/29, ::1"),
        ("SCAN_SCOPE_DENY", "127.0.0.4"),
    ]);
    let (limited, open) = tokio::join!(limited, platform(&[]));
    let check = async |platform: &Running, host: &str, refused_by: Option<&str>| {
        let result = result(platform, "telnet", json!({ "host": host, "port": 1 })).await;
        match refused_by {
            // Whether the host has IPv6 at all does not matter here.
            None => assert!(
                result["error"]["code"] != "out_of_scope",
                "{host}: {result}"
            ),
            Some(setting) => {
                assert_eq!(result["error"]["code"], "out_of_scope", "{host}: {result}");
                let message = result["error"]["message"].as_str().unwrap();
                assert!(message.contains(setting), "{message}");
            }
        }
    };
    check(&limited, "127.0.0.1", None).await;
    check(&limited, "::1", None).await;
    check(&limited, "127.0.0.4", Some("SCAN_SCOPE_DENY")).await;
    check(&limited, "127.0.0.9", Some("SCAN_SCOPE_ALLOW")).await;
    check(&open, "127.0.0.4", None).await;
    check(&open, "127.0.0.9", None).await;
    check(&open, "8.8.8.8", Some("SCAN_SCOPE_ALLOW")).await;
}

#[tokio::test]
async fn whois_asks_the_servers_that_are_set() {
    let answer = |query: &str| format!("domain: {query}\nregistrar: Example\n");
    let (zone, kind) = tokio::join!(
        WhoisServer::start(ANY_PORT, answer),
        WhoisServer::start(ANY_PORT, answer)
    );
    let (zone, kind) = (zone.unwrap(), kind.unwrap());
    let servers = format!("example={},domain={}", zone.address(), kind.address());
    let platform = platform(&[("WHOIS_SERVERS", &servers)]).await;
    for query in ["shop.example", "shop.test"] {
        let result = result(&platform, "whois", json!({ "query": query })).await;
        assert!(result.to_string().contains("Example"), "{result}");
    }
    assert_eq!(zone.queries(), ["shop.example"]);
    assert_eq!(kind.queries(), ["shop.test"]);
}

#[tokio::test]
async fn nmap_is_the_program_that_is_set() {
    let platform = platform(&[("NMAP_PROGRAM", "/opt/scans/nmap")]).await;
    let result = result(
        &platform,
        "nmap_ping_scan",
        json!({ "target": "127.0.0.1" }),
    )
    .await;
    let message = result["error"]["message"].as_str().unwrap();
    assert!(message.contains("/opt/scans/nmap"), "{message}");
}

#[tokio::test]
async fn nmap_runs_as_often_at_a_time_as_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let (program, log) = (folder.path().join("nmap"), folder.path().join("log"));
    // It is no nmap, and its calls fail; when it runs is all that counts.
    let script = format!(
        "#!/bin/sh\necho begin >> {log}\nsleep 0.3\necho end >> {log}\n",
        log = log.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let platform = platform(&[
        ("NMAP_PROGRAM", program.to_str().unwrap()),
        ("NMAP_MAX_SCANS", "1"),
        ("AMQP_PREFETCH_COUNT", "8"),
    ])
    .await;
    let scan =
        |target: &'static str| result(&platform, "nmap_ping_scan", json!({ "target": target }));
    tokio::join!(scan("127.0.0.1"), scan("127.0.0.2"), scan("127.0.0.3"));
    let said = fs::read_to_string(log).unwrap();
    assert_eq!(said, "begin\nend\n".repeat(3));
}

#[tokio::test]
async fn the_site_is_in_results() {
    for (setting, expected) in [("dc-1", "dc-1"), ("", "default")] {
        let platform = platform(&[("DISCOVERY_SITE", setting)]).await;
        let result = result(&platform, "ifconfig", json!({ "interface": "lo" })).await;
        assert_eq!(result["site"], expected, "{result}");
    }
}

#[tokio::test]
async fn nothing_is_kept_yet_and_the_documentation_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let site = Site::new().await;
    let worker = site.worker_program().await.env("DISCOVERY_DATA_DIR", &data);
    let platform = embedded_program().await.env("DISCOVERY_DATA_DIR", &data);
    let worker = Running::worker(worker.folder(folder.path()));
    let platform = Running::gateway(platform.folder(folder.path()));
    tokio::join!(worker.ready(), platform.ready());
    platform.lists("ping").await;
    platform
        .call("ping", json!({ "host": "127.0.0.1", "count": 1 }))
        .await;
    let kept: Vec<_> = fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert!(kept.is_empty(), "{kept:?}");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = fs::read_to_string(page).unwrap();
    let row = page
        .lines()
        .find(|line| line.starts_with("| `DISCOVERY_DATA_DIR` |"));
    assert!(row.unwrap().contains("Nothing is kept yet"), "{row:?}");
}
