use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use serde::Serialize;

use crate::call::{Prepared, Written, written};
use crate::{Context, Stop};

/// Values in one answer (MCP 2026-07-28, "Completion").
const MAX_VALUES: usize = 100;

/// An argument of a prompt, or a variable of a resource template, that is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletionRequest {
    /// What has been typed; may be empty.
    pub value: String,
    /// Values of other arguments that are already chosen.
    pub others: BTreeMap<String, String>,
}

type Suggest = dyn Fn(Context, CompletionRequest) -> BoxFuture<'static, Result<Vec<String>, Stop>>
    + Send
    + Sync;

/// Suggests values of one argument.
#[derive(Clone)]
pub(crate) struct Completer(Arc<Suggest>);

impl Completer {
    pub(crate) fn new<E, F, Fut>(run: F) -> Self
    where
        E: Into<Stop> + 'static,
        F: Fn(Context, CompletionRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<String>, E>> + Send + 'static,
    {
        Self(Arc::new(move |context, request| {
            let values = run(context, request);
            async move { values.await.map_err(Into::into) }.boxed()
        }))
    }
}

impl fmt::Debug for Completer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Completer")
    }
}

/// Without a completer there is nothing to suggest.
pub(crate) fn prepare(completer: Option<Completer>, request: CompletionRequest) -> Prepared {
    Box::new(|context| {
        async move {
            let values = match completer {
                Some(Completer(suggest)) => suggest(context, request).await?,
                None => Vec::new(),
            };
            result(&values)
        }
        .boxed()
    })
}

fn result(values: &[String]) -> Result<Written, Stop> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct CompleteResult<'a> {
        result_type: &'static str,
        completion: Completion<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Completion<'a> {
        values: &'a [String],
        total: usize,
        has_more: bool,
    }
    let completion = Completion {
        values: &values[..values.len().min(MAX_VALUES)],
        total: values.len(),
        has_more: values.len() > MAX_VALUES,
    };
    written(&CompleteResult {
        result_type: "complete",
        completion,
    })
}
