//! A host on the far side of a link, with services and a network behind it.

use std::time::Duration;

use testkit::namespaces::{far_side, ip, run};
use testkit::process::{Process, Program};
use testkit::wait;

/// Longest wait for something that happens at once.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// TCP 22 and 8025 of the far host greet, UDP 7 echoes; they end when this is dropped.
pub(crate) struct Services(#[expect(dead_code, reason = "it is kept for its end")] Process);

/// Starts [`far_side`] and its services.
pub(crate) async fn far_with_services() -> Services {
    far_side();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/services.py");
    let program = Program::new("ip").args(["netns", "exec", "far", "python3", script]);
    let services = program.start().unwrap();
    let is_up = async || {
        let command = "cat /proc/net/tcp /proc/net/tcp6";
        let sockets = run(&["ip", "netns", "exec", "far", "sh", "-c", command]);
        // Port 8025 in hexadecimal, which the script opens last.
        sockets.contains(":1F59 ").then_some(())
    };
    wait::until("the services of the far side", SOON, is_up)
        .await
        .unwrap();
    Services(services)
}

/// Every address of 10.2.0.0/16 answers, on the far side and behind a route.
pub(crate) fn crowd() {
    ip("-netns far route add local 10.2.0.0/16 dev lo");
    ip("route add 10.2.0.0/16 via 10.1.0.2");
}
