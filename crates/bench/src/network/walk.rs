//! A walk of all that an agent tells of its interfaces.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::process::Program;
use testkit::snmp::COMMUNITY;

use super::command::Command;
use super::contestant::Contestant;
use super::ground::{FAR, Ground};
use super::tool::{ToolCall, call};

/// Repetitions that `snmp_walk` asks for, and so the command does too.
pub(crate) const REPETITIONS: u32 = 40;
/// The group of interfaces (RFC 2863).
const INTERFACES: &str = "1.3.6.1.2.1.2";
/// The longest pages that there are, and those of a caller who asks for no length.
const PAGES: [Option<u32>; 2] = [Some(10_000), None];

pub(super) async fn contestants(ground: &Ground) -> Result<Vec<Contestant>> {
    let platform = &ground.platform;
    let host = json!({ "host": FAR, "community": COMMUNITY });
    let session = call(platform, "snmp_create_session", &host).await?;
    let mut contestants = Vec::new();
    for limit in PAGES {
        let mut arguments = json!({ "sessionId": session["sessionId"], "oid": INTERFACES });
        if let (Some(limit), Value::Object(arguments)) = (limit, &mut arguments) {
            arguments.insert("limit".to_owned(), limit.into());
        }
        let call = ToolCall::new(platform, "snmp_walk", arguments, "values").await?;
        contestants.push(Contestant::Tool(call));
    }
    let program = Program::new("snmpbulkwalk")
        .args(["-v2c", "-c", COMMUNITY])
        .arg(format!("-Cr{REPETITIONS}"))
        .args(["-On", &FAR.to_string(), INTERFACES])
        // No MIB is read, which would take it longer than the walk does.
        .env("MIBS", "")
        .env("SNMP_PERSISTENT_DIR", ground.folder.path());
    let counted = n_values;
    contestants.push(Contestant::Command(Command { program, counted }));
    Ok(contestants)
}

/// Values that snmpbulkwalk has written. Bytes of an address may look like text, with line ends
/// in it, so not every line is one.
fn n_values(output: &str) -> usize {
    let is_value = |line: &&str| line.starts_with(".1.3.");
    output.lines().filter(is_value).count()
}
