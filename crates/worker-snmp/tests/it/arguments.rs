//! What the tools are asked by mistake or in bad faith.

use serde_json::{Value, json};

use crate::call::{failed, worker};

const WITH_HOST: [&str; 5] = [
    "snmp_create_session",
    "snmp_device_inventory",
    "snmp_interface_discovery",
    "snmp_system_health",
    "snmp_service_discovery",
];

#[tokio::test]
async fn hosts_that_are_none_and_hosts_outside_the_scope_are_refused() {
    let worker = worker();
    for tool in WITH_HOST {
        for host in [
            "-iL/etc/passwd",
            "10.0.0.1,2",
            "10.0.0.0/8",
            "0x7f000001",
            "a b",
            "*.x",
        ] {
            let error = failed(&worker, tool, json!({ "host": host })).await;
            assert_eq!(error["code"], "invalid_arguments", "{tool} {host}: {error}");
        }
        for host in [
            "8.8.8.8",
            "169.254.169.254",
            "::ffff:8.8.8.8",
            "224.0.0.1",
            "0.0.0.0",
        ] {
            let error = failed(&worker, tool, json!({ "host": host })).await;
            assert_eq!(error["code"], "out_of_scope", "{tool} {host}: {error}");
        }
    }
}

#[tokio::test]
async fn options_that_no_agent_has_are_refused_without_the_secrets_in_them() {
    let worker = worker();
    let check = async |mut options: Value, word: &str| {
        options["host"] = json!("127.0.0.1");
        for tool in WITH_HOST {
            let error = failed(&worker, tool, options.clone()).await;
            assert_eq!(error["code"], "invalid_arguments", "{tool}: {error}");
            let text = error.to_string();
            assert!(text.contains(word), "{tool}: {error}");
            assert!(!text.contains("s3cr3t"), "{tool}: {error}");
        }
    };
    check(json!({ "port": 0 }), "port").await;
    check(json!({ "port": 65_536 }), "port").await;
    check(json!({ "version": "4" }), "version").await;
    check(json!({ "version": 3 }), "version").await;
    check(json!({ "timeout": 1 }), "timeout").await;
    check(json!({ "retries": 99 }), "retries").await;
    check(json!({ "community": "" }), "community").await;
    check(json!({ "community": ["s3cr3t"] }), "community").await;
    check(json!({ "community": "s3cr3t".repeat(100) }), "community").await;
    check(json!({ "version": "3" }), "user").await;
    check(json!({ "user": "admin" }), "user").await;
    let short = json!({ "version": "3", "user": "a", "authProtocol": "sha", "authKey": "s3cr3t" });
    check(short, "authKey").await;
    check(
        json!({ "version": "3", "user": "a", "authProtocol": "crc32" }),
        "authProtocol",
    )
    .await;
    check(json!({ "creds_id": "switches" }), "creds_id").await;
}

#[tokio::test]
async fn objects_that_are_none_are_refused_by_name() {
    let worker = worker();
    for session in ["", "nothing", "s3cr3t"] {
        let arguments = json!({ "sessionId": session, "oids": ["sysName.0"] });
        let error = failed(&worker, "snmp_get", arguments).await;
        assert_eq!(error["code"], "invalid_arguments", "{error}");
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }
    for oids in [
        json!([]),
        json!("sysName"),
        json!([7]),
        json!(vec!["1.3.6"; 201]),
    ] {
        let arguments = json!({ "sessionId": "x", "oids": oids });
        let error = failed(&worker, "snmp_get", arguments).await;
        assert_eq!(error["code"], "invalid_arguments", "{error}");
    }
}
