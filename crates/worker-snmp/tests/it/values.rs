//! Values, value by value as net-snmp's tools print them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::snmp::{BulkLimit, COMMUNITY, Fate, Refusal, Relay, Snmpd, Snmpsim, USERS};
use worker::Worker;

use crate::call::{done, session, worker};
use crate::net_snmp::{Line, is_moving, line, over_v2c, over_v3, public, v2c, v3};

/// Places with values of every type, with absent objects and the end of the tree.
const PLACES: [&str; 8] = [
    "1.3.6.1.2.1.1.1.0",
    "1.3.6.1.2.1.1.2.0",
    "1.3.6.1.2.1.1.4.0",
    "1.3.6.1.2.1.1.6.0",
    "1.3.6.1.2.1.2.1.0",
    "1.3.6.1.2.1.2.2.1.6.1",
    "1.3.6.1.2.1.4.1.0",
    "1.3.6.1.2.1.4.20.1.1.127.0.0.1",
];

fn lines(values: &Value) -> Vec<Line> {
    values["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(line)
        .collect()
}

/// Both say the same; of what moves, the same places.
pub(crate) fn assert_same(ours: &[Line], theirs: &[Line], what: &str) {
    let places = |lines: &[Line]| lines.iter().map(|(oid, _)| oid.clone()).collect::<Vec<_>>();
    assert_eq!(places(ours), places(theirs), "{what}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        if !is_moving(theirs) {
            assert_eq!(ours, theirs, "{what}");
        }
    }
}

/// A walk page by page.
async fn walk(worker: &Worker, mut arguments: Value, limit: usize) -> (Vec<Line>, Value) {
    arguments["limit"] = json!(limit);
    let mut all = Vec::new();
    loop {
        let page = done(worker, "snmp_walk", arguments.clone()).await;
        all.extend(lines(&page));
        if page["nextCursor"].is_null() {
            return (all, page);
        }
        arguments["cursor"] = page["nextCursor"].clone();
    }
}

#[tokio::test]
async fn get_and_get_next_give_what_net_snmp_gives() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let agent = snmpd.address();
    let user = USERS.iter().find(|user| user.name == "sha256-aes").unwrap();
    for (options, is_v3) in [(v2c(agent, COMMUNITY), false), (v3(agent, user), true)] {
        let mut arguments = session(&worker, options).await;
        arguments["oids"] = json!(PLACES);
        for (ours, theirs) in [("snmp_get", "snmpget"), ("snmp_get_next", "snmpgetnext")] {
            let got = done(&worker, ours, arguments.clone()).await;
            let expected = if is_v3 {
                over_v3(theirs, agent, &PLACES).await
            } else {
                public(theirs, agent, &PLACES).await
            };
            assert_same(&lines(&got), &expected, ours);
        }
    }
}

#[tokio::test]
async fn absent_objects_are_values_that_say_so() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    for (version, kinds) in [
        ("2c", ["noSuchObject", "noSuchInstance", "OCTET STRING"]),
        ("1", ["noSuchInstance", "noSuchInstance", "OCTET STRING"]),
    ] {
        let mut options = v2c(snmpd.address(), COMMUNITY);
        options["version"] = json!(version);
        let mut arguments = session(&worker, options).await;
        arguments["oids"] = json!(["1.3.6.1.4.1.99999.1.0", "ifDescr.99999", "sysLocation"]);
        let got = done(&worker, "snmp_get", arguments.clone()).await;
        let types: Vec<_> = (0..3).map(|n| got["values"][n]["type"].clone()).collect();
        assert_eq!(types, kinds, "{version}");
        assert_eq!(got["absent"], 2);
        arguments["oids"] = json!(["2.999"]);
        let got = done(&worker, "snmp_get_next", arguments).await;
        assert_eq!(got["values"][0]["type"], "endOfMibView", "{version}");
    }
}

#[tokio::test]
async fn objects_that_fail_are_values_that_say_so() {
    let (simulator, worker) = (Snmpsim::start().await.unwrap(), worker());
    let mut arguments = session(&worker, v2c(simulator.address(), "broken")).await;
    arguments["oids"] = json!(["sysName", "ifIndex.3", "ifIndex.4", "sysORID.1"]);
    let got = done(&worker, "snmp_get", arguments.clone()).await;
    let types: Vec<_> = (0..4).map(|n| got["values"][n]["type"].clone()).collect();
    assert_eq!(types[..3], ["OCTET STRING", "genErr", "INTEGER"], "{got:#}");
    assert!(got["values"][1]["raw"].is_null(), "{got:#}");
    assert_eq!((&got["failed"], &got["absent"]), (&json!(1), &json!(1)));
    arguments["oids"] = json!(["ifIndex.1", "ifIndex.2", "ifIndex.3"]);
    let got = done(&worker, "snmp_get_next", arguments).await;
    let raws: Vec<_> = (0..3).map(|n| got["values"][n]["raw"].clone()).collect();
    assert_eq!(raws, [json!(2), json!(null), json!(4)], "{got:#}");
}

#[tokio::test]
async fn a_walk_gives_what_net_snmp_gives_on_pages_of_any_size() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let agent = snmpd.address();
    let user = USERS.iter().find(|user| user.name == "sha256-aes").unwrap();
    for (root, limit) in [
        ("1.3.6.1.2.1.1", 3),
        ("1.3.6.1.2.1.2", 10_000),
        ("1.3.6.1.2.1.1.9", 7),
    ] {
        let expected = public("snmpbulkwalk", agent, &[root]).await;
        for options in [v2c(agent, COMMUNITY), v3(agent, user)] {
            let mut arguments = session(&worker, options).await;
            arguments["oid"] = json!(root);
            let (ours, last) = walk(&worker, arguments, limit).await;
            assert_same(&ours, &expected, root);
            assert_eq!(last["truncated"], false);
        }
    }
    let mut arguments = session(&worker, v2c(agent, COMMUNITY)).await;
    arguments["oid"] = json!("sysLocation.0");
    let (instance, _) = walk(&worker, arguments, 10).await;
    assert_eq!(instance.len(), 1, "an instance itself");
}

#[tokio::test]
async fn an_agent_that_refuses_large_requests_gives_the_same_walk_and_table() {
    let (simulator, worker) = (Snmpsim::start().await.unwrap(), worker());
    let agent = simulator.address();
    let whole = over_v2c("snmpbulkwalk", agent, "long", &["1.3.6.1"]).await;
    let mut read = session(&worker, v2c(agent, "long")).await;
    read["oid"] = json!("ifTable");
    read["limit"] = json!(1000);
    let table = done(&worker, "snmp_table", read).await;
    assert!(table["total"].as_u64().unwrap() > 100, "{table:#}");
    for (refusal, most) in [
        (Refusal::TooBig, 4),
        (Refusal::GenErr, 1),
        (Refusal::GenErr, 0),
        (Refusal::Silence, 5),
    ] {
        let what = format!("{refusal:?} above {most}");
        let weak = BulkLimit::start(agent, most, refusal).await.unwrap();
        let mut options = v2c(weak.address(), "long");
        options["timeout"] = json!(1000);
        options["retries"] = json!(0);
        let mut arguments = session(&worker, options).await;
        arguments["oid"] = json!("1.3.6.1");
        let (walked, last) = walk(&worker, arguments.clone(), 10_000).await;
        assert_same(&walked, &whole, &what);
        assert_eq!(last["truncated"], false, "{what}");
        assert!((1..10).contains(&weak.n_refused()), "{}", weak.n_refused());
        arguments["oid"] = json!("ifTable");
        arguments["limit"] = json!(1000);
        let read = done(&worker, "snmp_table", arguments).await;
        assert_eq!(read["rows"], table["rows"], "{what}");
        assert_eq!(read["notes"], json!([]), "{what}");
        assert!((2..20).contains(&weak.n_refused()), "{}", weak.n_refused());
    }
}

#[tokio::test]
async fn every_value_of_every_simulated_device_is_what_net_snmp_prints() {
    let (simulator, worker) = (Snmpsim::start().await.unwrap(), worker());
    for device in [
        "switch", "cdp", "printer", "ups", "windows", "counters", "long",
    ] {
        let agent = simulator.address();
        let arguments = session(&worker, v2c(agent, device)).await;
        for root in ["1.0.8802", "1.3.6.1"] {
            let expected = over_v2c("snmpbulkwalk", agent, device, &[root]).await;
            let mut arguments = arguments.clone();
            arguments["oid"] = json!(root);
            let (ours, _) = walk(&worker, arguments, 10_000).await;
            assert_same(&ours, &expected, device);
            for (ours, theirs) in ours.iter().zip(&expected) {
                if !theirs.1.starts_with("Opaque") {
                    assert_eq!(ours, theirs, "{device}");
                }
            }
        }
    }
}

#[tokio::test]
async fn walks_in_circles_and_broken_objects_end_with_a_note() {
    let (simulator, worker) = (Snmpsim::start().await.unwrap(), worker());
    for (device, words) in [("backwards", "does not increase"), ("broken", "genErr")] {
        let mut arguments = session(&worker, v2c(simulator.address(), device)).await;
        arguments["oid"] = json!("1.3.6.1");
        let page = done(&worker, "snmp_walk", arguments).await;
        let note = page["note"].as_str().unwrap_or_default();
        assert!(note.contains(words), "{device}: {page:#}");
        assert_eq!(page["truncated"], true, "{device}");
        assert!(!page["values"].as_array().unwrap().is_empty(), "{device}");
    }
}

#[tokio::test]
async fn get_and_get_next_of_every_object_of_a_device_give_what_net_snmp_gives() {
    let (simulator, worker) = (Snmpsim::start().await.unwrap(), worker());
    let agent = simulator.address();
    for device in ["cdp", "printer"] {
        let walked = over_v2c("snmpbulkwalk", agent, device, &["1.3.6.1"]).await;
        assert!(walked.len() > 50, "{device}");
        let oids: Vec<&str> = walked.iter().map(|(oid, _)| oid.as_str()).collect();
        let mut arguments = session(&worker, v2c(agent, device)).await;
        for batch in oids.chunks(60) {
            arguments["oids"] = json!(batch);
            for (ours, theirs) in [("snmp_get", "snmpget"), ("snmp_get_next", "snmpgetnext")] {
                let mut got = lines(&done(&worker, ours, arguments.clone()).await);
                // net-snmp's tools print this in words.
                got.retain(|(_, value)| value != "endOfMibView");
                let expected = over_v2c(theirs, agent, device, batch).await;
                assert!(expected.len() + 1 >= batch.len(), "{device} {theirs}");
                assert_eq!(got, expected, "{device} {ours}");
            }
        }
    }
}

#[tokio::test]
async fn a_timeout_is_that_of_each_request_and_not_of_a_walk() {
    let (simulator, worker) = (Snmpsim::start().await.unwrap(), worker());
    let expected = over_v2c("snmpbulkwalk", simulator.address(), "switch", &["1.3.6.1"]).await;
    let timeout = Duration::from_secs(1);
    let n_asked = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&n_asked);
    // The first copy of every third request is lost, and the one after it is the second copy.
    let slow = Relay::start(simulator.address(), move |_| {
        match asked.fetch_add(1, Ordering::Relaxed) % 4 {
            2 => Fate::Lost,
            _ => Fate::Passed(timeout.mul_f64(0.6)),
        }
    });
    let slow = slow.await.unwrap();
    let mut options = v2c(slow.address(), "switch");
    options["timeout"] = json!(timeout.as_millis());
    options["retries"] = json!(2);
    let mut arguments = session(&worker, options).await;
    arguments["oid"] = json!("1.3.6.1");
    n_asked.store(0, Ordering::Relaxed);
    let (ours, last) = walk(&worker, arguments, 10_000).await;
    assert_same(&ours, &expected, "slow");
    assert!(
        last["note"].is_null() && last["truncated"] == false,
        "{last:#}"
    );
    assert!(n_asked.load(Ordering::Relaxed) > 10, "that is a long walk");
}
