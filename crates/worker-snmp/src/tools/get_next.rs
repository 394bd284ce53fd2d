//! `snmp_get_next`: the objects that follow.

use std::sync::Arc;

use protocol::ToolError;
use worker::{Context, Tool};

use super::get::{Answer, Arguments};
use crate::session::Sessions;
use crate::{agent, mib, tools};

/// The declaration of the tool.
pub(crate) fn tool(sessions: Arc<Sessions>) -> Tool {
    let run = move |context, arguments| run(context, arguments, Arc::clone(&sessions));
    Tool::new("snmp_get_next", run)
        .title("SNMP GETNEXT")
        .description(
            "Reads, for each object identifier, the next object that the session's agent has: \
             what stands at or after a place of its tree. At the end of the tree it is a value \
             of type endOfMibView. To read everything below an object identifier use snmp_walk.",
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
    let oids = tools::oids(&arguments.oids, mib::resolve)?;
    let reader = agent::reach_target(&context, &target).await?;
    let values = reader.get_next(&oids).await?;
    Ok(Answer::new(&reader, &values))
}
