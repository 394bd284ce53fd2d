//! Network namespaces for tests that need hosts, routers and silence.
//!
//! A test calls [`lab`] with its body. The test process starts itself anew, in namespaces of
//! its own, for just that test, and the body runs there: as root of an empty network.
//! This needs neither root nor changes to the machine.
//!
//! Everything here panics where it cannot do its work, because a test cannot go on without it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a test fails by panicking, its network is part of it, and commands are run for what they do"
)]

use std::any::type_name;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Output;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::timeout;

/// Set where a body runs; holds the stage of [`nested`].
const STAGE: &str = "NETWORK_LAB_STAGE";
/// Longest time that a body may take.
const DEADLINE: Duration = Duration::from_secs(45);
/// Longest time that a body with daemons may take: they have to find each other first.
const DEADLINE_OF_DAEMONS: Duration = Duration::from_secs(100);
/// User, network and mount namespaces in which the test is root.
const NAMESPACES: [&str; 5] = ["unshare", "--user", "--map-root-user", "--net", "--mount"];

/// What ends everything inside with the test process, however that ends.
const ENDING_TOGETHER: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];
/// Network, mount and process namespaces; the process namespace takes all daemons with it.
const WITH_PROCESSES: [&str; 7] = [
    "unshare",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];
/// What somebody who is not root needs besides, so that daemons can give up their privileges.
const WITH_USERS: [&str; 3] = ["--user", "--map-root-user", "--map-auto"];

/// Runs the body in an empty network, in which only the loopback interface is up.
pub fn lab<F: AsyncFnOnce()>(body: F) {
    lab_with(&[], body);
}

/// Like [`lab`], for bodies that start daemons, which end with the body even when the test
/// process is killed.
///
/// Daemons that change their user need more than one user. Root has them; somebody else needs a
/// range of them in `/etc/subuid` and `/etc/subgid`, and the commands of the package `uidmap`.
pub fn lab_of_daemons<F: AsyncFnOnce()>(body: F) {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let users: &[&str] = if is_root { &[] } else { &WITH_USERS };
    let starter = [&ENDING_TOGETHER[..], &WITH_PROCESSES, users].concat();
    run_in(&starter, DEADLINE_OF_DAEMONS, body);
}

/// Like [`lab`], with a command (for example `setpriv` with options) that the process is
/// started by.
pub fn lab_with<F: AsyncFnOnce()>(starter: &[&str], body: F) {
    run_in(&[&NAMESPACES[..], starter].concat(), DEADLINE, body);
}

fn run_in<F: AsyncFnOnce()>(starter: &[&str], deadline: Duration, body: F) {
    match stage().as_deref() {
        None => start_again(&test_name::<F>(), starter, "lab"),
        Some("lab") => {
            ip("link set lo up");
            // `ip netns` keeps its names here; the machine's own directory stays as it is.
            run(&["mount", "-t", "tmpfs", "tmpfs", "/run"]);
            here(deadline, body);
        }
        Some(_) => here(deadline, body),
    }
}

/// The stage that a body is in: `lab`, or what [`nested`] was called with.
pub fn stage() -> Option<String> {
    std::env::var_os(STAGE).and_then(|stage| stage.into_string().ok())
}

/// Runs a test once more from inside its own body, with a command in front; [`stage`] tells the
/// body which of both it is.
pub fn nested(test: &str, starter: &[&str], stage: &str) {
    start_again(test, starter, stage);
}

/// `ip` with arguments separated by blanks.
pub fn ip(arguments: &str) -> String {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    run(&[&["ip"], words.as_slice()].concat())
}

/// What `ip -json` says.
pub fn ip_json(arguments: &str) -> Vec<serde_json::Value> {
    let text = ip(&format!("-json {arguments}"));
    let objects: Vec<serde_json::Value> = match text.trim() {
        "" => Vec::new(),
        text => serde_json::from_str(text).expect("ip -json writes JSON"),
    };
    // Filtered lists have empty objects in place of what was filtered out.
    objects
        .into_iter()
        .filter(|object| object.as_object().is_some_and(|o| !o.is_empty()))
        .collect()
}

/// Sets a kernel parameter of the lab's network, named by its path below `/proc/sys`.
pub fn sysctl(path: &str, value: &str) {
    fs::write(format!("/proc/sys/{path}"), value).unwrap_or_else(|e| panic!("{path}: {e}"));
}

/// Gives names to addresses, by lines of hosts(5).
pub fn hosts(lines: &str) {
    fs::write("/run/hosts", lines).unwrap();
    run(&["mount", "--bind", "/run/hosts", "/etc/hosts"]);
}

/// A pair of interfaces: `near` in the lab, `far` in a namespace of that name, both up. The lab
/// has 10.1.0.1 and `fd01::1` on it, the far side 10.1.0.2 and `fd01::2`.
pub fn far_side() {
    ip("netns add far");
    ip("link add near type veth peer name far netns far");
    ip("-netns far link set lo up");
    ip("addr add 10.1.0.1/24 dev near");
    ip("addr add fd01::1/64 dev near nodad");
    ip("-netns far addr add 10.1.0.2/24 dev far");
    ip("-netns far addr add fd01::2/64 dev far nodad");
    ip("link set near up");
    ip("-netns far link set far up");
}

/// Runs a program to its end and gives its output.
#[expect(
    clippy::disallowed_methods,
    reason = "tests build networks with the system's own commands, and compare with them"
)]
pub fn run(command: &[&str]) -> String {
    let output = std::process::Command::new(command[0])
        .args(&command[1..])
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "cannot run {}: {error}; run scripts/test, which installs what tests need",
                command[0]
            )
        });
    checked(&command.join(" "), &output)
}

fn here<F: AsyncFnOnce()>(deadline: Duration, body: F) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        timeout(deadline, body())
            .await
            .expect("the body ends in time");
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "a process gets namespaces of its own only while it has one thread: when it starts"
)]
fn start_again(test: &str, starter: &[&str], stage: &str) {
    let executable = std::env::current_exe().unwrap();
    let output = std::process::Command::new(starter[0])
        .args(&starter[1..])
        .arg(executable)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(STAGE, stage)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", starter[0]));
    let said = checked(
        "the test in namespaces of its own (needs util-linux, and unprivileged user namespaces or root: sysctl kernel.unprivileged_userns_clone=1)",
        &output,
    );
    assert!(
        said.contains("1 passed"),
        "the test was not found again: {said}"
    );
}

/// `module::test` for a closure in it.
fn test_name<F>() -> String {
    let path = type_name::<F>();
    let (_, path) = path.split_once("::").unwrap();
    path.split("::{{").next().unwrap().to_owned()
}

fn checked(what: &str, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{what} failed: {}\n{said}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    said
}
