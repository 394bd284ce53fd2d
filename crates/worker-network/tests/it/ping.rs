use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use testkit::namespaces::{far_side, ip, lab, lab_with, run, sysctl};

use crate::call::{call, done, error, structured, worker};

/// Every reply in order, none lost, and statistics that are those of the replies.
fn check_complete(result: &Value, count: u64) {
    assert_eq!(result["sent"], count, "{result:#}");
    assert_eq!(result["received"], count, "{result:#}");
    assert_eq!(result["loss_percent"], 0.0);
    assert_eq!(result["lost"], json!([]));
    let replies = result["replies"].as_array().unwrap();
    let numbers: Vec<u64> = replies
        .iter()
        .map(|reply| reply["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<u64>>());
    let times: Vec<f64> = replies
        .iter()
        .map(|reply| reply["rtt_ms"].as_f64().unwrap())
        .collect();
    let near = |name: &str, expected: f64| {
        let actual = result["rtt_ms"][name].as_f64().unwrap();
        assert!(
            (actual - expected).abs() < 0.001,
            "{name}: {actual}, not {expected}"
        );
    };
    let n = f64::from(u32::try_from(times.len()).unwrap());
    let mean = times.iter().sum::<f64>() / n;
    let square = times.iter().map(|time| time * time).sum::<f64>() / n;
    near("min", times.iter().copied().fold(f64::INFINITY, f64::min));
    near("max", times.iter().copied().fold(0.0, f64::max));
    near("avg", mean);
    near("stddev", (square - mean * mean).max(0.0).sqrt());
    assert!(
        times.iter().all(|&time| time > 0.0 && time < 5000.0),
        "{times:?}"
    );
}

#[test]
fn loopback_answers_every_request() {
    lab(async || {
        for (host, address, ttl) in [
            ("127.0.0.1", "127.0.0.1", Some(64)),
            ("::1", "::1", None),
            ("127.8.9.10", "127.8.9.10", Some(64)),
        ] {
            let result = done("ping", json!({ "host": host })).await;
            check_complete(&result, 4);
            assert_eq!(result["address"], address);
            assert_eq!(result["size_bytes"], 56);
            assert_eq!(result["replies"][0]["ttl"].as_u64(), ttl, "{host}");
        }
    });
}

#[test]
fn an_ipv4_mapped_address_is_pinged_as_the_ipv4_address_it_is() {
    lab(async || {
        let result = done("ping", json!({ "host": "::ffff:127.0.0.1", "count": 1 })).await;
        check_complete(&result, 1);
        assert_eq!(result["address"], "127.0.0.1");
    });
}

#[test]
fn requests_are_sent_200_ms_apart() {
    lab(async || {
        let started = Instant::now();
        let result = done("ping", json!({ "host": "127.0.0.1", "count": 6 })).await;
        check_complete(&result, 6);
        assert!(
            started.elapsed() >= Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
    });
}

#[test]
fn concurrent_calls_each_get_their_own_replies() {
    lab(async || {
        let worker = worker();
        let calls = (0..50).map(|n| {
            let worker = worker.clone();
            async move {
                let (count, size) = (1 + n % 4, 56 + 19 * n);
                // Half of them ping the same address at the same time.
                let host = if n % 2 == 0 {
                    "127.0.0.1".to_owned()
                } else {
                    format!("127.0.1.{n}")
                };
                let arguments = json!({ "host": host, "count": count, "size": size });
                let result = structured(&worker.call_for_test("ping", arguments).await);
                check_complete(&result, count);
                assert_eq!(result["address"], host);
                assert_eq!(result["size_bytes"], size);
            }
        });
        join_all(calls).await;
    });
}

#[test]
fn hundreds_of_calls_at_once_overflow_no_buffer() {
    lab(async || {
        let worker = worker();
        let calls = (0..400).map(|_| {
            let worker = worker.clone();
            async move {
                let arguments = json!({ "host": "127.0.0.1", "count": 5, "size": 1024 });
                check_complete(
                    &structured(&worker.call_for_test("ping", arguments).await),
                    5,
                );
            }
        });
        join_all(calls).await;
    });
}

#[test]
fn a_host_behind_a_router_answers_with_one_hop_less() {
    lab(async || {
        behind_router();
        let result = done(
            "ping",
            json!({ "host": "10.2.0.2", "count": 2, "size": 1024 }),
        )
        .await;
        check_complete(&result, 2);
        assert_eq!(result["replies"][0]["ttl"], 63);
        let result = done("ping", json!({ "host": "fd02::2", "count": 2 })).await;
        check_complete(&result, 2);
    });
}

#[test]
fn a_silent_host_is_a_loss_of_100_percent_and_no_error() {
    lab(async || {
        far_side();
        ip("neigh add 10.1.0.66 lladdr 02:00:00:00:00:66 dev near nud permanent");
        let started = Instant::now();
        let arguments = json!({ "host": "10.1.0.66", "count": 3, "timeout": 1 });
        let result = call("ping", arguments).await;
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "{:?}",
            started.elapsed()
        );
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(
            text.contains("does not answer: 0 of 3 replies, 100 % loss"),
            "{text}"
        );
        let result = structured(&result);
        assert_eq!(result["sent"], 3);
        assert_eq!(result["received"], 0);
        assert_eq!(result["loss_percent"], 100.0);
        assert_eq!(result.get("rtt_ms"), None);
        assert_eq!(result["replies"], json!([]));
        let expected: Vec<Value> = (1..=3)
            .map(|seq| json!({ "seq": seq, "reason": "timeout" }))
            .collect();
        assert_eq!(result["lost"], json!(expected));
    });
}

#[test]
fn a_host_that_is_down_on_the_link_is_reported_as_unreachable() {
    lab(async || {
        far_side();
        sysctl("net/ipv4/neigh/near/retrans_time_ms", "100");
        sysctl("net/ipv6/neigh/near/retrans_time_ms", "100");
        for (host, own) in [("10.1.0.9", "10.1.0.1"), ("fd01::9", "fd01::1")] {
            let result = done("ping", json!({ "host": host, "count": 1 })).await;
            assert_eq!(result["loss_percent"], 100.0);
            let lost = json!([{ "seq": 1, "reason": "host_unreachable", "from": own }]);
            assert_eq!(result["lost"], lost, "{host}");
        }
    });
}

#[test]
fn what_routers_report_is_passed_on() {
    lab(async || {
        behind_router();
        for (route, reason) in [
            ("unreachable 10.3.0.0/24", "host_unreachable"),
            ("prohibit 10.4.0.0/24", "prohibited"),
        ] {
            ip(&format!("-netns router route add {route}"));
            let (_, network) = route.split_once(' ').unwrap();
            let host = network.replace("0/24", "5");
            ip(&format!("route add {network} via 10.1.0.2"));
            let result = done("ping", json!({ "host": host, "count": 1 })).await;
            let lost = json!([{ "seq": 1, "reason": reason, "from": "10.1.0.2" }]);
            assert_eq!(result["lost"], lost, "{route}");
        }
        ip("-netns router -6 route add prohibit fd04::/64");
        ip("route add fd04::/64 via fd01::2");
        let result = done("ping", json!({ "host": "fd04::5", "count": 1 })).await;
        let lost = json!([{ "seq": 1, "reason": "prohibited", "from": "fd01::2" }]);
        assert_eq!(result["lost"], lost);
    });
}

#[test]
fn a_link_local_address_is_pinged_on_the_one_link_it_can_be_on() {
    lab(async || {
        far_side();
        ip("-netns far addr add fe80::77/64 dev far nodad");
        ip("addr add fe80::76/64 dev near nodad");
        let result = done("ping", json!({ "host": "fe80::77", "count": 1 })).await;
        check_complete(&result, 1);
        ip("link add other type veth peer name another");
        ip("link set other up");
        ip("link set another up");
        ip("addr add fe80::78/64 dev other nodad");
        let refused = error(&call("ping", json!({ "host": "fe80::77", "count": 1 })).await);
        assert_eq!(refused["code"], "unsupported");
        let message = refused["message"].as_str().unwrap();
        assert!(
            message.contains("near") && message.contains("other"),
            "{message}"
        );
    });
}

#[test]
fn without_a_route_nothing_is_sent_and_the_call_fails() {
    lab(async || {
        for host in ["10.9.9.9", "fd09::9"] {
            let refused = error(&call("ping", json!({ "host": host })).await);
            assert_eq!(refused["code"], "unreachable", "{refused:#}");
            let message = refused["message"].as_str().unwrap();
            assert!(
                message.contains(host) && message.contains("unreachable"),
                "{message}"
            );
        }
    });
}

#[test]
fn a_broadcast_address_of_a_network_is_not_pinged() {
    lab(async || {
        far_side();
        let refused = error(&call("ping", json!({ "host": "10.1.0.255" })).await);
        assert_eq!(refused["code"], "permission_denied", "{refused:#}");
        assert!(
            refused["hint"].as_str().unwrap().contains("broadcast"),
            "{refused:#}"
        );
    });
}

#[test]
fn without_raw_sockets_a_datagram_socket_is_used_and_without_both_the_error_says_how_to_help() {
    lab_with(&["setpriv", "--bounding-set=-net_raw"], async || {
        let worker = worker();
        let arguments = |host: &str| json!({ "host": host, "count": 2 });
        for host in ["127.0.0.1", "::1"] {
            let refused = error(&worker.call_for_test("ping", arguments(host)).await);
            assert_eq!(refused["code"], "permission_denied");
            for word in ["NET_RAW", "net.ipv4.ping_group_range"] {
                assert!(
                    refused["message"].as_str().unwrap().contains(word),
                    "{refused:#}"
                );
                assert!(
                    refused["hint"].as_str().unwrap().contains(word),
                    "{refused:#}"
                );
            }
        }
        sysctl("net/ipv4/ping_group_range", "0 0");
        // The same worker goes on as soon as the operator has mended it.
        let calls = ["127.0.0.1", "::1", "127.0.0.1", "127.0.0.1"]
            .map(|host| worker.call_for_test("ping", arguments(host)));
        for result in join_all(calls).await {
            check_complete(&structured(&result), 2);
        }
    });
}

/// The lab, a router with 10.1.0.2 and `fd01::2`, and behind it a host with 10.2.0.2 and
/// `fd02::2`.
fn behind_router() {
    ip("netns add router");
    ip("netns add host");
    ip("link add near type veth peer name front netns router");
    ip("-netns router link add back type veth peer name far netns host");
    for (place, interface, v4, v6) in [
        ("", "near", "10.1.0.1/24", "fd01::1/64"),
        ("-netns router", "front", "10.1.0.2/24", "fd01::2/64"),
        ("-netns router", "back", "10.2.0.1/24", "fd02::1/64"),
        ("-netns host", "far", "10.2.0.2/24", "fd02::2/64"),
    ] {
        ip(&format!("{place} addr add {v4} dev {interface}"));
        ip(&format!("{place} addr add {v6} dev {interface} nodad"));
        ip(&format!("{place} link set {interface} up"));
    }
    ip("route add 10.2.0.0/24 via 10.1.0.2");
    ip("route add fd02::/64 via fd01::2");
    ip("-netns host route add 10.1.0.0/24 via 10.2.0.1");
    ip("-netns host route add fd01::/64 via fd02::1");
    for path in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        let command = format!("echo 1 > /proc/sys/{path}");
        run(&["ip", "netns", "exec", "router", "sh", "-c", &command]);
    }
}
