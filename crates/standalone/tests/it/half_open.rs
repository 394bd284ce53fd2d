//! Connections to the broker that nobody answers any more leave nothing behind.

use std::fs;
use std::time::Duration;

use testkit::process::Program;
use testkit::tcp_proxy::{TcpProxy, Way};
use testkit::wait;

use crate::site::{Running, SOON, Site};

/// Threads that read connections to the broker.
const READER: &str = "lapin-io-loop";
/// Rounds in which every connection goes half open.
const ROUNDS: usize = 5;
/// Attempts to connect that get no answer.
const ATTEMPTS: u64 = 12;
/// How long all of it may take to be gone: three heartbeats, and two attempts to connect.
const GONE: Duration = Duration::from_secs(20);

/// What processes hold of connections to the broker.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    threads: usize,
    sockets: usize,
}

impl Held {
    fn by(processes: [&Running; 2], proxy: &TcpProxy) -> Self {
        let threads = processes.into_iter().map(readers).sum();
        let sockets = sockets_to(proxy.address().port());
        Self { threads, sockets }
    }
}

/// Threads of a process that read connections (`proc_pid_task(5)`); one may end meanwhile.
fn readers(process: &Running) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.pid())).unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim_end() == READER)
        .count()
}

/// Sockets that are connected to a port and that a process still has (`proc_pid_net(5)`).
fn sockets_to(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    let is_held = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[2].ends_with(&remote) && fields[9] != "0"
    };
    table.lines().skip(1).filter(is_held).count()
}

async fn until_accepted(proxy: &TcpProxy, n_more: u64) {
    let n_before = proxy.n_accepted();
    let accepted = async || (proxy.n_accepted() >= n_before + n_more).then_some(());
    wait::until("it connects again", SOON, accepted)
        .await
        .unwrap();
}

#[tokio::test]
async fn connections_that_went_half_open_leave_neither_threads_nor_sockets() {
    let site = Site::new().await;
    let proxy = TcpProxy::start(site.broker_address()).await.unwrap();
    let url = site.url_at(proxy.address());
    let settings = [
        ("AMQP_URL", url.as_str()),
        ("AMQP_HEARTBEAT_INTERVAL", "1s"),
        ("AMQP_CONNECTION_TIMEOUT", "1s"),
    ];
    let (gateway, worker) = tokio::join!(site.gateway_program(), site.worker_program());
    let with = |program: Program| {
        let set = |program: Program, (name, value): &(&str, &str)| program.env(name, value);
        settings.iter().fold(program, set)
    };
    let gateway = Running::gateway(with(gateway));
    let worker = Running::worker(with(worker));
    let both = [&gateway, &worker];
    gateway.ready().await;
    worker.ready().await;
    gateway.lists("wget").await;
    let before = Held::by(both, &proxy);
    assert_eq!(before.threads, before.sockets, "{before:?}");

    for _ in 0..ROUNDS {
        proxy.forget();
        until_accepted(&proxy, before.sockets as u64).await;
        gateway.ready().await;
        worker.ready().await;
    }
    // Those that are open go half open, and new ones are accepted and hear nothing.
    proxy.both(Way::STOPPED);
    until_accepted(&proxy, ATTEMPTS).await;
    proxy.forget();
    proxy.both(Way::OPEN);
    gateway.ready().await;
    worker.ready().await;
    let held = async || (Held::by(both, &proxy) == before).then_some(());
    let gone = wait::until("what has ended is gone", GONE, held).await;
    assert!(gone.is_ok(), "{:?}, not {before:?}", Held::by(both, &proxy));
}
