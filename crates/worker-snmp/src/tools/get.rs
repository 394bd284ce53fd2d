//! `snmp_get`: the values of named objects.

use std::sync::Arc;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, Summary, Tool};

use crate::reading::Reading;
use crate::session::{SessionId, Sessions};
use crate::{Oid, agent, markdown, mib, tools};

/// Which objects.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Arguments {
    /// The session's identifier, from `snmp_create_session`.
    pub(super) session_id: SessionId,
    /// Object identifiers such as `1.3.6.1.2.1.1.5.0`, or names of standard MIBs such as
    /// `sysName.0` or `IF-MIB::ifDescr.3`.
    #[schemars(length(min = 1, max = 200), inner(length(min = 1, max = 512)))]
    pub(super) oids: Vec<String>,
}

/// The values in the order of the objects asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Answer {
    /// Address and port of the agent.
    pub(super) agent: String,
    /// One value for each object.
    pub(super) values: Vec<Reading>,
    /// How many of them the agent does not have.
    pub(super) absent: usize,
    /// How many of them it failed to read; `type` and `display` of the value say how.
    pub(super) failed: usize,
}

/// The declaration of the tool.
pub(crate) fn tool(sessions: Arc<Sessions>) -> Tool {
    let run = move |context, arguments| run(context, arguments, Arc::clone(&sessions));
    Tool::new("snmp_get", run)
        .title("SNMP GET")
        .description(
            "Reads objects of the session's agent, any number in one call. Objects that the agent \
             does not have are values of type noSuchObject or noSuchInstance, and those that it \
             fails to read of type genErr, not errors. The name of an object without an index, such as sysName, stands for its only instance, \
             sysName.0.",
        )
        .read_only()
        .deadline(super::DEFAULT_DEADLINE, super::MAX_DEADLINE)
}

async fn run(
    context: Context,
    arguments: Arguments,
    sessions: Arc<Sessions>,
) -> Result<Answer, ToolError> {
    let target = sessions.open(&arguments.session_id)?;
    let oids = tools::oids(&arguments.oids, |text| mib::resolve(text).map(instance))?;
    let reader = agent::reach_target(&context, &target).await?;
    let values = reader.get(&oids).await?;
    Ok(Answer::new(&reader, &values))
}

/// The only instance of an object without an index, for the object.
fn instance(oid: Oid) -> Oid {
    match mib::lookup(&oid) {
        Some((object, rest)) if rest.is_empty() && object.role == mib::Role::Scalar => {
            oid.join(&[0])
        }
        _ => oid,
    }
}

impl Answer {
    pub(super) fn new(reader: &crate::client::Reader, values: &[crate::value::VarBind]) -> Self {
        Self {
            agent: reader.agent().to_string(),
            absent: values.iter().filter(|it| it.value.is_absent()).count(),
            failed: values
                .iter()
                .filter(|it| it.value.fault().is_some())
                .count(),
            values: values.iter().map(Reading::from).collect(),
        }
    }
}

impl Summary for Answer {
    fn summary(&self) -> String {
        let table = markdown::table(&["object", "value"], &self.values, |value| {
            vec![value.label().to_owned(), value.cell.display.clone()]
        });
        let count = markdown::count(self.values.len(), "value");
        format!(
            "{count} of {}, {} absent, {} failed\n\n{table}",
            self.agent, self.absent, self.failed
        )
    }
}
