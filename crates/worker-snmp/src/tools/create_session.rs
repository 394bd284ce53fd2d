//! `snmp_create_session`: credentials once, an identifier from then on.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use worker::{Context, Summary, Tool};

use crate::client::Version;
use crate::options::SessionOptions;
use crate::session::Sessions;
use crate::{agent, markdown};

/// Which agent, how to speak with it, and for how long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    #[serde(flatten)]
    options: SessionOptions,
    /// Seconds that the session is good for.
    #[serde(default = "default_lifetime")]
    #[schemars(range(min = 60, max = 86400))]
    lifetime: u64,
}

/// A new session.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Created {
    /// Identifier to hand to `snmp_get`, `snmp_get_next`, `snmp_walk`, `snmp_table` and
    /// `snmp_close_session`. It holds the credentials, encrypted.
    session_id: String,
    /// When the session ends (RFC 3339, UTC).
    expires_at: String,
    /// Whether every SNMP worker of the site can use it; otherwise only the one that made it can,
    /// until it ends.
    shared: bool,
    /// Address and port of the agent that answered.
    agent: String,
    /// Version of the protocol.
    version: Version,
    /// Name of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    sys_name: Option<String>,
    /// Description of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    sys_descr: Option<String>,
    /// The maker's identifier of the kind of device, by name where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    sys_object_id: Option<String>,
}

/// The declaration of the tool.
pub(crate) fn tool(sessions: Arc<Sessions>) -> Tool {
    let run = move |context, arguments| run(context, arguments, Arc::clone(&sessions));
    Tool::new("snmp_create_session", run)
        .title("Open an SNMP session")
        .description(
            "Checks that an SNMP agent answers to these credentials and gives an identifier for \
             further calls, so that the credentials are said once. The identifier is encrypted \
             and holds everything; it is good until it expires, at every SNMP worker where the \
             operator has set a common key (`shared`), otherwise at the worker that made it. \
             Default is SNMP v2c with community public. A wrong password or key of v3 is the \
             error authentication_failed; a wrong community of v1 or v2c cannot be told from a \
             silent host.",
        )
        .read_only()
        .deadline(Duration::from_mins(1), Duration::from_mins(5))
}

async fn run(
    context: Context,
    arguments: Arguments,
    sessions: Arc<Sessions>,
) -> Result<Created, ToolError> {
    let target = arguments.options.target()?;
    let version = target.credentials.version();
    let reader = agent::reach(&context, &arguments.options).await?;
    let system = reader
        .scalars(&["sysName", "sysDescr", "sysObjectID"])
        .await?;
    let opened = sessions.create(target, Duration::from_secs(arguments.lifetime))?;
    Ok(Created {
        session_id: opened.id,
        expires_at: rfc3339(opened.expires),
        shared: sessions.is_shared(),
        agent: reader.agent().to_string(),
        version,
        sys_name: system.text("sysName"),
        sys_descr: system.text("sysDescr"),
        sys_object_id: system.oid("sysObjectID").map(crate::mib::name_or_number),
    })
}

fn rfc3339(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time).replace_nanosecond(0);
    let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
    // A time that cannot be written is thousands of years away.
    text.unwrap_or_default()
}

fn default_lifetime() -> u64 {
    3600
}

impl Summary for Created {
    fn summary(&self) -> String {
        let place = if self.shared {
            "at every SNMP worker"
        } else {
            "at this worker only"
        };
        format!(
            "Session with {} ({}, {}) until {}, {place}.\n\n`{}`\n",
            self.agent,
            markdown::plain(self.sys_name.as_deref().unwrap_or("no name")),
            self.version,
            self.expires_at,
            self.session_id
        )
    }
}
