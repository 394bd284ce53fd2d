//! `discovery tools`.

use serde_json::Value;

use crate::discovery::{discovery, ends, has, says, says_json};

const TOOLS: [(&str, &[&str]); 3] = [
    (
        "network",
        &[
            "arp", "ifconfig", "netstat", "nslookup", "ping", "route", "telnet", "wget", "whois",
        ],
    ),
    (
        "nmap",
        &[
            "nmap_ping_scan",
            "nmap_tcp_connect_scan",
            "nmap_tcp_syn_scan",
            "nmap_udp_scan",
            "nmap_version_scan",
        ],
    ),
    (
        "snmp",
        &[
            "snmp_close_session",
            "snmp_create_session",
            "snmp_device_inventory",
            "snmp_discover",
            "snmp_get",
            "snmp_get_next",
            "snmp_interface_discovery",
            "snmp_network_topology",
            "snmp_service_discovery",
            "snmp_system_health",
            "snmp_table",
            "snmp_walk",
        ],
    ),
];

#[tokio::test]
async fn tools_are_listed_under_their_category() {
    let text = says(&["tools"]).await;
    let mut lines = text.lines().filter(|line| !line.is_empty());
    for (category, tools) in TOOLS {
        assert_eq!(lines.next(), Some(category));
        for tool in tools {
            let (name, title) = lines.next().unwrap().trim().split_once("  ").unwrap();
            assert_eq!(name, *tool);
            assert!(!title.trim().is_empty(), "{name} has a title");
        }
    }
    assert_eq!(lines.next(), None);
}

/// The category of a tool of [`TOOLS`].
fn category(tool: &Value) -> &'static str {
    let has_it = |(_, tools): &&(&str, &[&str])| tools.iter().any(|name| tool == name);
    TOOLS.iter().find(has_it).unwrap().0
}

#[tokio::test]
async fn descriptors_are_complete() {
    let tools = says_json(&["tools", "--json"]).await;
    let tools = tools.as_array().unwrap();
    let names: Vec<&Value> = tools.iter().map(|tool| &tool["name"]).collect();
    let mut expected: Vec<&str> = TOOLS
        .iter()
        .flat_map(|(_, tools)| *tools)
        .copied()
        .collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for tool in tools {
        let name = &tool["name"];
        for text in ["title", "description"] {
            assert!(tool[text].as_str().is_some_and(|text| !text.is_empty()));
        }
        for schema in ["inputSchema", "outputSchema"] {
            let schema = &tool[schema];
            assert_eq!(schema["type"], "object", "{name}");
            let properties = schema["properties"].as_object().unwrap();
            assert!(!properties.is_empty(), "{name}");
            let required = schema["required"].as_array().into_iter().flatten();
            for key in required.filter_map(Value::as_str) {
                assert!(properties.contains_key(key), "{name}: {key}");
            }
        }
        let input = &tool["inputSchema"];
        assert_eq!(input["additionalProperties"], false, "{name}");
        for (key, property) in input["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}: {key}");
        }
        assert_eq!(tool["annotations"]["readOnlyHint"], true, "{name}");
        let of = &tool["_meta"]["opendiscovery/category"];
        assert_eq!(of, category(name), "{name}");
    }
}

#[tokio::test]
async fn without_the_broker_that_is_configured_there_is_nothing_to_list() {
    let nobody = testkit::targets::refusing_address().unwrap();
    let tools = discovery(&["tools"]).env("AMQP_URL", format!("amqp://{nobody}"));
    let output = ends(tools, 69).await;
    assert_eq!(output.stdout, "");
    has(&output.stderr, &["message broker cannot be reached"]);
}
