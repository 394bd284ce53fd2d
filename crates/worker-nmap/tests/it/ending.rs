//! No scan outlives its call or its worker.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use testkit::namespaces::{far_side, ip, lab, stage};
use testkit::process::{Child, Program, all_end, children, children_with};
use testkit::wait;

use crate::call::{addresses, error, structured, worker, worker_with};
use crate::network::SOON;

/// How long a scan may go on that nobody wants any more.
const STOPS: Duration = Duration::from_secs(1);

/// The processes of a scan, once there are some.
async fn scanning(worker: u32) -> Vec<Child> {
    children_with(worker, "nmap", SOON).await.unwrap()
}

/// A scan of every port of an address that never answers: it takes minutes.
async fn long_scan() -> serde_json::Value {
    let arguments = json!({ "target": "10.1.0.66", "ports": "-", "skip_discovery": true });
    worker().call_for_test("nmap_tcp_syn_scan", arguments).await
}

fn silent_address() {
    far_side();
    ip("neigh add 10.1.0.66 lladdr 02:00:00:00:00:66 dev near nud permanent");
}

#[test]
fn a_cancelled_scan_of_all_ports_ends_within_a_second_and_leaves_no_child() {
    lab(async || {
        silent_address();
        let processes = tokio::select! {
            result = long_scan() => panic!("the scan has ended: {result:#}"),
            // The other future, and with it the call, is dropped here.
            processes = scanning(std::process::id()) => processes,
        };
        assert_eq!(processes.len(), 2, "nmap and its guard: {processes:?}");
        all_end(&processes, STOPS).await.unwrap();
        let no_child = async || children(std::process::id()).is_empty().then_some(());
        wait::until("no child is left", SOON, no_child)
            .await
            .unwrap();
    });
}

#[test]
fn a_worker_that_is_killed_leaves_no_nmap() {
    lab(async || {
        if stage().as_deref() == Some("victim") {
            long_scan().await;
            return;
        }
        silent_address();
        let test = "ending::a_worker_that_is_killed_leaves_no_nmap";
        let victim = Program::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env("NETWORK_LAB_STAGE", "victim")
            .start()
            .unwrap();
        let processes = scanning(victim.pid()).await;
        victim.kill_9().unwrap();
        all_end(&processes, STOPS).await.unwrap();
    });
}

/// A program in place of nmap, by what it does in a shell.
fn nmap_that(does: &str) -> (TempDir, worker::Worker) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("nmap");
    fs::write(&program, format!("#!/bin/sh\n{does}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let worker = worker_with(&program);
    (folder, worker)
}

#[test]
fn output_that_cannot_be_understood_ends_the_scan_at_once() {
    lab(async || {
        // It goes on and does not mind that nobody reads what it writes.
        let (_folder, worker) =
            nmap_that("echo oh dear >&2; echo '<nmaprun></host>'; exec sleep 600");
        let started = Instant::now();
        let call = worker.call_for_test("nmap_ping_scan", json!({ "target": "127.0.0.1" }));
        let refused = error(&call.await);
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
        assert_eq!(refused["code"], "internal");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("cannot be understood"), "{message}");
    });
}

#[test]
fn a_scan_that_ends_badly_behind_its_last_address_goes_on_with_the_others() {
    lab(async || {
        // Two parts, one of each IP version: the first one has all it needs.
        let host = "<host><status state=\"up\" reason=\"x\"/><address addr=\"$last\" addrtype=\"ipv4\"/></host>";
        let (_folder, worker) = nmap_that(&format!(
            "for last; do :; done; echo \"<nmaprun>{}\"; exit 3",
            host.replace('"', "'")
        ));
        let arguments = json!({ "target": ["127.0.0.1", "::1"] });
        let result = structured(&worker.call_for_test("nmap_ping_scan", arguments).await);
        assert_eq!(addresses(&result), ["127.0.0.1", "::1"]);
        assert_eq!(
            (&result["truncated"], &result["stats"]["up"]),
            (&json!(false), &json!(2))
        );
    });
}
