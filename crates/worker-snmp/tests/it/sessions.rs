//! Sessions with every version and level of security.

use serde_json::{Value, json};

use crate::call::{done, failed, session, worker, worker_with_key};
use crate::snmpd::Snmpd;

const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

#[tokio::test]
async fn an_agent_is_asked_with_every_version_and_every_protocol() {
    let (snmpd, worker) = (Snmpd::start().await, worker());
    let mut v1 = snmpd.v2c();
    v1["version"] = json!("1");
    for options in [
        v1,
        snmpd.v2c(),
        snmpd.v3("md5des", "md5", "des"),
        snmpd.v3("shaaes", "sha", "aes"),
        snmpd.v3("sha224aes", "sha224", "aes128"),
        snmpd.v3("sha256aes", "sha256", "aes"),
        snmpd.v3("sha384aes192", "sha384", "aes192"),
        snmpd.v3("sha512aes256", "sha512", "aes256"),
        snmpd.v3("sha256only", "sha256", ""),
        snmpd.v3("nobody", "", ""),
    ] {
        let created = done(&worker, "snmp_create_session", options.clone()).await;
        assert_eq!(created["sysName"], "router-1", "{options}");
        assert_eq!(created["sysObjectId"], "NET-SNMP-TC::netSnmpLinux");
        let id = &created["sessionId"];
        let got = done(
            &worker,
            "snmp_get",
            json!({ "sessionId": id, "oids": ["sysLocation.0"] }),
        )
        .await;
        let value = &got["values"][0];
        assert_eq!(value["raw"], "Rack 7, Zürich", "{options}: {got}");
        let walked = done(
            &worker,
            "snmp_walk",
            json!({ "sessionId": id, "oid": "1.3.6.1.2.1.2", "limit": 10_000 }),
        )
        .await;
        let n_values = walked["values"].as_array().unwrap().len();
        assert!(n_values >= 22, "{options}: {n_values} {}", walked["note"]);
        assert_eq!(walked["truncated"], false, "{}", walked["note"]);
    }
}

#[tokio::test]
async fn wrong_credentials_are_said_to_be_wrong_and_never_repeated() {
    let (snmpd, worker) = (Snmpd::start().await, worker());
    let check = async |mut options: Value, argument: &str, value: &str, words: &str| {
        options[argument] = json!(value);
        options["timeout"] = json!(2000);
        let error = failed(&worker, "snmp_create_session", options).await;
        assert_eq!(error["code"], "authentication_failed", "{argument} {value}: {error}");
        assert_eq!(error["retryable"], false, "{error}");
        let text = error.to_string();
        assert!(text.contains(words), "{error}");
        for secret in ["wrongpass", "authpass", "privpass"] {
            assert!(!text.contains(secret), "{error}");
        }
    };
    let right = || snmpd.v3("sha256aes", "sha256", "aes");
    check(right(), "authKey", "wrongpass123", "authKey").await;
    check(right(), "authProtocol", "sha512", "authKey").await;
    check(right(), "privKey", "wrongpass123", "privKey").await;
    check(right(), "user", "stranger", "no such user").await;
    let without_privacy = snmpd.v3("nobody", "sha256", "aes");
    check(without_privacy, "user", "nobody", "level").await;
}

#[tokio::test]
async fn a_wrong_community_and_a_silent_port_are_unreachable() {
    let (snmpd, worker) = (Snmpd::start().await, worker());
    let mut options = snmpd.v2c();
    options["timeout"] = json!(100);
    options["community"] = json!("wrong-c0mmun1ty");
    let error = failed(&worker, "snmp_create_session", options).await;
    assert_eq!(error["code"], "unreachable", "{error}");
    assert!(error["hint"].as_str().unwrap().contains("community"));
    assert!(!error.to_string().contains("wrong-c0mmun1ty"), "{error}");
}

#[tokio::test]
async fn a_session_made_at_one_worker_is_used_at_another_with_the_same_key() {
    let snmpd = Snmpd::start().await;
    let (one, other) = (worker_with_key(KEY), worker_with_key(KEY));
    let created = done(&one, "snmp_create_session", snmpd.v2c()).await;
    assert_eq!(created["shared"], true);
    let mut arguments = json!({ "sessionId": created["sessionId"], "oids": ["sysName"] });
    let got = done(&other, "snmp_get", arguments.clone()).await;
    assert_eq!(got["values"][0]["display"], "router-1");
    let alone = worker();
    let error = failed(&alone, "snmp_get", arguments.clone()).await;
    assert_eq!(error["code"], "not_found", "{error}");
    assert!(error["hint"].as_str().unwrap().contains("SNMP_SESSION_KEY"));
    let close = json!({ "sessionId": created["sessionId"] });
    let closed = done(&one, "snmp_close_session", close).await;
    assert_eq!(closed["effectiveAt"], "this_worker");
    let error = failed(&one, "snmp_get", arguments.clone()).await;
    assert_eq!(error["code"], "not_found", "{error}");
    done(&other, "snmp_get", arguments.clone()).await;
    arguments["sessionId"] = json!("made-up");
    let error = failed(&one, "snmp_get", arguments).await;
    assert_eq!(error["code"], "invalid_arguments", "{error}");
}

#[tokio::test]
async fn a_session_is_checked_against_the_scope_each_time_it_is_used() {
    let worker = worker();
    for host in ["8.8.8.8", "169.254.169.254", "224.0.0.1"] {
        let error = failed(&worker, "snmp_create_session", json!({ "host": host })).await;
        assert_eq!(error["code"], "out_of_scope", "{error}");
    }
    let snmpd = Snmpd::start().await;
    let open = worker_with_key(KEY);
    let arguments = session(&open, snmpd.v2c()).await;
    let settings = service::settings::Settings {
        snmp_session_key: Some(KEY.parse().unwrap()),
        scan_scope_deny: "127.0.0.1".parse().unwrap(),
        ..service::settings::Settings::default()
    };
    let limited = worker_snmp::worker(&settings).unwrap();
    let mut arguments = arguments;
    arguments["oids"] = json!(["sysName.0"]);
    let error = failed(&limited, "snmp_get", arguments).await;
    assert_eq!(error["code"], "out_of_scope", "{error}");
}
