use serde_json::{Value, json};
use testkit::namespaces::{far_side, hosts, ip, ip_json, lab};

use crate::call::{call, done, error};

/// Fields that both name, of one route or next hop.
type Common = (
    String,
    Value,
    Value,
    u64,
    Value,
    String,
    String,
    String,
    String,
);

/// What `ip -details route` says, one entry per next hop.
fn of_ip(version: u8) -> Vec<Common> {
    let mut entries = Vec::new();
    for route in ip_json(&format!("-details -{version} route show table all")) {
        let table = route["table"].as_str().unwrap_or("main").to_owned();
        if table == "local" {
            continue;
        }
        let one = |hop: &Value| {
            (
                cidr(route["dst"].as_str().unwrap(), version),
                gateway(hop).clone(),
                hop["dev"].clone(),
                route["metric"].as_u64().unwrap_or(0),
                route["prefsrc"].clone(),
                table.clone(),
                route["protocol"].as_str().unwrap().to_owned(),
                route["scope"].as_str().unwrap_or("global").to_owned(),
                route["type"].as_str().unwrap().to_owned(),
            )
        };
        match route["nexthops"].as_array() {
            Some(hops) => entries.extend(hops.iter().map(one)),
            None => entries.push(one(&route)),
        }
    }
    sorted(entries)
}

/// `ip` names a router of another IP version elsewhere.
fn gateway(hop: &Value) -> &Value {
    hop.pointer("/via/host").unwrap_or(&hop["gateway"])
}

fn of_tool(result: &Value, version: u8) -> Vec<Common> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let routes = result["routes"].as_array().unwrap();
    let of_version = routes
        .iter()
        .filter(|route| (version == 6) == route["destination"].as_str().unwrap().contains(':'));
    let entries = of_version.map(|route| {
        (
            text(&route["destination"]),
            route["gateway"].clone(),
            // `ip` names the loopback interface for IPv6 routes that refuse packets, as the
            // kernel does.
            route["interface"].clone(),
            route["metric"].as_u64().unwrap(),
            route["source"].clone(),
            text(&route["table"]),
            text(&route["protocol"]),
            text(&route["scope"]),
            text(&route["type"]),
        )
    });
    sorted(entries.collect())
}

fn cidr(destination: &str, version: u8) -> String {
    let (any, host) = if version == 4 {
        ("0.0.0.0/0", 32)
    } else {
        ("::/0", 128)
    };
    match destination {
        "default" => any.to_owned(),
        network if network.contains('/') => network.to_owned(),
        address => format!("{address}/{host}"),
    }
}

fn sorted(mut entries: Vec<Common>) -> Vec<Common> {
    entries.sort_by_key(|entry| format!("{entry:?}"));
    entries
}

async fn check_same_as_ip() -> Value {
    let result = done("route", json!({ "limit": 1000 })).await;
    for version in [4, 6] {
        assert_eq!(of_tool(&result, version), of_ip(version), "IPv{version}");
    }
    result
}

fn many_routes() {
    far_side();
    ip("link add other type veth peer name another");
    ip("link set other up");
    ip("link set another up");
    ip("addr add 10.7.0.1/24 dev other");
    for route in [
        "default via 10.1.0.2 metric 50",
        "default via 10.7.0.9 metric 100 proto dhcp",
        "10.8.0.0/16 via 10.1.0.2 src 10.7.0.1 proto static",
        "10.9.0.0/16 nexthop via 10.1.0.2 weight 3 nexthop via 10.7.0.9 weight 1",
        "blackhole 10.66.0.0/24",
        "unreachable 10.67.0.0/24",
        "prohibit 10.68.0.0/24",
        "10.10.0.0/16 via inet6 fd01::2 dev near",
        "10.11.0.0/16 dev near scope link table 77",
        "10.12.0.7 via 10.1.0.2 proto bgp",
        "fd08::/32 via fd01::2 metric 7",
        "fd09::/32 nexthop via fd01::2 weight 2 nexthop via fd01::3",
        "unreachable fd67::/64",
        "prohibit fd68::/64",
    ] {
        ip(&format!("route add {route}"));
    }
    ip("-6 route add default via fd01::2");
}

#[tokio::test]
async fn the_routes_of_this_machine_are_those_that_ip_lists() {
    let result = check_same_as_ip().await;
    assert!(result["worker_host"].is_string());
    assert_eq!(result["site"], "default");
}

#[test]
fn routes_of_every_kind_are_those_that_ip_lists() {
    lab(async || {
        many_routes();
        let result = check_same_as_ip().await;
        let routes = result["routes"].as_array().unwrap();
        let of = |destination: &str| -> Vec<&Value> {
            routes
                .iter()
                .filter(|route| route["destination"] == destination)
                .collect()
        };
        let weights: Vec<_> = of("10.9.0.0/16")
            .iter()
            .map(|route| route["weight"].clone())
            .collect();
        assert_eq!(weights, [3, 1]);
        assert_eq!(of("10.10.0.0/16")[0]["gateway"], "fd01::2");
        assert_eq!(of("10.11.0.0/16")[0]["table"], "77");
        assert_eq!(
            of("0.0.0.0/0")[0]["metric"],
            50,
            "the better route comes first"
        );
        assert_eq!(of("10.66.0.0/24")[0]["type"], "blackhole");
    });
}

#[test]
fn with_a_destination_it_is_the_route_that_the_kernel_takes() {
    lab(async || {
        many_routes();
        for (target, matched) in [
            ("10.1.0.2", "10.1.0.0/24"),
            ("10.8.1.1", "10.8.0.0/16"),
            ("10.12.0.7", "10.12.0.7/32"),
            ("8.8.8.8", "0.0.0.0/0"),
            ("127.0.0.1", "127.0.0.1/32"),
            ("10.1.0.1", "10.1.0.1/32"),
            ("10.10.0.1", "10.10.0.0/16"),
            ("fd08::1", "fd08::/32"),
            ("fd01::77", "fd01::/64"),
            ("2001:db8::1", "::/0"),
            ("::1", "::1/128"),
        ] {
            let result = done("route", json!({ "destination": target })).await;
            let routes = result["routes"].as_array().unwrap();
            assert_eq!(routes.len(), 1, "{target}: {result:#}");
            let ours = &routes[0];
            let theirs = &ip_json(&format!("route get {target}"))[0];
            assert_eq!(ours["target"], target);
            assert_eq!(ours["destination"], matched, "{target}");
            assert_eq!(ours["interface"], theirs["dev"], "{target}");
            assert_eq!(ours["source"], theirs["prefsrc"], "{target}");
            assert_eq!(&ours["gateway"], gateway(theirs), "{target}");
        }
        let result = done("route", json!({ "destination": "8.8.8.8" })).await;
        assert_eq!(result["routes"][0]["metric"], 50);
        let result = done("route", json!({ "destination": "::ffff:10.8.1.1" })).await;
        assert_eq!(
            result["routes"][0]["target"], "10.8.1.1",
            "a mapped address is the IPv4 one"
        );
    });
}

#[test]
fn of_a_name_the_route_to_each_address_is_given() {
    lab(async || {
        many_routes();
        hosts("10.8.0.5 twice.example\n10.1.0.2 twice.example\n8.8.8.8 outside.example\n");
        let result = done("route", json!({ "destination": "twice.example" })).await;
        let mut targets: Vec<&str> = result["routes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|route| route["target"].as_str().unwrap())
            .collect();
        targets.sort_unstable();
        assert_eq!(targets, ["10.1.0.2", "10.8.0.5"]);
        let refused = error(&call("route", json!({ "destination": "outside.example" })).await);
        assert_eq!(refused["code"], "out_of_scope");
    });
}

#[test]
fn without_a_route_the_error_says_what_the_kernel_says() {
    lab(async || {
        let check = async |target: &str, why: &str| {
            let refused = error(&call("route", json!({ "destination": target })).await);
            assert_eq!(refused["code"], "unreachable", "{target}: {refused:#}");
            let message = refused["message"].as_str().unwrap();
            assert!(
                message.contains(target) && message.contains(why),
                "{message}"
            );
        };
        check("10.1.2.3", "the network is unreachable").await;
        check("2001:db8::1", "unreachable").await;
        many_routes();
        check("10.66.0.1", "blackhole").await;
        check("10.67.0.1", "unreachable").await;
        check("10.68.0.1", "prohibited").await;
        check("fd67::1", "unreachable").await;
        check("fd68::1", "prohibited").await;
    });
}

#[test]
fn pages_together_are_the_whole_list() {
    lab(async || {
        many_routes();
        let whole = done("route", json!({ "limit": 1000 })).await;
        let mut routes = Vec::new();
        let mut arguments = json!({ "limit": 3 });
        loop {
            let page = done("route", arguments.clone()).await;
            routes.extend(page["routes"].as_array().unwrap().clone());
            assert_eq!(page["truncated"], page.get("nextCursor").is_some());
            match page.get("nextCursor") {
                Some(cursor) => arguments["cursor"] = cursor.clone(),
                None => break,
            }
        }
        assert_eq!(json!(routes), whole["routes"]);
    });
}
