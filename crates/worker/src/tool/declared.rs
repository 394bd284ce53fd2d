//! What the runtime reads of a tool: its announcement, its deadlines, its calls.

use std::sync::Arc;
use std::time::Duration;

use protocol::{
    Annotations, Category, ErrorCode, MAX_HOLD, ParamHeaders, ToolDescriptor, ToolError, ToolMeta,
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::Tool;
use super::schema::Schemas;
use super::stored;
use crate::StoredAnswer;
use crate::call::Prepared;

/// A descriptor whose schemas are written as they were declared.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_schema: Option<&'a RawValue>,
    annotations: Annotations,
    #[serde(rename = "_meta")]
    meta: ToolMeta,
}

impl Tool {
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

    /// Whether its answers are kept in a store of its own.
    pub(crate) fn is_stored(&self) -> bool {
        self.answers.is_some()
    }

    /// Which arguments headers repeat.
    pub(crate) fn mirrored(&self) -> Option<&ParamHeaders> {
        self.schemas.as_ref().ok().map(|schemas| &schemas.mirrored)
    }

    /// What is wrong with the declaration, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let why = if !ToolDescriptor::name_is_valid(self.name) {
            "the name is not 1 to 64 characters of [A-Za-z0-9_./-]"
        } else if self.default_deadline.as_millis() == 0 {
            "the default deadline is shorter than a millisecond"
        } else if self.default_deadline > self.max_deadline {
            "the default deadline is longer than the longest one"
        } else if self.max_deadline > MAX_HOLD {
            return Err(format!(
                "its longest deadline of {} s is longer than the {} s for which a worker may hold \
                 a call: shorten it, or split the work into several calls",
                self.max_deadline.as_secs(),
                MAX_HOLD.as_secs()
            ));
        } else if let Err(why) = &self.schemas {
            why
        } else {
            return Ok(());
        };
        Err(why.to_owned())
    }

    /// What the worker announces, in the shape of MCP's `Tool`; `None` when the schemas are at
    /// fault.
    pub(crate) fn descriptor(&self, category: &Category) -> Option<Box<RawValue>> {
        let schemas = self.schemas.as_ref().ok()?;
        let milliseconds =
            |deadline: Duration| Some(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX));
        let descriptor = Descriptor {
            name: self.name,
            title: self.title.as_deref(),
            description: self.description.as_deref(),
            input_schema: &schemas.input_text,
            output_schema: schemas.output_text.as_deref(),
            annotations: self.annotations,
            meta: ToolMeta {
                category: Some(category.clone()),
                default_timeout_ms: milliseconds(self.default_deadline),
                max_timeout_ms: milliseconds(self.max_deadline),
                at_most_once: self.at_most_once,
                ..ToolMeta::default()
            },
        };
        to_raw_value(&descriptor).ok()
    }

    /// Reads and checks the arguments of a call.
    ///
    /// # Errors
    /// `invalid_arguments`, in words a model can act on.
    pub(crate) fn prepare(&self, arguments: Option<&str>) -> Result<Prepared, ToolError> {
        let schemas = self.schemas()?;
        let prepared = (self.prepare)(arguments, schemas)?;
        let Some(answers) = &self.answers else {
            return Ok(prepared);
        };
        let (tool, replay) = (self.name, self.replay);
        let (schemas, arguments) = (Arc::clone(schemas), arguments.map(str::to_owned));
        let replay =
            move |answer: StoredAnswer| replay(answer.kept, tool, arguments.as_deref(), &schemas);
        Ok(stored::asked_first(Arc::clone(answers), prepared, replay))
    }

    fn schemas(&self) -> Result<&Arc<Schemas>, ToolError> {
        self.schemas.as_ref().map_err(|why| {
            ToolError::new(
                ErrorCode::Internal,
                format!("tool {} is not declared correctly: {why}", self.name),
            )
        })
    }
}
