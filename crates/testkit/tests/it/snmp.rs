//! The agents, asked by net-snmp's tools.

use std::{fmt::Write as _, net::SocketAddr, path::Path, time::Duration};

use testkit::{
    process::{Output, Program},
    snmp::{
        AUTH_PASSWORD, BulkLimit, COMMUNITY, DEVICES, PRIVACY_PASSWORD, Refusal, SIMULATOR_USER,
        Snmpd, Snmpsim, USERS, User,
    },
    wait,
};

const SOON: Duration = Duration::from_secs(20);
const SYS_NAME: &str = "1.3.6.1.2.1.1.5.0";

async fn tool(name: &str, arguments: &[&str], agent: SocketAddr, rest: &[&str]) -> Output {
    Program::new(name)
        .args(["-On", "-t", "5", "-r", "1"])
        .args(arguments)
        .arg(agent.to_string())
        .args(rest)
        .env("MIBS", "")
        .run(b"", SOON)
        .await
        .unwrap()
}

/// What a tool found for a community.
async fn found(name: &str, community: &str, agent: SocketAddr, oid: &str) -> String {
    let output = tool(name, &["-v2c", "-c", community], agent, &[oid]).await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    output.stdout
}

fn credentials(user: &User) -> Vec<String> {
    let level = match (user.auth, user.privacy) {
        (None, _) => "noAuthNoPriv",
        (_, None) => "authNoPriv",
        _ => "authPriv",
    };
    let mut arguments = ["-v3", "-u", user.name, "-l", level].join(" ");
    if let Some(protocol) = user.auth {
        write!(arguments, " -a {} -A {AUTH_PASSWORD}", spelled(protocol)).unwrap();
    }
    if let Some(protocol) = user.privacy {
        write!(arguments, " -x {} -X {PRIVACY_PASSWORD}", spelled(protocol)).unwrap();
    }
    arguments.split(' ').map(str::to_owned).collect()
}

/// How net-snmp's tools write a protocol.
fn spelled(protocol: &str) -> String {
    match protocol {
        "md5" | "sha" | "des" => protocol.to_uppercase(),
        "aes128" => "AES".to_owned(),
        other => format!("{}-{}", other[..3].to_uppercase(), &other[3..]),
    }
}

#[tokio::test]
async fn every_user_of_the_agent_can_read_and_is_known_by_password() {
    let agent = Snmpd::start_with("sysName agent-under-test").await.unwrap();
    let name = found("snmpget", COMMUNITY, agent.address(), SYS_NAME).await;
    assert!(name.contains("agent-under-test"), "{name}");
    for user in &USERS {
        let arguments = credentials(user);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = tool("snmpget", &arguments, agent.address(), &[SYS_NAME]).await;
        assert!(
            output.stdout.contains("agent-under-test"),
            "{user:?} {}",
            output.stderr
        );
        if user.auth.is_some() {
            let wrong = arguments.iter().map(|it| {
                if *it == AUTH_PASSWORD {
                    "not-the-password"
                } else {
                    it
                }
            });
            let wrong: Vec<&str> = wrong.collect();
            let output = tool("snmpget", &wrong, agent.address(), &[SYS_NAME]).await;
            assert!(
                output.stderr.contains("Authentication failure"),
                "{user:?} {}",
                output.stderr
            );
        }
    }
}

#[tokio::test]
async fn the_agent_is_gone_with_its_handle() {
    let agent = Snmpd::start().await.unwrap();
    let folder = Path::new("/proc").join(agent.process().pid().to_string());
    assert!(folder.exists());
    drop(agent);
    wait::until("it is gone", SOON, async || {
        (!folder.exists()).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn every_device_is_walked_to_the_end_of_its_data() {
    let agent = Snmpsim::start().await.unwrap();
    for device in DEVICES
        .into_iter()
        .filter(|it| !["backwards", "broken"].contains(it))
    {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("snmpsim/{device}.snmprec"));
        let n_lines = std::fs::read_to_string(data).unwrap().lines().count();
        let arguments = ["-v2c", "-c", device, "-Oqt"];
        let walked = tool("snmpbulkwalk", &arguments, agent.address(), &["1"]).await;
        let n_objects = walked
            .stdout
            .lines()
            .filter(|line| line.starts_with(".1.") && !line.contains("No more variables"))
            .count();
        assert_eq!(n_objects, n_lines, "{device}: {}", walked.stdout);
    }
}

#[tokio::test]
async fn the_faulty_devices_have_their_faults() {
    let agent = Snmpsim::start().await.unwrap();
    let interfaces = "1.3.6.1.2.1.2.2.1.1";
    let arguments = ["-v2c", "-c", "backwards"];
    let output = tool("snmpwalk", &arguments, agent.address(), &[interfaces]).await;
    assert!(output.stderr.contains("OID not increasing"), "{output:?}");
    let broken = format!("{interfaces}.3");
    let output = tool(
        "snmpget",
        &["-v2c", "-c", "broken"],
        agent.address(),
        &[&broken],
    )
    .await;
    assert!(output.stderr.contains("genErr"), "{output:?}");
    let negative = found(
        "snmpget",
        "counters",
        agent.address(),
        "1.3.6.1.2.1.2.2.1.10.1",
    )
    .await;
    assert!(negative.contains("INTEGER: -1294967296"), "{negative}");
    let none = found(
        "snmpget",
        "printer",
        agent.address(),
        "1.3.6.1.2.1.31.1.1.1.1.1",
    )
    .await;
    assert!(none.contains("No Such"), "{none}");
}

#[tokio::test]
async fn the_simulator_speaks_v3_with_a_context_for_each_device() {
    let agent = Snmpsim::start().await.unwrap();
    let (user, auth, privacy) = SIMULATOR_USER;
    let security = ["-v3", "-u", user, "-l", "authPriv", "-n", "ups"];
    let keys = ["-a", "MD5", "-A", auth, "-x", "DES", "-X", privacy];
    let arguments = [&security[..], &keys].concat();
    let output = tool("snmpget", &arguments, agent.address(), &[SYS_NAME]).await;
    assert!(output.stdout.contains("ups-1"), "{output:?}");
}

#[tokio::test]
async fn only_large_requests_are_refused_by_a_limited_agent() {
    let agent = Snmpd::start_with("sysName agent-under-test").await.unwrap();
    for (refusal, said) in [
        (Refusal::GenErr, "genErr"),
        (Refusal::TooBig, "tooBig"),
        (Refusal::Silence, "Timeout"),
    ] {
        let limited = BulkLimit::start(agent.address(), 5, refusal).await.unwrap();
        let ask = async |repetitions: &str| {
            let arguments = ["-v2c", "-c", COMMUNITY, repetitions, "-t", "1", "-r", "0"];
            tool(
                "snmpbulkget",
                &arguments,
                limited.address(),
                &["1.3.6.1.2.1.1"],
            )
            .await
        };
        let small = ask("-Cr5").await;
        assert_eq!(small.stdout.lines().count(), 5, "{small:?}");
        assert_eq!(limited.n_refused(), 0);
        let large = ask("-Cr6").await;
        assert!(
            large.stderr.contains(said) || large.stdout.contains(said),
            "{large:?}"
        );
        assert_eq!(limited.n_refused(), 1);
        let name = found("snmpget", COMMUNITY, limited.address(), SYS_NAME).await;
        assert!(name.contains("agent-under-test"), "{name}");
    }
}
