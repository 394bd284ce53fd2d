//! Sessions with every version and level of security.

use serde_json::{Value, json};
use testkit::snmp::{COMMUNITY, Snmpd, USERS, User};

use crate::call::{done, failed, session, worker, worker_with_key};
use crate::net_snmp::{v2c, v3};

const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

fn user(name: &str) -> &'static User {
    USERS.iter().find(|user| user.name == name).unwrap()
}

#[tokio::test]
async fn an_agent_is_asked_with_every_version_and_every_protocol() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let mut v1 = v2c(snmpd.address(), COMMUNITY);
    v1["version"] = json!("1");
    let of_users = USERS.iter().map(|user| v3(snmpd.address(), user));
    for options in [v1, v2c(snmpd.address(), COMMUNITY)]
        .into_iter()
        .chain(of_users)
    {
        let created = done(&worker, "snmp_create_session", options.clone()).await;
        assert_eq!(
            created["sysObjectId"], "NET-SNMP-TC::netSnmpLinux",
            "{options}"
        );
        assert_eq!(
            created["version"],
            options.get("version").cloned().unwrap_or(json!("2c"))
        );
        let id = &created["sessionId"];
        let get = json!({ "sessionId": id, "oids": ["sysLocation.0"] });
        let got = done(&worker, "snmp_get", get).await;
        assert_eq!(got["values"][0]["raw"], "laboratory", "{options}: {got}");
        let walk = json!({ "sessionId": id, "oid": "1.3.6.1.2.1.2", "limit": 10_000 });
        let walked = done(&worker, "snmp_walk", walk).await;
        let n_values = walked["values"].as_array().unwrap().len();
        assert!(n_values >= 20, "{options}: {n_values} {}", walked["note"]);
        assert_eq!(walked["truncated"], false, "{}", walked["note"]);
    }
}

#[tokio::test]
async fn wrong_credentials_are_said_to_be_wrong_and_never_repeated() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let check = async |user: &User, argument: &str, value: &str, words: &str| {
        let mut options = v3(snmpd.address(), user);
        options[argument] = json!(value);
        options["timeout"] = json!(2000);
        let error = failed(&worker, "snmp_create_session", options).await;
        assert_eq!(
            error["code"], "authentication_failed",
            "{argument} {value}: {error}"
        );
        assert_eq!(error["retryable"], false, "{error}");
        let text = error.to_string();
        assert!(text.contains(words), "{error}");
        for secret in [
            "wrong-password",
            "authentication-password",
            "privacy-password",
        ] {
            assert!(!text.contains(secret), "{error}");
        }
    };
    let right = user("sha256-aes");
    check(right, "authKey", "wrong-password", "authKey").await;
    check(right, "authProtocol", "sha512", "authKey").await;
    check(right, "privKey", "wrong-password", "privKey").await;
    check(right, "user", "stranger", "no such user").await;
    check(user("signed"), "authKey", "wrong-password", "authKey").await;
    check(right, "user", "nobody", "level").await;
}

#[tokio::test]
async fn a_wrong_community_is_unreachable_and_the_hint_says_why() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let mut options = v2c(snmpd.address(), "wrong-community");
    options["timeout"] = json!(100);
    let error = failed(&worker, "snmp_create_session", options).await;
    assert_eq!(error["code"], "unreachable", "{error}");
    assert!(error["hint"].as_str().unwrap().contains("community"));
    assert!(!error.to_string().contains("wrong-community"), "{error}");
}

#[tokio::test]
async fn a_session_made_at_one_worker_is_used_at_another_with_the_same_key() {
    let snmpd = Snmpd::start().await.unwrap();
    let (one, other) = (worker_with_key(KEY), worker_with_key(KEY));
    let options = v2c(snmpd.address(), COMMUNITY);
    let created = done(&one, "snmp_create_session", options).await;
    assert_eq!(created["shared"], true);
    let mut get = json!({ "sessionId": created["sessionId"], "oids": ["sysLocation"] });
    let got = done(&other, "snmp_get", get.clone()).await;
    assert_eq!(got["values"][0]["display"], "laboratory");
    let error = failed(&worker(), "snmp_get", get.clone()).await;
    assert_eq!(error["code"], "not_found", "{error}");
    assert!(error["hint"].as_str().unwrap().contains("SNMP_SESSION_KEY"));
    let close = json!({ "sessionId": created["sessionId"] });
    let closed = done(&one, "snmp_close_session", close).await;
    assert_eq!(closed["effectiveAt"], "this_worker");
    let error = failed(&one, "snmp_get", get.clone()).await;
    assert_eq!(error["code"], "not_found", "{error}");
    done(&other, "snmp_get", get.clone()).await;
    get["sessionId"] = json!("made-up");
    let error = failed(&one, "snmp_get", get).await;
    assert_eq!(error["code"], "invalid_arguments", "{error}");
}

#[tokio::test]
async fn a_session_is_checked_against_the_scope_each_time_it_is_used() {
    let snmpd = Snmpd::start().await.unwrap();
    let open = worker_with_key(KEY);
    let mut arguments = session(&open, v2c(snmpd.address(), COMMUNITY)).await;
    let settings = service::settings::Settings {
        snmp_session_key: Some(KEY.parse().unwrap()),
        scan_scope_deny: "127.0.0.1".parse().unwrap(),
        ..service::settings::Settings::default()
    };
    let limited = worker_snmp::worker(&settings).unwrap();
    arguments["oids"] = json!(["sysName.0"]);
    let error: Value = failed(&limited, "snmp_get", arguments).await;
    assert_eq!(error["code"], "out_of_scope", "{error}");
}

#[tokio::test]
async fn a_host_that_the_scope_allows_by_name_is_asked_by_that_name_alone() {
    let snmpd = Snmpd::start().await.unwrap();
    let settings = service::settings::Settings {
        snmp_session_key: Some(KEY.parse().unwrap()),
        scan_scope_allow: "localhost".parse().unwrap(),
        ..service::settings::Settings::default()
    };
    let by_name = worker_snmp::worker(&settings).unwrap();
    let mut options = v2c(snmpd.address(), COMMUNITY);
    let error = failed(&by_name, "snmp_create_session", options.clone()).await;
    assert_eq!(error["code"], "out_of_scope", "{error}");
    options["host"] = json!("localhost");
    let mut arguments = session(&by_name, options.clone()).await;
    arguments["oids"] = json!(["sysLocation"]);
    let got = done(&by_name, "snmp_get", arguments.clone()).await;
    assert_eq!(got["values"][0]["raw"], "laboratory");
    let found = done(&by_name, "snmp_device_inventory", options).await;
    assert_eq!(found["system"]["location"], "laboratory");
    // A worker whose scope has another name does not use the session.
    let settings = service::settings::Settings {
        scan_scope_allow: "router.example.com".parse().unwrap(),
        ..settings
    };
    let other = worker_snmp::worker(&settings).unwrap();
    let error = failed(&other, "snmp_get", arguments).await;
    assert_eq!(error["code"], "out_of_scope", "{error}");
}
