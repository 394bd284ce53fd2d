//! The host-level tools on simulated devices of other makers.

use serde_json::{Value, json};
use testkit::snmp::Snmpsim;

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
