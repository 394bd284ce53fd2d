use testkit::namespaces::{far_side, ip, lab, run};
use worker::Scope;

use super::*;
use crate::ports::{PortSet, PortSets, Protocol};
use crate::report::PortState;
use crate::scan::{Selection, Technique};

#[test]
fn a_cursor_is_an_address_of_the_targets() {
    let addresses = AddressSet::of(["10.0.0.0/30".parse().unwrap()]);
    let ports = Selection::Named(PortSets {
        tcp: PortSet::listed("1-100").unwrap(),
        udp: PortSet::listed("53").unwrap(),
    });
    let todo = |cursor| Todo::new(&addresses, cursor)?.of_ports(ports.clone());
    assert_eq!(todo(Some("from-10.0.0.2")).unwrap().len(), 2);
    assert_eq!(todo(None).unwrap().len(), 4);
    for good in [
        "from-10.0.0.1-to-10.0.0.2-tcp-100",
        "from-10.0.0.1-to-10.0.0.3-udp-53",
    ] {
        let cursor = todo(Some(good)).unwrap().cursor();
        assert_eq!(cursor.unwrap().to_string(), good);
    }
    for bad in [
        "",
        "from-",
        "from-10.0.0.4",
        "10.0.0.1",
        "from-10.0.0.1,2",
        "from-::1",
        "from-x",
        "from-10.0.0.1-to-10.0.0.4-tcp-100",
        "from-10.0.0.1-to-10.0.0.0-tcp-100",
        "from-10.0.0.1-to-10.0.0.2-tcp-101",
        "from-10.0.0.1-to-10.0.0.2-udp-100",
    ] {
        let error = todo(Some(bad)).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArguments, "{bad}");
    }
}

#[test]
fn what_is_missing_is_announced() {
    let scanner = Scanner::new("no-such-nmap".into(), NonZeroU16::MIN);
    let description = scanner.description("Scan.", false);
    assert!(description.starts_with("UNAVAILABLE"), "{description}");
    assert!(description.contains("no-such-nmap") && description.ends_with("Scan."));
}

/// A SYN scan of a port range, without a look whether the hosts are up.
fn request(target: serde_json::Value, ports: &str, skip_discovery: bool) -> Request {
    let ports = ports.parse::<crate::ports::Ports>().unwrap();
    let ports = ports.by_protocol(Protocol::Tcp);
    Request {
        targets: serde_json::from_value(target).unwrap(),
        scan: Scan {
            technique: Technique::TcpSyn,
            timing: 3,
            options: vec!["-sS".to_owned()],
            ports: Selection::Named(ports),
            n_probes: 1,
            skip_discovery,
            needs_raw_sockets: true,
            open_only: false,
            reason: false,
        },
        page: Page::default(),
    }
}

fn scanner() -> Scanner {
    Scanner::new("nmap".into(), NonZeroU16::MIN)
}

fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

#[test]
fn at_the_deadline_what_was_found_is_returned_and_the_cursor_leads_on() {
    lab(async || {
        far_side();
        ip("route add fd02::/64 via fd01::2");
        ip("-netns far route add blackhole fd02::/64");
        let context = Context::for_test(Scope::default());
        let targets = serde_json::json!(["fd02::66", "10.1.0.2"]);
        let mut request = request(targets, "1-8", true);
        // One probe at a time, and each takes a second where nothing answers.
        request.scan.timing = 2;
        let end = in_seconds(9);
        let scanned = scanner().run_until(&context, request, end).await.unwrap();
        assert!(Instant::now() < end + Duration::from_secs(1));
        let found: Vec<(String, bool)> = scanned
            .hosts
            .iter()
            .map(|host| (host.address.to_string(), host.complete))
            .collect();
        assert_eq!(found[0], ("10.1.0.2".to_owned(), true), "{scanned:#?}");
        assert_eq!(scanned.truncated_by, Some(TruncatedBy::Deadline));
        assert_eq!(scanned.next_cursor.as_deref(), Some("from-fd02::66"));
        assert_eq!((scanned.stats.up, scanned.stats.total), (1, 1));
    });
}

/// A far host that answers pings, and nothing at TCP ports from this one on.
fn far_side_silent_from(port: u16) {
    far_side();
    ip(&format!(
        "-netns far rule add ipproto tcp sport {port}-65534 pref 10 blackhole"
    ));
}

#[test]
fn a_host_that_was_not_finished_is_listed_as_such_and_no_cursor_leads_to_it_for_ever() {
    lab(async || {
        far_side_silent_from(1);
        let context = Context::for_test(Scope::default());
        let mut request = request(serde_json::json!("10.1.0.2"), "1-7", false);
        // One probe in 0.4 s.
        request.scan.timing = 2;
        let scanned = scanner()
            .run_until(&context, request, in_seconds(4))
            .await
            .unwrap();
        assert_eq!((scanned.hosts.len(), scanned.hosts[0].complete), (1, false));
        assert_eq!((scanned.stats.total, scanned.stats.unfinished), (0, 1));
        assert_eq!(scanned.truncated_by, Some(TruncatedBy::Deadline));
        assert_eq!(scanned.next_cursor, None, "it would lead here again");
        assert!(scanned.truncated, "{scanned:#?}");
        assert!(
            scanned.warnings[0].contains("fewer ports"),
            "{:?}",
            scanned.warnings
        );
    });
}

/// A program that listens on port 22 of the far side.
async fn listening() -> testkit::process::Process {
    let script = "import socket, time\ns = socket.create_server(('', 22))\ntime.sleep(60)";
    let program = testkit::process::Program::new("ip")
        .args(["netns", "exec", "far", "python3", "-c", script])
        .start()
        .unwrap();
    let listens = async || {
        let sockets = run(&["ip", "netns", "exec", "far", "cat", "/proc/net/tcp"]);
        sockets.contains(":0016 ").then_some(())
    };
    testkit::wait::until("port 22 is open", Duration::from_secs(10), listens)
        .await
        .unwrap();
    program
}

fn port_22(scanned: &Scanned) -> Vec<(u16, PortState)> {
    let ports = scanned.hosts[0].ports.iter();
    ports
        .filter(|port| port.port == 22)
        .map(|port| (port.port, port.state))
        .collect()
}

#[test]
fn a_scan_of_all_ports_lists_at_its_deadline_the_open_port_that_it_has_found() {
    lab(async || {
        far_side_silent_from(2001);
        let _open = listening().await;
        let context = Context::for_test(Scope::default());
        let mut request = request(serde_json::json!("10.1.0.2"), "-", false);
        request.scan.timing = 5;
        let end = in_seconds(8);
        let scanned = scanner().run_until(&context, request, end).await.unwrap();
        assert!(Instant::now() < end + Duration::from_secs(1));
        assert_eq!(port_22(&scanned), [(22, PortState::Open)], "{scanned:#?}");
        assert!(!scanned.hosts[0].complete && scanned.truncated);
        assert_eq!(scanned.truncated_by, Some(TruncatedBy::Deadline));
        let cursor = scanned.next_cursor.unwrap();
        assert!(
            cursor.starts_with("from-10.1.0.2-to-10.1.0.2-tcp-"),
            "{cursor}"
        );
        assert_eq!((scanned.stats.up, scanned.stats.unfinished), (0, 1));
    });
}

#[test]
fn a_scan_goes_on_behind_the_ports_that_are_done() {
    lab(async || {
        far_side_silent_from(991);
        let _open = listening().await;
        let context = Context::for_test(Scope::default());
        let page = async |cursor: Option<String>, seconds: u64| {
            let mut request = request(serde_json::json!("10.1.0.2"), "1-1600", false);
            // So the silent ports take some 7 s.
            request.scan.timing = 5;
            request.page.cursor = cursor;
            let end = in_seconds(seconds);
            scanner().run_until(&context, request, end).await.unwrap()
        };
        let first = page(None, 4).await;
        assert_eq!(port_22(&first), [(22, PortState::Open)], "{first:#?}");
        let cursor = first.next_cursor.as_deref();
        assert_eq!(cursor, Some("from-10.1.0.2-to-10.1.0.2-tcp-1001"));
        let second = page(first.next_cursor, 25).await;
        assert_eq!(
            (second.next_cursor, second.truncated),
            (None, false),
            "{:?}",
            second.hosts
        );
        assert!(second.hosts[0].complete && port_22_is_not_scanned_again(&second.hosts[0]));
        assert_eq!((second.stats.up, second.stats.unfinished), (1, 0));
    });
}

fn port_22_is_not_scanned_again(host: &crate::report::Host) -> bool {
    let others = host.other_ports.iter().map(|others| others.count);
    host.ports.is_empty() && others.sum::<u32>() == 600
}

#[test]
fn ports_of_nmaps_table_are_split_by_number() {
    lab(async || {
        far_side();
        let mut request = request(serde_json::json!("10.1.0.2"), "1", true);
        request.scan.ports = Selection::MostOften(Protocol::Tcp, 1001);
        let nmap = scanner().nmap().unwrap();
        let listed = listing::ports(&nmap, &request.scan).await.unwrap();
        let Selection::Named(ports) = listed else {
            panic!("{listed:?}");
        };
        assert_eq!((ports.tcp.len(), ports.udp.len()), (1001, 0));
        let context = Context::for_test(Scope::default());
        let scanned = scanner()
            .run_until(&context, request, in_seconds(20))
            .await
            .unwrap();
        let closed = &scanned.hosts[0].other_ports;
        assert_eq!((closed.len(), closed[0].count), (1, 1001), "{scanned:#?}");
    });
}

#[test]
fn a_scan_whose_time_goes_by_while_another_one_runs_is_told_so() {
    lab(async || {
        far_side();
        let scanner = scanner();
        let context = Context::for_test(Scope::default());
        let other = scanner
            .turns
            .wait(&AddressSet::of(["10.1.0.2/32".parse().unwrap()]))
            .await;
        let mut request = request(serde_json::json!("10.1.0.2"), "1-7", true);
        // They take 2.8 s.
        request.scan.timing = 2;
        let end = in_seconds(3);
        let ends_in_the_meantime = async {
            tokio::time::sleep_until(end - Duration::from_secs(1)).await;
            drop(other);
        };
        let late = Box::pin(scanner.run_until(&context, request, end));
        let (late, ()) = tokio::join!(late, ends_in_the_meantime);
        let refused = late.unwrap_err();
        assert_eq!(refused.code, ErrorCode::DeadlineExceeded, "{refused}");
        assert!(refused.message.contains("still under way"), "{refused}");
    });
}

#[test]
fn two_callers_who_scan_one_host_do_so_one_after_the_other() {
    lab(async || {
        far_side();
        let context = Context::for_test(Scope::default());
        let scanner = Scanner::new("nmap".into(), NonZeroU16::new(4).unwrap());
        let slow = || {
            let mut request = request(serde_json::json!("10.1.0.2"), "1-3", false);
            request.scan.timing = 2;
            scanner.run_until(&context, request, in_seconds(20))
        };
        let started = Instant::now();
        let (one, other) = tokio::join!(slow(), slow());
        let (one, other) = (
            one.unwrap().stats.elapsed_ms,
            other.unwrap().stats.elapsed_ms,
        );
        let both = u64::try_from(started.elapsed().as_millis()).unwrap();
        // Whoever came second waited for the first: its time is that of both.
        assert!(
            one.max(other) + 200 >= both && one.min(other) < both * 2 / 3,
            "{one} {other} {both}"
        );
    });
}

#[tokio::test]
async fn a_scan_that_gets_no_turn_says_why() {
    let scanner = scanner();
    let context = Context::for_test(Scope::default());
    let _other = scanner
        .turns
        .wait(&AddressSet::of(["127.0.0.1/32".parse().unwrap()]))
        .await;
    let mut request = request(serde_json::json!("127.0.0.1"), "9", true);
    request.scan.needs_raw_sockets = false;
    let refused = scanner
        .run_until(&context, request, in_seconds(1))
        .await
        .unwrap_err();
    assert_eq!(refused.code, ErrorCode::DeadlineExceeded);
    assert!(
        refused.retryable && refused.message.contains("still under way"),
        "{refused}"
    );
}
