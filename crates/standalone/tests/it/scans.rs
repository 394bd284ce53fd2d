//! Long scans: what is told while they run, and what is left of them when nobody wants them any
//! more, or when their worker dies.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::http::{Connection, Request};
use testkit::namespaces::{self, far_side, ip, lab_of_daemons};
use testkit::ports::free_port;
use testkit::process::{Child, all_end, binary, children, children_with};
use testkit::rabbitmq::Node;
use testkit::snmp::{COMMUNITY, Snmpd};
use testkit::wait;
use tokio::net::UdpSocket;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::site::{READY, Running, SOON, Session, Site, legacy};

/// How long a cancelled scan may go on.
const STOPS: Duration = Duration::from_secs(1);
/// Longest pause between two packets of a sweep that goes on.
const PAUSE: Duration = Duration::from_millis(300);
/// The program that scans.
const NMAP: (&str, &str) = ("worker-nmap", "discovery-worker-nmap");

/// Every port of an address that never answers: that takes minutes.
fn all_ports() -> Value {
    json!({ "target": "10.1.0.66", "ports": "-", "skip_discovery": true })
}

/// A call that wants to know how far it is.
fn watched(tool: &str, arguments: &Value) -> Request {
    let meta = json!({ "progressToken": 1 });
    let params = json!({ "name": tool, "arguments": arguments, "_meta": meta });
    Request::modern(1, "tools/call", params)
}

/// What progress notifications say, in order; they grow.
fn steps<'a>(messages: impl IntoIterator<Item = &'a Value>) -> Vec<&'a str> {
    let of_progress = |message: &&Value| message["method"] == "notifications/progress";
    let steps: Vec<&Value> = messages.into_iter().filter(of_progress).collect();
    let done: Vec<f64> = steps
        .iter()
        .map(|step| step["params"]["progress"].as_f64().unwrap())
        .collect();
    assert!(done.is_sorted_by(|a, b| a < b), "{done:?}");
    let said = |step: &&'a Value| step["params"]["message"].as_str().unwrap();
    steps.iter().map(said).collect()
}

/// Reads progress of an open call until it says this.
async fn until_told(connection: &mut Connection, part: &str) {
    let mut told = Vec::new();
    let head = connection.head(SOON).await.unwrap();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    while let Some(event) = connection.event(SOON).await.unwrap() {
        if event.is_message() {
            told.push(event.json().unwrap());
        }
        if steps(&told).last().is_some_and(|said| said.contains(part)) {
            return;
        }
    }
    panic!("the scan has ended, and never said {part:?}: {told:#?}");
}

/// The processes of the scan that a worker runs: nmap and its guard.
async fn scan_of(worker: &Running) -> Vec<Child> {
    children_with(worker.pid(), "nmap", SOON).await.unwrap()
}

async fn check_ended(worker: &Running, scan: &[Child]) {
    all_end(scan, STOPS).await.unwrap();
    let no_child = async || children(worker.pid()).is_empty().then_some(());
    wait::until("no child is left", SOON, no_child)
        .await
        .unwrap();
}

/// A scan says how far it is, and ends with the stream of its call.
async fn check_closed_stream(gateway: &Running, worker: &Running) {
    let call = watched("nmap_tcp_syn_scan", &all_ports());
    let mut connection = gateway.open(&call).await;
    until_told(&mut connection, " left in this stage").await;
    let scan = scan_of(worker).await;
    drop(connection);
    check_ended(worker, &scan).await;
}

/// A scan ends when its session cancels it.
async fn check_notification(gateway: &Running, worker: &Running) {
    let session = Session::open(gateway).await;
    let call = session.request(legacy(5, "nmap_tcp_syn_scan", &all_ports()));
    let mut connection = gateway.open(&call).await;
    let scan = scan_of(worker).await;
    session.cancel(5).await;
    check_ended(worker, &scan).await;
    let nothing = connection.response(SOON).await.unwrap();
    assert_eq!(nothing.text(), "", "no answer follows a cancel");
}

/// A worker that is killed takes its scan along, and another one begins it anew.
async fn check_kill(gateway: &Running, worker: Running, other: impl AsyncFnOnce() -> Running) {
    let call = watched("nmap_tcp_syn_scan", &all_ports());
    let connection = gateway.open(&call).await;
    let scan = scan_of(&worker).await;
    // It came too late for the call.
    let other = other().await;
    worker.kill_9().unwrap();
    all_end(&scan, STOPS).await.unwrap();
    let again = scan_of(&other).await;
    drop(connection);
    check_ended(&other, &again).await;
}

#[test]
fn own_broker_scan_of_all_ports_leaves_no_nmap_when_it_is_cancelled_or_its_worker_is_killed() {
    let (package, name) = NMAP;
    if namespaces::stage().is_none() {
        Runtime::new().unwrap().block_on(async {
            // There is no time for it in the namespaces.
            for (package, name) in [NMAP, ("gateway", "discovery-gateway")] {
                binary(package, name).await.unwrap();
            }
        });
    }
    lab_of_daemons(async || {
        far_side();
        ip("neigh add 10.1.0.66 lladdr 02:00:00:00:00:66 dev near nud permanent");
        let node = Node::start().await.unwrap();
        let site = Site::on(&node);
        let worker = async || {
            let worker = Running::worker(site.program_of(package, name).await);
            worker.ready().await;
            worker
        };
        let (gateway, first) = tokio::join!(site.gateway(), worker());
        gateway.lists("nmap_tcp_syn_scan").await;
        check_closed_stream(&gateway, &first).await;
        check_notification(&gateway, &first).await;
        check_kill(&gateway, first, worker).await;
    });
}

/// Waits for the first packet of a sweep.
async fn begun(socket: &UdpSocket) {
    let first = timeout(SOON, socket.recv_from(&mut [0; 2048])).await;
    first.expect("the sweep begins").unwrap();
}

/// Checks that a sweep that was cancelled just now sends nothing more.
async fn check_silence(socket: &UdpSocket) {
    let cancelled = Instant::now();
    let mut last = cancelled;
    while timeout(PAUSE, socket.recv_from(&mut [0; 2048]))
        .await
        .is_ok()
    {
        last = Instant::now();
        assert!(last - cancelled < STOPS, "the sweep goes on");
    }
    println!(
        "the last packet came {:?} after the cancel",
        last - cancelled
    );
}

#[tokio::test]
async fn cancelled_sweep_of_65534_addresses_stops_within_a_second() {
    let site = Site::new().await;
    let worker = async || {
        let worker = Running::worker(site.snmp_worker_program().await);
        worker.ready().await;
        worker
    };
    let (gateway, _worker) = tokio::join!(site.gateway(), worker());
    gateway.lists("snmp_discover").await;
    // All addresses of the loopback network lead here, and none answers.
    let port = free_port().unwrap();
    let socket = UdpSocket::bind(("0.0.0.0", port)).await.unwrap();
    let sweep = json!({ "targetRange": "127.1.0.0/16", "port": port, "rate": 1000 });

    let mut connection = gateway.open(&watched("snmp_discover", &sweep)).await;
    begun(&socket).await;
    until_told(&mut connection, "addresses asked").await;
    drop(connection);
    check_silence(&socket).await;

    let session = Session::open(&gateway).await;
    let call = session.request(legacy(5, "snmp_discover", &sweep));
    let _connection = gateway.open(&call).await;
    begun(&socket).await;
    session.cancel(5).await;
    check_silence(&socket).await;
}

#[tokio::test]
async fn walk_and_table_and_inventory_say_how_far_they_are() {
    let (site, snmpd) = tokio::join!(Site::new(), Snmpd::start());
    let snmpd = snmpd.expect("an agent: run scripts/test");
    let worker = Running::worker(site.snmp_worker_program().await);
    let gateway = site.gateway().await;
    worker.ready().await;
    gateway.lists("snmp_walk").await;
    let options = json!({ "host": "127.0.0.1", "port": snmpd.address().port(),
        "community": COMMUNITY });
    let created = gateway.call("snmp_create_session", options.clone()).await;
    let session = &created["result"]["structuredContent"]["sessionId"];
    let walk = json!({ "sessionId": session, "oid": "1.3.6.1.2.1.2" });
    let table = json!({ "sessionId": session, "oid": "ifTable" });
    for (tool, arguments, said) in [
        ("snmp_walk", walk, " values, at 1.3.6.1.2.1.2."),
        ("snmp_table", table, " values of ifTable"),
        ("snmp_device_inventory", options, "reading "),
    ] {
        let reply = gateway
            .client()
            .send(&watched(tool, &arguments), READY)
            .await;
        let messages = reply.unwrap().messages;
        let answer = messages.last().unwrap();
        assert_eq!(answer["result"]["isError"], false, "{tool}: {answer:#}");
        let steps = steps(&messages);
        assert!(
            steps.iter().any(|step| step.contains(said)),
            "{tool}: {steps:?}"
        );
    }
}
