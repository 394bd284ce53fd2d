//! net-snmp's own tools, to compare with; and options of sessions for the same agents.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::process::Program;
use testkit::snmp::{AUTH_PASSWORD, COMMUNITY, PRIVACY_PASSWORD, User};

/// How long one of the tools may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// An object identifier, and its value as net-snmp prints it.
pub(crate) type Line = (String, String);

/// Options of a session with a community.
pub(crate) fn v2c(agent: SocketAddr, community: &str) -> Value {
    json!({ "host": agent.ip(), "port": agent.port(), "community": community })
}

/// Options of a session with a user of [`testkit::snmp::USERS`].
pub(crate) fn v3(agent: SocketAddr, user: &User) -> Value {
    let mut options = json!({ "host": agent.ip(), "port": agent.port(), "version": "3",
        "user": user.name });
    if let Some(protocol) = user.auth {
        options["authProtocol"] = json!(protocol);
        options["authKey"] = json!(AUTH_PASSWORD);
    }
    if let Some(protocol) = user.privacy {
        options["privProtocol"] = json!(protocol);
        options["privKey"] = json!(PRIVACY_PASSWORD);
    }
    options
}

/// What a tool prints of an agent over v2c.
pub(crate) async fn over_v2c(
    tool: &str,
    agent: SocketAddr,
    community: &str,
    oids: &[&str],
) -> Vec<Line> {
    lines(tool, &["-v2c", "-c", community], agent, oids).await
}

/// What a tool prints of an agent over v3, as the user with SHA-256 and AES.
pub(crate) async fn over_v3(tool: &str, agent: SocketAddr, oids: &[&str]) -> Vec<Line> {
    let user = [
        "-v3",
        "-l",
        "authPriv",
        "-u",
        "sha256-aes",
        "-a",
        "SHA-256",
        "-A",
        AUTH_PASSWORD,
        "-x",
        "AES",
        "-X",
        PRIVACY_PASSWORD,
    ];
    lines(tool, &user, agent, oids).await
}

/// What a tool prints of the community that every agent of `testkit` has.
pub(crate) async fn public(tool: &str, agent: SocketAddr, oids: &[&str]) -> Vec<Line> {
    over_v2c(tool, agent, COMMUNITY, oids).await
}

/// Numbers for names, enumerations and times; all strings in hexadecimal.
async fn lines(tool: &str, access: &[&str], agent: SocketAddr, oids: &[&str]) -> Vec<Line> {
    let program = Program::new(tool)
        .args(access)
        .args(["-On", "-Oe", "-Ot", "-Ox", "-t", "5", "-r", "2"])
        .arg(agent.to_string())
        .args(oids)
        .env("MIBS", "");
    let output = program.run(b"", PATIENCE).await.unwrap();
    let mut lines: Vec<Line> = Vec::new();
    for line in output.stdout.lines() {
        match line.split_once(" = ") {
            Some((oid, value)) if oid.starts_with('.') => {
                lines.push((oid[1..].to_owned(), value.to_owned()));
            }
            // Long strings go on in the next line.
            _ => lines.last_mut().unwrap().1.push_str(line),
        }
    }
    for (_, value) in &mut lines {
        value.truncate(value.trim_end().len());
    }
    // How the tools say that there is nothing.
    lines.retain(|(_, value)| !value.starts_with("No "));
    lines
}

/// One of our values as net-snmp prints it.
pub(crate) fn line(value: &Value) -> Line {
    let (kind, raw) = (value["type"].as_str().unwrap(), &value["raw"]);
    let text = raw.as_str().unwrap_or_default();
    let printed = match kind {
        "TimeTicks" => raw.to_string(),
        "INTEGER" | "Counter32" | "Gauge32" | "Counter64" => format!("{kind}: {raw}"),
        "OBJECT IDENTIFIER" => format!("OID: .{text}"),
        "IpAddress" => format!("IpAddress: {text}"),
        "OCTET STRING" => octets(text),
        "Opaque" => "Opaque".to_owned(),
        other => other.to_owned(),
    };
    (value["oid"].as_str().unwrap().to_owned(), printed)
}

fn octets(raw: &str) -> String {
    let digits: Vec<String> = match raw.strip_prefix("0x") {
        Some(digits) => digits
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
            .collect(),
        None => raw.bytes().map(|byte| format!("{byte:02X}")).collect(),
    };
    if digits.is_empty() {
        "\"\"".to_owned()
    } else {
        format!("Hex-STRING: {}", digits.join(" "))
    }
}

/// Whether a line holds what changes from one moment to the next.
pub(crate) fn is_moving((_, value): &Line) -> bool {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        || ["Counter", "Gauge", "Opaque"]
            .iter()
            .any(|kind| value.starts_with(kind))
}
