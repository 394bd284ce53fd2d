//! Tools that change state: their store is asked before they run.

use std::sync::Arc;

use futures::future::FutureExt;
use protocol::mcp::code;
use protocol::response::RpcError;
use protocol::{ErrorCode, ToolError};

use super::arguments::Arguments;
use super::output::{self, fault};
use super::schema::Schemas;
use crate::answers::{Kept, reused};
use crate::call::{Prepared, Written};
use crate::{Answers, CallKey, Context, Stop, StoredAnswer};

/// Makes the result of a tool anew: of what is kept, its name, and the call's arguments.
pub(super) type Replay = fn(Kept, &'static str, Option<&str>, &Schemas) -> Result<Written, Stop>;

/// The result of a typed tool.
pub(super) fn output(
    kept: Kept,
    tool: &'static str,
    arguments: Option<&str>,
    schemas: &Schemas,
) -> Result<Written, Stop> {
    let Kept::Output {
        structured,
        summary,
    } = kept
    else {
        return Err(of_another_kind());
    };
    let format = Arguments::parse(arguments, schemas)?.format;
    output::stored(&structured, &summary, tool, format, schemas)
}

/// The result of a raw tool.
pub(super) fn content(
    kept: Kept,
    tool: &'static str,
    _: Option<&str>,
    schemas: &Schemas,
) -> Result<Written, Stop> {
    match kept {
        Kept::Content(content) => content.into_result(tool, schemas),
        Kept::Output { .. } => Err(of_another_kind()),
    }
}

fn of_another_kind() -> Stop {
    fault("its stored answer is of another kind of tool").into()
}

/// What runs a tool unless its store has the answer.
pub(super) fn asked_first(
    answers: Arc<dyn Answers>,
    prepared: Prepared,
    replay: impl Fn(StoredAnswer) -> Result<Written, Stop> + Send + Sync + 'static,
) -> Prepared {
    Box::new(move |context: Context| {
        async move {
            let key = context.call_key().cloned().ok_or_else(without_key)?;
            if let Some(answer) = find(&*answers, &key).await? {
                return again(replay(answer));
            }
            let failed = match prepared(context).await {
                Err(failed @ Stop::Failed(_)) => failed,
                ended => return ended,
            };
            // Another worker may have run the same call meanwhile, and committed first.
            match find(&*answers, &key).await {
                Ok(Some(answer)) => again(replay(answer)),
                _ => Err(failed),
            }
        }
        .boxed()
    })
}

async fn find(answers: &dyn Answers, key: &CallKey) -> Result<Option<StoredAnswer>, Stop> {
    match answers.find(key).await {
        Ok(Some(answer)) if answer.fingerprint != key.fingerprint() => Err(reused().into()),
        Ok(answer) => Ok(answer),
        Err(error) => Err(unknown(&error).into()),
    }
}

/// Nothing was run, so that the call may come again, whatever the store thinks of that.
fn unknown(error: &ToolError) -> ToolError {
    tracing::warn!(%error, "the store of a tool's answers failed");
    ToolError {
        code: ErrorCode::Internal,
        message: format!("the store did not say whether the call has run: {error}"),
        hint: Some("try again; nothing was run".to_owned()),
        retryable: true,
    }
}

fn again(result: Result<Written, Stop>) -> Result<Written, Stop> {
    result.map(|written| Written {
        is_replayed: true,
        ..written
    })
}

fn without_key() -> Stop {
    let error = "a call of this tool needs the property message-id, the same each time it is sent";
    RpcError::new(code::INVALID_REQUEST, error).into()
}
