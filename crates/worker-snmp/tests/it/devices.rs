//! The host-level tools on simulated devices of other makers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::snmp::{Fate, Relay, Snmpsim};

use crate::call::{done, session, worker};
use crate::net_snmp::v2c;

async fn ask(simulator: &Snmpsim, tool: &str, device: &str) -> Value {
    let mut options = v2c(simulator.address(), device);
    if tool != "snmp_system_health" {
        options["limit"] = json!(1000);
    }
    done(&worker(), tool, options).await
}

#[tokio::test]
async fn every_device_is_read_by_every_tool() {
    let simulator = Snmpsim::start().await.unwrap();
    for device in testkit::snmp::DEVICES {
        for tool in [
            "snmp_device_inventory",
            "snmp_interface_discovery",
            "snmp_system_health",
            "snmp_service_discovery",
        ] {
            let found = ask(&simulator, tool, device).await;
            assert!(found["missing"].is_array(), "{tool} {device}");
        }
    }
}

#[tokio::test]
async fn a_switch_has_parts_sensors_and_a_forwarding_table() {
    let (simulator, worker) = (Snmpsim::start().await.unwrap(), worker());
    let inventory = ask(&simulator, "snmp_device_inventory", "switch").await;
    assert!(inventory["serial"].is_string(), "{inventory:#}");
    assert!(inventory["component_count"].as_u64().unwrap() > 0);
    let health = ask(&simulator, "snmp_system_health", "switch").await;
    let sensor = &health["sensors"][0];
    assert_eq!(sensor["unit"], "°C", "{health:#}");
    assert!(
        (5.0..100.0).contains(&sensor["value"].as_f64().unwrap()),
        "{sensor}"
    );
    let mut arguments = session(&worker, v2c(simulator.address(), "switch")).await;
    arguments["oid"] = json!("dot1dTpFdbTable");
    let table = done(&worker, "snmp_table", arguments).await;
    let row = &table["rows"][0];
    let mac = row["key"]["dot1dTpFdbAddress"].as_str().unwrap();
    assert_eq!(mac.len(), 17, "{row}");
    assert!(row["cells"]["dot1dTpFdbPort"]["raw"].is_u64(), "{row}");
}

#[tokio::test]
async fn a_power_supply_and_a_printer_tell_what_is_left() {
    let simulator = Snmpsim::start().await.unwrap();
    let health = ask(&simulator, "snmp_system_health", "ups").await;
    assert!(health["ups"]["battery_status"].is_string(), "{health:#}");
    assert!(health["ups"]["charge_percent"].is_u64(), "{health:#}");
    let health = ask(&simulator, "snmp_system_health", "printer").await;
    // Levels of -2 and -3 are no numbers: unknown, and some.
    let supplies = [
        json!({ "name": "Black toner", "level_percent": 25.8 }),
        json!({ "name": "Drum" }),
        json!({ "name": "Waste box" }),
    ];
    assert_eq!(health["supplies"], json!(supplies));
    assert_eq!(health["warnings"], json!([]));
    let printer = ask(&simulator, "snmp_device_inventory", "printer").await;
    assert!(
        printer["interface_count"].as_u64().unwrap() > 0,
        "{printer:#}"
    );
    assert!(
        printer["missing"].to_string().contains("ifXTable"),
        "{printer:#}"
    );
}

#[tokio::test]
async fn a_windows_host_has_large_volumes_processes_and_software() {
    let simulator = Snmpsim::start().await.unwrap();
    let health = ask(&simulator, "snmp_system_health", "windows").await;
    let storage = health["storage"].as_array().unwrap();
    let largest = storage
        .iter()
        .filter_map(|it| it["size_bytes"].as_u64())
        .max();
    assert!(
        largest.unwrap() > 1 << 40,
        "more than 2^31 blocks: {health:#}"
    );
    assert_eq!(
        health["memory"]["source"], "HOST-RESOURCES-MIB",
        "{health:#}"
    );
    assert_eq!(health["cpu"]["processors"], json!([12, 55]));
    assert_eq!(health["cpu"]["load_percent"], json!(33.5));
    let services = ask(&simulator, "snmp_service_discovery", "windows").await;
    assert!(
        services["process_count"].as_u64().unwrap() > 0,
        "{services:#}"
    );
    assert!(
        services["software_count"].as_u64().unwrap() > 0,
        "{services:#}"
    );
}

#[tokio::test]
async fn texts_are_told_as_text_whatever_a_device_puts_into_them() {
    let (simulator, worker) = (Snmpsim::start().await.unwrap(), worker());
    let printer = ask(&simulator, "snmp_device_inventory", "printer").await;
    assert_eq!(printer["system"]["name"], "printer-2");
    assert_eq!(printer["system"]["location"], "2nd floor\r\n\u{7}ä");
    assert!(printer["system"]["contact"].is_null(), "{printer:#}");
    let interfaces = &printer["interfaces"];
    assert_eq!(interfaces[0]["name"], "Ethernet");
    assert!(interfaces[1]["name"].is_null(), "{interfaces}");
    let mut arguments = session(&worker, v2c(simulator.address(), "printer")).await;
    arguments["oids"] = json!(["sysName", "sysLocation"]);
    let got = done(&worker, "snmp_get", arguments).await;
    let values = &got["values"];
    assert_eq!(values[0]["raw"], "0x7072696e7465722d320000");
    assert_eq!(values[0]["display"], "printer-2");
    assert_eq!(values[1]["raw"], "0x326e6420666c6f6f720d0a07e4");
}

#[tokio::test]
async fn counters_and_speeds_that_are_wrong_do_not_become_others() {
    let simulator = Snmpsim::start().await.unwrap();
    let found = ask(&simulator, "snmp_interface_discovery", "counters").await;
    // It says that it has seven.
    assert_eq!((&found["total"], &found["up"]), (&json!(3), &json!(3)));
    let interfaces = found["interfaces"].as_array().unwrap();
    let of = |n: usize, field: &str| interfaces[n]["counters"][field].clone();
    let speeds: Vec<_> = interfaces
        .iter()
        .map(|it| it["speed_bps"].clone())
        .collect();
    // Too fast to say and 0 millions; 0 and as many millions as 32 bits hold; both the same.
    let expected = json!([null, 4_294_967_295_000_000_u64, 1_000_000_000]);
    assert_eq!(json!(speeds), expected, "{found:#}");
    // A negative number beside a counter of 64 bits that stands at 0, a gauge, and a full one.
    let bytes: Vec<_> = (0..3).map(|n| of(n, "in_bytes")).collect();
    assert_eq!(json!(bytes), json!([0, 10, u64::MAX]), "{found:#}");
    assert_eq!(of(2, "in_unicast"), json!(26_352_491_533_870_788_u64));
    assert_eq!(of(0, "in_multicast"), 10);
    let since: Vec<_> = interfaces
        .iter()
        .map(|it| it["since_seconds"].clone())
        .collect();
    assert_eq!(json!(since), json!([42_949_660, 42_949_648, 42_949_636]));
}

#[tokio::test]
async fn a_table_of_a_faulty_agent_has_what_can_be_read_and_says_what_is_wrong() {
    let (simulator, worker) = (Snmpsim::start().await.unwrap(), worker());
    let check = async |device: &str, words: [&str; 2], rows: Value| {
        let mut arguments = session(&worker, v2c(simulator.address(), device)).await;
        arguments["oid"] = json!("ifTable");
        arguments["columns"] = json!(["ifIndex", "ifDescr"]);
        let table = done(&worker, "snmp_table", arguments).await;
        let read = table["rows"].as_array().unwrap().iter().map(|row| {
            let cell = |name: &str| row["cells"][name]["raw"].clone();
            json!([row["index"], cell("ifIndex"), cell("ifDescr")])
        });
        assert_eq!(read.collect::<Value>(), rows, "{device}");
        let note = table["notes"][0].as_str().unwrap_or_default();
        let has = |word: &&str| note.contains(*word);
        assert!(words.iter().all(has), "{device}: {table:#}");
    };
    let rows = json!([["1", 1, "port 1"], ["2", 2, "port 2"], ["4", 4, null]]);
    check("backwards", ["ifIndex", "does not increase"], rows).await;
    let rows = json!([["1", 1, null], ["2", 2, null]]);
    check("broken", ["ifIndex", "genErr"], rows).await;
}

#[tokio::test]
async fn what_an_agent_said_before_it_died_is_given() {
    let simulator = Snmpsim::start().await.unwrap();
    let n_asked = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&n_asked);
    let dying = Relay::start(simulator.address(), move |_| {
        let is_alive = asked.fetch_add(1, Ordering::Relaxed) < 5;
        if is_alive {
            Fate::Passed(Duration::ZERO)
        } else {
            Fate::Lost
        }
    });
    let dying = dying.await.unwrap();
    for (tool, last) in [
        ("snmp_system_health", "Printer-MIB"),
        ("snmp_device_inventory", "hrStorageTable"),
    ] {
        n_asked.store(0, Ordering::Relaxed);
        let mut options = v2c(dying.address(), "windows");
        options["timeout"] = json!(1000);
        options["retries"] = json!(0);
        let found = done(&worker(), tool, options).await;
        assert!(found["system"]["description"].is_string(), "{found:#}");
        let missing = found["missing"].as_array().unwrap();
        let of_last = missing
            .iter()
            .find(|it| it["mib"].as_str().unwrap().contains(last));
        let why = of_last.unwrap()["why"].as_str().unwrap();
        assert!(why.contains("stopped answering"), "{tool}: {why}");
        // The one that is lost, a smaller one where it was large, and whether it is there at all.
        let n_lost = n_asked.load(Ordering::Relaxed) - 5;
        assert!((2..=3).contains(&n_lost), "{tool}: {n_lost}");
    }
}
