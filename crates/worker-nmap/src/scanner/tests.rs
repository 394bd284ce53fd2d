use testkit::namespaces::{far_side, ip, lab};
use worker::Scope;

use super::*;
use crate::ports::PortSet;
use crate::scan::{Technique, port_option};

#[test]
fn a_cursor_is_an_address_of_the_targets() {
    let addresses = AddressSet::of(["10.0.0.0/30".parse().unwrap()]);
    let left = left_to_scan(&addresses, Some("from-10.0.0.2")).unwrap();
    assert_eq!(left.len(), 2);
    assert_eq!(left_to_scan(&addresses, None).unwrap(), addresses);
    for bad in [
        "",
        "from-",
        "from-10.0.0.4",
        "10.0.0.1",
        "from-10.0.0.1,2",
        "from-::1",
        "from-x",
    ] {
        let error = left_to_scan(&addresses, Some(bad)).unwrap_err();
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
    let (tcp, _) = ports.by_protocol(crate::ports::Protocol::Tcp);
    let mut options = vec!["-sS".to_owned()];
    options.extend(port_option(&tcp, &PortSet::default()));
    Request {
        targets: serde_json::from_value(target).unwrap(),
        scan: Scan {
            technique: Technique::TcpSyn,
            timing: 3,
            options,
            n_tcp_ports: tcp.len(),
            n_udp_ports: 0,
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

#[test]
fn a_host_that_was_not_finished_is_listed_as_such() {
    lab(async || {
        far_side();
        let context = Context::for_test(Scope::default());
        let mut request = request(serde_json::json!("10.1.0.2"), "1-10", false);
        // One probe in 0.4 s.
        request.scan.timing = 2;
        request.scan.n_tcp_ports = 1;
        let scanned = scanner()
            .run_until(&context, request, in_seconds(3))
            .await
            .unwrap();
        assert_eq!((scanned.hosts.len(), scanned.hosts[0].complete), (1, false));
        assert_eq!(scanned.next_cursor.as_deref(), Some("from-10.1.0.2"));
        assert_eq!(scanned.stats.total, 0);
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
