//! Sweeps.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::ports::free_port;
use testkit::snmp::{COMMUNITY, Snmpd};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::call::{done, failed, worker};

fn sweep(range: &str, port: u16) -> Value {
    json!({ "targetRange": range, "port": port, "community": COMMUNITY, "timeout": 300 })
}

#[tokio::test]
async fn the_agent_of_a_network_is_found_by_every_version() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let port = snmpd.address().port();
    for version in ["1", "2c", "3"] {
        let mut arguments = sweep("127.0.0.0/24", port);
        arguments["version"] = json!(version);
        if version == "3" {
            arguments.as_object_mut().unwrap().remove("community");
        }
        let found = done(&worker, "snmp_discover", arguments).await;
        let devices = found["devices"].as_array().unwrap();
        assert_eq!(devices.len(), 1, "{version}: {found:#}");
        assert_eq!(devices[0]["address"], "127.0.0.1");
        match version {
            "3" => assert!(
                devices[0]["engineId"]
                    .as_str()
                    .unwrap()
                    .starts_with("0x8000")
            ),
            _ => assert_eq!(devices[0]["sysLocation"], "laboratory"),
        }
        let done = &found["statistics"];
        assert_eq!(
            (&done["addresses"], &done["answered"]),
            (&json!(254), &json!(1))
        );
        assert_eq!(
            (&done["sent"], &done["retried"]),
            (&json!(507), &json!(253)),
            "{done}"
        );
    }
}

#[tokio::test]
async fn a_sweep_of_version_3_takes_no_password_and_so_none_can_be_wrong() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let mut arguments = json!({ "targetRange": "127.0.0.1", "port": snmpd.address().port(),
        "version": "3", "user": "sha256-aes", "authKey": "not-the-password" });
    let error = failed(&worker, "snmp_discover", arguments.clone()).await;
    assert_eq!(error["code"], "invalid_arguments", "{error}");
    assert!(!error.to_string().contains("not-the-password"), "{error}");
    for password in ["user", "authKey"] {
        arguments.as_object_mut().unwrap().remove(password);
    }
    let found = done(&worker, "snmp_discover", arguments).await;
    assert_eq!(found["statistics"]["answered"], 1, "{found:#}");
}

#[tokio::test]
async fn addresses_mapped_to_ipv6_are_those_they_map() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let arguments = sweep("::ffff:127.0.0.0/126", snmpd.address().port());
    let found = done(&worker, "snmp_discover", arguments).await;
    assert_eq!(found["targetRange"], "127.0.0.0/30");
    assert_eq!(found["devices"][0]["address"], "127.0.0.1", "{found:#}");
    assert!(found["devices"][0]["answeredFrom"].is_null(), "{found:#}");
}

#[tokio::test]
async fn a_slash_32_has_one_address_and_a_slash_31_two() {
    let snmpd = Snmpd::start().await.unwrap();
    for (range, n_addresses) in [("127.0.0.1/32", 1), ("127.0.0.1", 1), ("127.0.0.0/31", 2)] {
        let arguments = sweep(range, snmpd.address().port());
        let found = done(&worker(), "snmp_discover", arguments).await;
        assert_eq!(found["statistics"]["addresses"], n_addresses, "{range}");
        assert_eq!(found["statistics"]["answered"], 1, "{range}: {found:#}");
    }
}

#[tokio::test]
async fn a_whole_slash_16_is_swept_and_all_agents_are_found_page_by_page() {
    // One socket on all addresses of the loopback network is as many agents as it has addresses.
    let port = free_port().unwrap();
    let socket = UdpSocket::bind(("0.0.0.0", port)).await.unwrap();
    let mut agents = tokio::task::JoinSet::new();
    agents.spawn(async move {
        let mut buffer = vec![0; 2048];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            // What makes a GET its own answer: the tag of the PDU.
            let message = &mut buffer[..length];
            if let Some(tag) = message.iter().position(|byte| *byte == 0xa0) {
                message[tag] = 0xa2;
            }
            let _ = socket.send_to(message, client).await;
        }
    });
    let mut arguments = sweep("127.1.0.0/16", port);
    arguments["timeout"] = json!(2000);
    arguments["retries"] = json!(3);
    arguments["limit"] = json!(5000);
    let worker = worker();
    let found = done(&worker, "snmp_discover", arguments.clone()).await;
    let statistics = &found["statistics"];
    assert_eq!(statistics["addresses"], 65_534);
    assert_eq!(statistics["answered"], 65_534, "{statistics}");
    assert_eq!(found["devices"].as_array().unwrap().len(), 5000);
    assert_eq!(found["nextCursor"], "from-127.1.19.137");
    arguments["cursor"] = json!("from-127.1.255.250");
    let rest = done(&worker, "snmp_discover", arguments).await;
    assert_eq!(rest["devices"].as_array().unwrap().len(), 5);
    assert!(rest["nextCursor"].is_null(), "{}", rest["nextCursor"]);
}

#[tokio::test]
async fn a_sweep_that_is_dropped_sends_nothing_more() {
    let port = free_port().unwrap();
    let socket = UdpSocket::bind(("0.0.0.0", port)).await.unwrap();
    let mut arguments = sweep("127.1.0.0/16", port);
    arguments["rate"] = json!(1000);
    let worker = worker();
    let call = worker.call_for_test("snmp_discover", arguments);
    assert!(timeout(Duration::from_millis(500), call).await.is_err());
    let dropped = Instant::now();
    let mut buffer = [0; 2048];
    let silence = Duration::from_millis(300);
    while timeout(silence, socket.recv_from(&mut buffer))
        .await
        .is_ok()
    {}
    assert!(
        dropped.elapsed() < Duration::from_secs(1),
        "{:?}",
        dropped.elapsed()
    );
}

#[tokio::test]
async fn what_may_not_be_swept_is_refused_before_anything_is_sent() {
    let worker = worker();
    for (range, code) in [
        ("10.0.0.0/15", "invalid_arguments"),
        ("10.0.0.1/24", "invalid_arguments"),
        ("-iL/etc/passwd", "invalid_arguments"),
        ("10.0.0.0/24,10.0.1.0/24", "invalid_arguments"),
        ("8.8.8.0/24", "out_of_scope"),
        ("169.254.169.254", "out_of_scope"),
        ("::ffff:8.8.8.8", "out_of_scope"),
    ] {
        let error = failed(&worker, "snmp_discover", json!({ "targetRange": range })).await;
        assert_eq!(error["code"], code, "{range}: {error}");
    }
}
