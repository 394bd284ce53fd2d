//! A tool's result is what nmap wrote in the very same run.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::namespaces::{hosts, lab, run, sysctl};

use crate::call::{done, structured, worker_with};
use crate::network::far_with_services;

/// A program that is nmap, and keeps a copy of what it writes.
fn nmap_with_a_copy(folder: &TempDir) -> std::path::PathBuf {
    let (program, copy) = (folder.path().join("nmap"), folder.path().join("copy.xml"));
    let script = format!("#!/bin/sh\nnmap \"$@\" | tee {}\n", copy.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// What the other reader makes of the copy.
fn parsed(folder: &Path) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/parse.py");
    let command = format!("python3 {script} < {}/copy.xml", folder.display());
    serde_json::from_str(&run(&["sh", "-c", &command])).unwrap()
}

/// Calls a tool and compares every field of every host with the copy.
async fn check(tool: &str, mut arguments: Value) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let worker = worker_with(&nmap_with_a_copy(&folder));
    arguments["reason"] = json!(true);
    let result = structured(&worker.call_for_test(tool, arguments.clone()).await);
    let copy = parsed(folder.path());
    let mut found = result["hosts"].clone();
    for host in found.as_array_mut().unwrap() {
        let host = host.as_object_mut().unwrap();
        // What the worker adds to what nmap says.
        assert_eq!(host.remove("complete"), Some(json!(true)));
        host.remove("hostnames").unwrap();
    }
    assert_eq!(
        found, copy["hosts"],
        "{tool} {arguments}: left ours, right nmap's"
    );
    for name in ["up", "down", "total"] {
        assert_eq!(result["stats"][name], copy["counts"][name], "{tool} {name}");
    }
    assert_eq!(result["truncated"], false, "{result:#}");
    assert!(result.get("nextCursor").is_none() && result["warnings"] == json!([]));
    result
}

fn states(result: &Value) -> Vec<(u64, &str)> {
    let ports = result["hosts"][0]["ports"].as_array().unwrap();
    let state = |port: &'_ Value| (port["port"].as_u64().unwrap(), port["state"].to_string());
    ports
        .iter()
        .map(state)
        .map(|(port, state)| (port, if state == "\"open\"" { "open" } else { "other" }))
        .collect()
}

#[test]
fn a_ping_scan_is_what_nmap_wrote() {
    lab(async || {
        let _services = far_with_services().await;
        let result = check("nmap_ping_scan", json!({ "target": "10.1.0.0/29" })).await;
        assert_eq!(result["hosts"][1]["reason"], "arp-response");
        assert!(result["hosts"][1]["mac"].is_string());
        check(
            "nmap_ping_scan",
            json!({ "target": ["fd01::2", "fd01::1"], "ports": "22" }),
        )
        .await;
    });
}

#[test]
fn a_syn_scan_is_what_nmap_wrote() {
    lab(async || {
        let _services = far_with_services().await;
        let arguments = json!({ "target": ["10.1.0.2", "10.1.0.1"], "ports": "1-100,8025" });
        let result = check("nmap_tcp_syn_scan", arguments).await;
        assert_eq!(result["hosts"][1]["other_ports"][0]["count"], 99);
        let arguments = json!({ "target": "10.1.0.2", "fast_scan": true });
        let result = check("nmap_tcp_syn_scan", arguments).await;
        assert_eq!(states(&result), [(22, "open")]);
        let arguments = json!({ "target": "fd01::2", "ports": "22,23" });
        let result = check("nmap_tcp_syn_scan", arguments).await;
        assert_eq!(states(&result), [(22, "open"), (23, "other")]);
    });
}

#[test]
fn a_scan_of_all_ports_in_a_few_runs_is_what_one_nmap_finds() {
    lab(async || {
        let _services = far_with_services().await;
        let folder = tempfile::tempdir().unwrap();
        let (program, log) = (folder.path().join("nmap"), folder.path().join("log"));
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$*\" >> {}\nexec nmap \"$@\"\n",
            log.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let worker = worker_with(&program);
        let arguments = json!({ "target": ["10.1.0.1", "10.1.0.2"], "ports": "-", "reason": true });
        let result = structured(&worker.call_for_test("nmap_tcp_syn_scan", arguments).await);
        let runs = fs::read_to_string(&log).unwrap();
        assert!((2..=4).contains(&runs.lines().count()), "{runs}");
        let copy = folder.path().join("copy.xml");
        let command = ["nmap", "-n", "-v", "-sS", "-p-", "-oX"];
        let targets = [copy.to_str().unwrap(), "10.1.0.1", "10.1.0.2"];
        run(&[&command[..], &targets].concat());
        let ports_only = |hosts: &Value| -> Vec<Value> {
            let hosts = hosts.as_array().unwrap().iter();
            hosts
                .map(|host| {
                    json!([
                        host["address"],
                        host["mac"],
                        host["ports"],
                        host["other_ports"]
                    ])
                })
                .collect()
        };
        assert_eq!(
            ports_only(&result["hosts"]),
            ports_only(&parsed(folder.path())["hosts"]),
            "left ours, right nmap's"
        );
        assert_eq!(
            (&result["stats"]["up"], &result["truncated"]),
            (&json!(2), &json!(false))
        );
    });
}

#[test]
fn a_connection_that_meets_itself_is_no_open_port() {
    lab(async || {
        // With one source port to choose from, every connection to it meets itself.
        sysctl("net/ipv4/ip_local_port_range", "40000 40000");
        let address: SocketAddr = "127.0.0.1:40000".parse().unwrap();
        {
            let plain = TcpStream::connect(address).expect("the kernel lets it meet itself");
            assert_eq!(plain.local_addr().unwrap(), plain.peer_addr().unwrap());
            let socket = tokio::net::TcpStream::from_std({
                plain.set_nonblocking(true).unwrap();
                plain
            });
            socket.unwrap().set_zero_linger().unwrap();
        }
        let arguments = json!({ "target": "127.0.0.1", "ports": "40000", "skip_discovery": true });
        for _ in 0..5 {
            let result = done("nmap_tcp_connect_scan", arguments.clone()).await;
            let port = &result["hosts"][0]["ports"][0];
            // A port that never refuses, because every try to reach it meets itself.
            assert_eq!(
                (&port["port"], &port["state"]),
                (&json!(40000), &json!("filtered"))
            );
        }
        let listener = TcpListener::bind(address).expect("nothing was left on the port");
        sysctl("net/ipv4/ip_local_port_range", "40000 40010");
        let result = done("nmap_tcp_connect_scan", arguments).await;
        assert_eq!(result["hosts"][0]["ports"][0]["state"], "open");
        drop(listener);
    });
}

#[test]
fn a_connect_scan_is_what_nmap_wrote() {
    lab(async || {
        let _services = far_with_services().await;
        let arguments =
            json!({ "target": "10.1.0.0/30", "ports": "20-25,T:8025", "timing_template": 4 });
        let result = check("nmap_tcp_connect_scan", arguments).await;
        assert_eq!(result["hosts"].as_array().unwrap().len(), 2);
    });
}

#[test]
fn a_udp_scan_is_what_nmap_wrote() {
    lab(async || {
        let _services = far_with_services().await;
        let arguments = json!({ "target": "10.1.0.2", "ports": "U:7,9" });
        let result = check("nmap_udp_scan", arguments).await;
        assert_eq!(states(&result), [(7, "open"), (9, "other")]);
    });
}

#[test]
fn a_version_scan_is_what_nmap_wrote() {
    lab(async || {
        let _services = far_with_services().await;
        let arguments = json!({ "target": "10.1.0.2", "ports": "22,8025", "intensity": 1 });
        let result = check("nmap_version_scan", arguments).await;
        let service = &result["hosts"][0]["ports"][0]["service"];
        assert_eq!(service["product"], "OpenSSH");
        assert_eq!(service["version"], "9.2p1 Debian 2+deb12u3");
        assert_eq!(service["method"], "probed");
        assert!(
            service["cpe"][0]
                .as_str()
                .unwrap()
                .starts_with("cpe:/a:openbsd:openssh")
        );
        let arguments = json!({ "target": "10.1.0.2", "ports": "T:22,U:7", "light_mode": true });
        check("nmap_version_scan", arguments).await;
    });
}

#[test]
fn a_name_is_scanned_at_the_address_that_was_checked() {
    lab(async || {
        let _services = far_with_services().await;
        hosts("10.1.0.2 router.lab gateway.lab\n8.8.8.8 outside.lab\n");
        let target = json!(["router.lab", "gateway.lab", "10.1.0.2"]);
        let result = check(
            "nmap_tcp_connect_scan",
            json!({ "target": target, "ports": "22" }),
        )
        .await;
        assert_eq!(result["stats"]["total"], 1);
        assert_eq!(
            result["hosts"][0]["hostnames"],
            json!(["router.lab", "gateway.lab"])
        );
    });
}

#[test]
fn open_only_leaves_out_what_is_not_open_and_reasons_are_given_on_request() {
    lab(async || {
        let _services = far_with_services().await;
        let arguments = json!({
            "target": ["10.1.0.1", "10.1.0.2"], "ports": "22-60", "open_only": true,
        });
        let result = done("nmap_tcp_syn_scan", arguments).await;
        assert_eq!(crate::call::addresses(&result), ["10.1.0.2"]);
        let host = &result["hosts"][0];
        assert_eq!(
            (states(&result), &host["other_ports"]),
            (vec![(22, "open")], &json!([]))
        );
        assert!(host.get("reason").is_none() && host["ports"][0].get("reason").is_none());
        assert_eq!(result["stats"]["up"], 2, "the other one is up all the same");
    });
}
