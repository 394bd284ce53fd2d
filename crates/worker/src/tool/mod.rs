//! One tool: its declaration, its schemas, and the way from raw arguments to its result.

mod arguments;
mod output;
mod schema;
mod words;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use protocol::{Annotations, Category, ToolDescriptor, ToolError};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Context, Error};
pub(crate) use arguments::{Arguments, Format};
pub(crate) use output::Output;

/// Deadline of a tool that declares none.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
/// Longest deadline of a tool that declares none.
const MAX_DEADLINE: Duration = Duration::from_mins(1);

/// A short Markdown text of a result, for people and models.
pub trait Summary {
    /// A few lines; whoever wants everything reads the structured result.
    fn summary(&self) -> String;
}

type Run = dyn Fn(Context, Value) -> BoxFuture<'static, Result<Output, ToolError>> + Send + Sync;

/// A typed async function that clients call by name.
///
/// The schemas come from the argument and output types, so every field of both needs a
/// documentation comment, and arguments their ranges and defaults.
#[derive(Clone)]
pub struct Tool {
    name: &'static str,
    title: Option<String>,
    description: Option<String>,
    annotations: Annotations,
    default_deadline: Duration,
    max_deadline: Duration,
    at_most_once: bool,
    schemas: Result<Arc<schema::Schemas>, String>,
    run: Arc<Run>,
}

impl Tool {
    /// A tool that runs a function.
    ///
    /// The name is 1 to 64 characters of `[A-Za-z0-9_./-]`. A fault of the declaration is
    /// reported when the worker starts, by [`crate::Worker::check`].
    pub fn new<A, O, F, Fut>(name: &'static str, run: F) -> Self
    where
        A: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + Summary + Send + 'static,
        F: Fn(Context, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, ToolError>> + Send + 'static,
    {
        let schemas = schema::Schemas::of::<A, O>().map(Arc::new);
        let run = Arc::new(run);
        let input = schemas.as_ref().ok().map(Arc::clone);
        let run = move |context: Context, arguments: Value| {
            let (run, input) = (Arc::clone(&run), input.clone());
            async move {
                let input = input
                    .as_deref()
                    .map_or(&Value::Null, |schemas| &schemas.input);
                let arguments = arguments::read::<A>(arguments, input)?;
                let result = run(context, arguments).await?;
                Output::of(&result)
            }
            .boxed()
        };
        Self {
            name,
            title: None,
            description: None,
            annotations: Annotations::default(),
            default_deadline: DEFAULT_DEADLINE,
            max_deadline: MAX_DEADLINE,
            at_most_once: false,
            schemas,
            run: Arc::new(run),
        }
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
    /// 30 s and 60 s. Whole milliseconds.
    #[must_use]
    pub fn deadline(mut self, default: Duration, max: Duration) -> Self {
        self.default_deadline = default;
        self.max_deadline = max;
        self
    }

    /// A call must not run twice, not even after a crash: it is acked before it runs, and
    /// if the worker goes meanwhile its caller is told that the outcome is unknown.
    #[must_use]
    pub fn at_most_once(mut self) -> Self {
        self.at_most_once = true;
        self
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn max_deadline(&self) -> Duration {
        self.max_deadline
    }

    pub(crate) fn default_deadline(&self) -> Duration {
        self.default_deadline
    }

    pub(crate) fn is_at_most_once(&self) -> bool {
        self.at_most_once
    }

    /// What is wrong with the declaration, if anything.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let why = if !ToolDescriptor::name_is_valid(self.name) {
            "the name is not 1 to 64 characters of [A-Za-z0-9_./-]"
        } else if self.default_deadline.as_millis() == 0 {
            "the default deadline is shorter than a millisecond"
        } else if self.default_deadline > self.max_deadline {
            "the default deadline is longer than the longest one"
        } else if let Err(why) = &self.schemas {
            why
        } else {
            return Ok(());
        };
        Err(Error::Declaration {
            tool: self.name.to_owned(),
            why: why.to_owned(),
        })
    }

    /// What the worker announces; `None` when the schemas are at fault.
    #[expect(
        clippy::default_trait_access,
        reason = "the type of the descriptor's metadata has no public name"
    )]
    pub(crate) fn descriptor(&self, category: &Category) -> Option<ToolDescriptor> {
        let schemas = self.schemas.as_ref().ok()?;
        let milliseconds =
            |deadline: Duration| Some(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
        let mut descriptor = ToolDescriptor {
            name: self.name.to_owned(),
            title: self.title.clone(),
            description: self.description.clone(),
            input_schema: schemas.input.clone(),
            output_schema: Some(schemas.output.clone()),
            annotations: self.annotations,
            meta: Default::default(),
        };
        descriptor.meta.category = Some(category.clone());
        descriptor.meta.default_timeout_ms = milliseconds(self.default_deadline);
        descriptor.meta.max_timeout_ms = milliseconds(self.max_deadline);
        descriptor.meta.at_most_once = self.at_most_once;
        Some(descriptor)
    }

    /// Reads and checks the arguments of a call.
    ///
    /// # Errors
    /// `invalid_arguments`, in words a model can act on.
    pub(crate) fn arguments(&self, text: Option<&str>) -> Result<Arguments, ToolError> {
        Arguments::parse(text, self.schemas()?)
    }

    /// Runs the tool on checked arguments, and checks its result.
    pub(crate) async fn run(
        &self,
        context: Context,
        arguments: Value,
    ) -> Result<Output, ToolError> {
        let schemas = Arc::clone(self.schemas()?);
        let output = (self.run)(context, arguments).await?;
        output.check(self.name, &schemas)
    }

    fn schemas(&self) -> Result<&Arc<schema::Schemas>, ToolError> {
        self.schemas.as_ref().map_err(|why| {
            ToolError::new(
                protocol::ErrorCode::Internal,
                format!("tool {} is not declared correctly: {why}", self.name),
            )
        })
    }
}

impl std::fmt::Debug for Tool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tool")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
