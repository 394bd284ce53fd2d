//! SNMP workers that share work through RabbitMQ.

use serde_json::json;
use testkit::snmp::{COMMUNITY, Snmpd};

use crate::site::{Running, Site};

const KEY: &str = "0909090909090909090909090909090909090909090909090909090909090909";

/// How many calls it may take until both of two workers have run one.
const CALLS: usize = 100;

#[tokio::test]
async fn a_session_made_through_one_worker_process_is_used_through_another() {
    let (site, snmpd) = tokio::join!(Site::new(), Snmpd::start());
    let snmpd = snmpd.expect("an agent: run scripts/test");
    let worker = async || {
        let program = site.snmp_worker_program().await;
        let worker = Running::worker(program.env("SNMP_SESSION_KEY", KEY));
        worker.ready().await;
        worker
    };
    let (first, gateway) = tokio::join!(worker(), site.gateway());
    gateway.lists("snmp_get").await;
    let options = json!({ "host": "127.0.0.1", "port": snmpd.address().port(),
        "community": COMMUNITY });
    let created = gateway.call("snmp_create_session", options).await;
    let created = &created["result"]["structuredContent"];
    assert_eq!(created["shared"], true, "{created}");
    let get = json!({ "sessionId": created["sessionId"], "oids": ["sysLocation"] });
    let check = async || {
        let got = gateway.call("snmp_get", get.clone()).await;
        let got = &got["result"]["structuredContent"];
        assert_eq!(got["values"][0]["display"], "laboratory", "{got}");
    };
    // Beside the one that made it,
    let second = worker().await;
    let n_calls = async || second.metric("discovery_calls_total", "").await;
    for _ in 0..CALLS {
        check().await;
        if n_calls().await > 0.0 {
            break;
        }
    }
    assert!(n_calls().await > 0.0, "the second worker got no call");
    // and when that one is gone.
    drop(first);
    check().await;
}
