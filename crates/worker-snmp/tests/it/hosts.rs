//! The host-level tools on a real host.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};

use serde_json::{Value, json};
use testkit::snmp::{COMMUNITY, Snmpd, USERS};

use crate::call::{done, failed, worker};
use crate::net_snmp::{public, v2c, v3};

fn texts(values: &Value, field: &str) -> BTreeSet<String> {
    let values = values.as_array().unwrap().iter();
    values.map(|value| value[field].to_string()).collect()
}

#[tokio::test]
async fn an_inventory_names_the_system_its_interfaces_and_storage() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let agent = snmpd.address();
    let user = USERS.iter().find(|user| user.name == "sha256-aes").unwrap();
    for options in [v2c(agent, COMMUNITY), v3(agent, user)] {
        let found = done(&worker, "snmp_device_inventory", options).await;
        let system = &found["system"];
        assert_eq!(system["location"], "laboratory");
        assert_eq!(system["contact"], "operations@example.test");
        assert_eq!(system["object_name"], "NET-SNMP-TC::netSnmpLinux");
        assert!(system["engine_id"].as_str().unwrap().starts_with("0x8000"));
        assert!(system["uptime_seconds"].is_u64() && system["clock"].is_string());
        let n_interfaces = public("snmpget", agent, &["1.3.6.1.2.1.2.1.0"]).await;
        let count = format!("INTEGER: {}", found["interface_count"]);
        assert_eq!(count, n_interfaces[0].1);
        assert!(found["storage_count"].as_u64().unwrap() >= 3, "{found:#}");
        assert!(
            texts(&found["missing"], "mib")
                .iter()
                .any(|mib| mib.contains("ENTITY-MIB"))
        );
    }
}

/// Bytes that the agent says the first interface, which is the loopback one, has received.
async fn in_bytes_of_loopback(agent: SocketAddr) -> u64 {
    let lines = public("snmpget", agent, &["1.3.6.1.2.1.31.1.1.1.6.1"]).await;
    let (_, value) = &lines[0];
    value.strip_prefix("Counter64: ").unwrap().parse().unwrap()
}

#[tokio::test]
async fn interfaces_have_addresses_speeds_and_wide_counters() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let before = in_bytes_of_loopback(snmpd.address()).await;
    let found = done(
        &worker,
        "snmp_interface_discovery",
        v2c(snmpd.address(), COMMUNITY),
    )
    .await;
    let interfaces = found["interfaces"].as_array().unwrap();
    let lo = interfaces.iter().find(|it| it["name"] == "lo").unwrap();
    assert_eq!(lo["type"], "softwareLoopback");
    assert_eq!(
        (&lo["admin_status"], &lo["oper_status"]),
        (&json!("up"), &json!("up"))
    );
    let addresses = lo["addresses"].as_array().unwrap();
    assert!(addresses.contains(&json!("127.0.0.1/8")), "{addresses:?}");
    assert_eq!(lo["counters"]["bits"], 64);
    let after = in_bytes_of_loopback(snmpd.address()).await;
    let in_bytes = lo["counters"]["in_bytes"].as_u64().unwrap();
    assert_eq!(lo["index"], 1);
    assert!(before > 0 && (before..=after).contains(&in_bytes), "{lo}");
    assert_eq!(lo["mtu"], 65_536);
    assert_eq!(found["total"], interfaces.len());
}

/// Load averages as the agent prints them.
async fn load_averages(agent: SocketAddr) -> Vec<String> {
    let walked = public("snmpbulkwalk", agent, &["1.3.6.1.4.1.2021.10.1.3"]).await;
    walked.into_iter().map(|(_, value)| value).collect()
}

/// Processors and load are those that the agent has, and those it has not are missing.
async fn assert_cpu(found: &Value, agent: SocketAddr, averages: &[String]) {
    let cpu = &found["cpu"];
    let processors = public("snmpbulkwalk", agent, &["1.3.6.1.2.1.25.3.3.1.2"]).await;
    let told = cpu["processors"].as_array().unwrap();
    // An agent that has just started has no load of a minute yet; it may have it a moment later.
    assert!(told.is_empty() || told.len() == processors.len(), "{cpu}");
    let missing = texts(&found["missing"], "mib");
    let lacks = missing.iter().any(|mib| mib.contains("hrProcessorTable"));
    assert_eq!(lacks, told.is_empty(), "{missing:?}");
    assert!(!processors.is_empty() || told.is_empty(), "{cpu}");
    let hexadecimal = |load: &Value| {
        let text = format!("{:.2}", load.as_f64().unwrap());
        let bytes: Vec<String> = text.bytes().map(|byte| format!("{byte:02X}")).collect();
        format!("Hex-STRING: {}", bytes.join(" "))
    };
    let loads = cpu["load_average"].as_array().unwrap();
    assert_eq!(loads.len(), 3, "{cpu}");
    let later = load_averages(agent).await;
    for (n, load) in loads.iter().enumerate() {
        let load = hexadecimal(load);
        assert!(load == averages[n] || load == later[n], "{n} {load}");
    }
}

#[tokio::test]
async fn health_is_that_of_this_host() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let averages = load_averages(snmpd.address()).await;
    let found = done(
        &worker,
        "snmp_system_health",
        v2c(snmpd.address(), COMMUNITY),
    )
    .await;
    assert_cpu(&found, snmpd.address(), &averages).await;
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .unwrap();
    let kibibytes: u64 = total.split_whitespace().next().unwrap().parse().unwrap();
    let memory = &found["memory"];
    assert_eq!(memory["total_bytes"], kibibytes * 1024);
    let available = memory["available_bytes"].as_u64().unwrap();
    assert!(available > 0 && available <= kibibytes * 1024, "{memory}");
    let ram = found["storage"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["kind"] == "ram");
    assert_eq!(ram.unwrap()["size_bytes"], kibibytes * 1024);
    assert!(
        found["storage"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["name"] == "/")
    );
    for mib in ["ENTITY-SENSOR-MIB", "UPS-MIB", "Printer-MIB"] {
        let missing = texts(&found["missing"], "mib");
        assert!(missing.iter().any(|it| it.contains(mib)), "{missing:?}");
    }
}

#[tokio::test]
async fn services_are_processes_ports_and_software() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let open = UdpSocket::bind("127.0.0.1:0").unwrap();
    let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect(open.local_addr().unwrap()).unwrap();
    let mut options = v2c(snmpd.address(), COMMUNITY);
    options["limit"] = json!(1000);
    let found = done(&worker, "snmp_service_discovery", options.clone()).await;
    let listens = |protocol: &str, port: u16| {
        let ports = found["ports"].as_array().unwrap();
        ports
            .iter()
            .any(|it| it["protocol"] == protocol && it["port"] == port)
    };
    assert!(listens("tcp", port), "{}", found["ports"]);
    assert!(listens("udp", snmpd.address().port()), "{}", found["ports"]);
    assert!(listens("udp", open.local_addr().unwrap().port()));
    assert!(!listens("udp", connected.local_addr().unwrap().port()));
    let pid = u64::from(snmpd.process().pid());
    let processes = found["processes"].as_array().unwrap();
    let process = processes.iter().find(|it| it["pid"] == pid).unwrap();
    assert_eq!(process["name"], "snmpd");
    assert!(process["memory_bytes"].as_u64().unwrap() > 0 && process["cpu_seconds"].is_f64());
    assert!(process["parameters"].is_null());
    let software = &found["software"];
    assert!(software.to_string().contains("snmpd"), "{software}");
    assert!(software[0]["installed_at"].is_string(), "{}", software[0]);
    options["parameters"] = json!(true);
    options["limit"] = json!(1000);
    let found = done(&worker, "snmp_service_discovery", options).await;
    let processes = found["processes"].as_array().unwrap();
    let process = processes.iter().find(|it| it["pid"] == pid).unwrap();
    assert!(
        process["parameters"]
            .as_str()
            .unwrap()
            .contains("snmpd.conf")
    );
}

#[tokio::test]
async fn a_wrong_password_is_an_authentication_error_of_a_host_tool_too() {
    let snmpd = Snmpd::start().await.unwrap();
    let user = USERS.iter().find(|user| user.name == "sha256-aes").unwrap();
    for wrong in ["authKey", "privKey"] {
        let mut options = v3(snmpd.address(), user);
        options[wrong] = json!("wrong-password");
        options["timeout"] = json!(2000);
        let error = failed(&worker(), "snmp_device_inventory", options).await;
        assert_eq!(error["code"], "authentication_failed", "{wrong}: {error}");
        assert!(error.to_string().contains(wrong), "{error}");
        assert!(!error.to_string().contains("wrong-password"), "{error}");
    }
}

#[tokio::test]
async fn a_host_without_an_agent_fails_once_and_at_once() {
    let options = json!({ "host": "127.0.0.1", "port": 9, "timeout": 50, "retries": 0 });
    for tool in [
        "snmp_device_inventory",
        "snmp_interface_discovery",
        "snmp_system_health",
        "snmp_service_discovery",
    ] {
        let error = failed(&worker(), tool, options.clone()).await;
        assert_eq!(error["code"], "unreachable", "{tool}: {error}");
    }
}
