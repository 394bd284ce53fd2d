//! One tool: its declaration, its schemas, and the way from raw arguments to its result.

mod arguments;
mod content;
mod declared;
mod output;
mod schema;
mod stored;
mod words;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::FutureExt;
use protocol::{Annotations, ToolError};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::call::Prepared;
use crate::{Answers, Context, Stop};
use arguments::Arguments;
pub use content::ToolContent;
use schema::Schemas;
use stored::Replay;

/// Deadline of a tool that declares none.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
/// Longest deadline of a tool that declares none.
const MAX_DEADLINE: Duration = Duration::from_mins(1);

/// A short Markdown text of a result, for people and models.
pub trait Summary {
    /// A few lines; whoever wants everything reads the structured result.
    fn summary(&self) -> String;
}

/// Checks the arguments of a call, and makes of them what is to run.
type Prepare = dyn Fn(Option<&str>, &Arc<Schemas>) -> Result<Prepared, ToolError> + Send + Sync;

/// An async function that clients call by name.
///
/// The schemas of a typed one ([`Tool::new`]) come from its argument and output types, so
/// every field of both needs a documentation comment, and arguments their ranges and defaults.
#[derive(Clone)]
pub struct Tool {
    name: &'static str,
    title: Option<String>,
    description: Option<String>,
    annotations: Annotations,
    default_deadline: Duration,
    max_deadline: Duration,
    at_most_once: bool,
    schemas: Result<Arc<Schemas>, String>,
    prepare: Arc<Prepare>,
    /// Where its answers are kept, for a tool that changes state.
    answers: Option<Arc<dyn Answers>>,
    replay: Replay,
}

impl Tool {
    /// A tool that runs a function.
    ///
    /// The name is 1 to 64 characters of `[A-Za-z0-9_./-]`. A fault of the declaration is
    /// reported when the worker starts, by [`crate::Worker::check`].
    pub fn new<A, O, E, F, Fut>(name: &'static str, run: F) -> Self
    where
        A: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + Summary + Send + 'static,
        E: Into<Stop> + Send + 'static,
        F: Fn(Context, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
    {
        let run = Arc::new(run);
        let prepare = move |text: Option<&str>, schemas: &Arc<Schemas>| {
            let Arguments { value, format } = Arguments::parse(text, schemas)?;
            let (run, schemas) = (Arc::clone(&run), Arc::clone(schemas));
            let prepared = move |context: Context| {
                async move {
                    let arguments = arguments::read::<A>(value, &schemas.input)?;
                    let result = run(context, arguments).await.map_err(Into::into)?;
                    output::of(&result, name, format, &schemas)
                }
                .boxed()
            };
            Ok(Box::new(prepared) as Prepared)
        };
        Self::with(
            name,
            Schemas::of::<A, O>(),
            Arc::new(prepare),
            stored::output,
        )
    }

    /// A tool that reads its arguments and writes its result itself: content of any kind, and
    /// numbers as they were written.
    ///
    /// The input schema is one of an object (JSON Schema 2020-12, or of the dialect that its
    /// `$schema` names) and announced byte for byte. The function gets the arguments, which fit
    /// the schema, as they were sent.
    pub fn raw<F, Fut>(name: &'static str, input_schema: Box<RawValue>, run: F) -> Self
    where
        F: Fn(Context, Box<RawValue>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ToolContent, Stop>> + Send + 'static,
    {
        let run = Arc::new(run);
        let prepare = move |text: Option<&str>, schemas: &Arc<Schemas>| {
            let arguments = arguments::as_sent(text, schemas)?;
            let (run, schemas) = (Arc::clone(&run), Arc::clone(schemas));
            let prepared = move |context: Context| {
                async move {
                    let content = run(context, arguments).await?;
                    content.into_result(name, &schemas)
                }
                .boxed()
            };
            Ok(Box::new(prepared) as Prepared)
        };
        let schemas = Schemas::as_written(input_schema);
        Self::with(name, schemas, Arc::new(prepare), stored::content)
    }

    fn with(
        name: &'static str,
        schemas: Result<Schemas, String>,
        prepare: Arc<Prepare>,
        replay: Replay,
    ) -> Self {
        Self {
            name,
            title: None,
            description: None,
            annotations: Annotations::default(),
            default_deadline: DEFAULT_DEADLINE,
            max_deadline: MAX_DEADLINE,
            at_most_once: false,
            schemas: schemas.map(Arc::new),
            prepare,
            answers: None,
            replay,
        }
    }

    /// The schema of a raw tool's `structuredContent`, announced byte for byte; every result
    /// that is no error must have it and fit. That of a typed tool comes from its type.
    #[must_use]
    pub fn output_schema(mut self, schema: Box<RawValue>) -> Self {
        self.schemas = self.schemas.and_then(|schemas| {
            Arc::into_inner(schemas)
                .filter(|schemas| schemas.output_text.is_none())
                .ok_or_else(|| "its output schema is declared already".to_owned())?
                .output(schema)
                .map(Arc::new)
        });
        self
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.title = Some(title.to_owned());
        self
    }

    /// What a model needs to know to choose and use the tool.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.description = Some(description.to_owned());
        self
    }

    /// The tool changes nothing anywhere.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.annotations.read_only_hint = true;
        self.annotations.destructive_hint = false;
        self.annotations.idempotent_hint = true;
        self
    }

    /// The tool concerns nothing but the host it runs on, or the platform itself.
    #[must_use]
    pub fn closed_world(mut self) -> Self {
        self.annotations.open_world_hint = false;
        self
    }

    /// The tool may destroy or overwrite something.
    #[must_use]
    pub fn destructive(mut self) -> Self {
        self.annotations.destructive_hint = true;
        self
    }

    /// A second call with the same arguments changes nothing more.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.annotations.idempotent_hint = true;
        self
    }

    /// How long a call may take: when its caller does not say, and at most. Without this
    /// 30 s and 60 s. Whole milliseconds, and no longer than [`protocol::MAX_HOLD`].
    #[must_use]
    pub fn deadline(mut self, default: Duration, max: Duration) -> Self {
        self.default_deadline = default;
        self.max_deadline = max;
        self
    }

    /// A call must not run twice, not even after a crash: its caller grants it to one worker
    /// before it runs, and if that goes meanwhile the caller is told that the outcome is unknown.
    #[must_use]
    pub fn at_most_once(mut self) -> Self {
        self.at_most_once = true;
        self
    }

    /// The tool changes state, and commits its answer together with the change: each time a call
    /// reaches a worker, `answers` is asked first, and the tool does not run where there is an
    /// answer. [`Answers`] says what the tool must do, with an example.
    #[must_use]
    pub fn stored(mut self, answers: Arc<dyn Answers>) -> Self {
        self.answers = Some(answers);
        self
    }
}

impl std::fmt::Debug for Tool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tool")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
