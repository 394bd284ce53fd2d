use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use protocol::mcp::{code, method};
use protocol::response::RpcError;
use protocol::{RequestParams, ToolError};
use serde_json::value::RawValue;

use crate::call::Prepared;
use crate::completion::{self, Completer};
use crate::{CompletionRequest, Prompt, Resource, ResourceRequest, ResourceTemplate, Tool, Worker};

/// Deadline of requests other than calls of tools, when their caller does not say.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
/// Longest deadline of requests other than calls of tools.
const MAX_DEADLINE: Duration = Duration::from_mins(1);

/// What the runtime knows of a request before it runs.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// One of those that workers serve.
    pub(crate) method: &'static str,
    /// Name or URI, as the worker declares it.
    pub(crate) name: String,
    pub(crate) default_deadline: Duration,
    pub(crate) max_deadline: Duration,
    pub(crate) is_at_most_once: bool,
}

/// What a request is to run, found among what the worker offers.
#[derive(Debug)]
pub(crate) enum Target {
    Tool {
        tool: Arc<Tool>,
        arguments: Option<Box<RawValue>>,
    },
    Prompt {
        prompt: Arc<Prompt>,
        arguments: BTreeMap<String, String>,
    },
    Resource(Arc<Resource>),
    Template {
        template: Arc<ResourceTemplate>,
        request: ResourceRequest,
    },
    Completion {
        completer: Option<Completer>,
        request: CompletionRequest,
    },
}

impl About {
    /// That of a call of a tool.
    pub(crate) fn tool(tool: &Tool) -> Self {
        Self {
            method: method::TOOLS_CALL,
            name: tool.name().to_owned(),
            default_deadline: tool.default_deadline(),
            max_deadline: tool.max_deadline(),
            is_at_most_once: tool.is_at_most_once(),
        }
    }

    fn other(method: &'static str, name: &str) -> Self {
        Self {
            method,
            name: name.to_owned(),
            default_deadline: DEFAULT_DEADLINE,
            max_deadline: MAX_DEADLINE,
            is_at_most_once: false,
        }
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.method {
            method::TOOLS_CALL => "tool",
            method::PROMPTS_GET => "prompt",
            method::RESOURCES_READ => "resource",
            _ => "completion of",
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// What a request names: that by which it is routed, and which its header mirrors.
///
/// # Errors
/// -32601 for a method that workers do not serve; -32602 where the name is missing.
pub(crate) fn name_of(method: &str, params: &RequestParams<'_>) -> Result<String, RpcError> {
    let (name, what) = match method {
        method::TOOLS_CALL => (params.name(), "params.name must be the name of a tool"),
        method::PROMPTS_GET => (params.name(), "params.name must be the name of a prompt"),
        method::RESOURCES_READ => (
            params.string("uri"),
            "params.uri must be the URI of a resource",
        ),
        method::COMPLETE => (
            reference(params)?.map(|(_, name)| name),
            "params.ref must be {\"type\": \"ref/prompt\", \"name\": …} or {\"type\": \
             \"ref/resource\", \"uri\": …}",
        ),
        other => {
            let error = format!(
                "workers serve tools/call, prompts/get, resources/read and completion/complete, \
                 not {other:?}"
            );
            return Err(RpcError::new(code::METHOD_NOT_FOUND, error));
        }
    };
    name.map(Cow::into_owned)
        .ok_or_else(|| invalid(format!("{what}, as a string")))
}

impl Target {
    /// Finds what a request is about. `name` is that of [`name_of`].
    ///
    /// # Errors
    /// -32602 when there is no such thing, or the parameters do not fit it.
    pub(crate) fn find(
        method: &str,
        name: &str,
        params: &RequestParams<'_>,
        worker: &Worker,
    ) -> Result<(About, Self), RpcError> {
        match method {
            method::TOOLS_CALL => {
                let tool = worker.find(name)?;
                let target = Self::Tool {
                    tool: Arc::clone(tool),
                    arguments: params.arguments().map(ToOwned::to_owned),
                };
                Ok((About::tool(tool), target))
            }
            method::PROMPTS_GET => {
                let prompt = Arc::clone(worker.find_prompt(name)?);
                let arguments = texts(params.arguments(), "params.arguments")?;
                prompt.check_arguments(&arguments)?;
                let about = About::other(method::PROMPTS_GET, name);
                Ok((about, Self::Prompt { prompt, arguments }))
            }
            method::RESOURCES_READ => {
                let about = About::other(method::RESOURCES_READ, name);
                Ok((about, worker.find_resource(name)?))
            }
            _ => {
                let about = About::other(method::COMPLETE, name);
                Ok((about, Self::completion(name, params, worker)?))
            }
        }
    }

    fn completion(
        name: &str,
        params: &RequestParams<'_>,
        worker: &Worker,
    ) -> Result<Self, RpcError> {
        let wrong = || {
            let error = "params.argument must be an object with the texts \"name\" and \"value\"";
            invalid(error.to_owned())
        };
        let argument = object(params.get("argument"), "params.argument")?.ok_or_else(wrong)?;
        let key = argument.string("name").ok_or_else(wrong)?;
        let value = argument.string("value").ok_or_else(wrong)?;
        let context = object(params.get("context"), "params.context")?.unwrap_or_default();
        let request = CompletionRequest {
            value: value.into_owned(),
            others: texts(context.get("arguments"), "params.context.arguments")?,
        };
        let is_prompt = reference(params)?.is_some_and(|(is_prompt, _)| is_prompt);
        let completer = if is_prompt {
            worker.find_prompt(name)?.completer(&key)
        } else {
            worker.find_variables(name, &key)?
        };
        Ok(Self::Completion { completer, request })
    }

    /// Makes ready what is to run.
    ///
    /// # Errors
    /// `invalid_arguments`, of tools only.
    pub(crate) fn prepare(self) -> Result<Prepared, ToolError> {
        Ok(match self {
            Self::Tool { tool, arguments } => {
                return tool.prepare(arguments.as_deref().map(RawValue::get));
            }
            Self::Prompt { prompt, arguments } => prompt.prepare(arguments),
            Self::Resource(resource) => resource.prepare(),
            Self::Template { template, request } => template.prepare(request),
            Self::Completion { completer, request } => completion::prepare(completer, request),
        })
    }
}

/// What a completion is for: whether it is a prompt, and its name or URI.
fn reference<'a>(params: &RequestParams<'a>) -> Result<Option<(bool, Cow<'a, str>)>, RpcError> {
    let reference = object(params.get("ref"), "params.ref")?.unwrap_or_default();
    let named = match reference.string("type").as_deref() {
        Some("ref/prompt") => reference.name().map(|name| (true, name)),
        Some("ref/resource") => reference.string("uri").map(|uri| (false, uri)),
        _ => None,
    };
    Ok(named)
}

/// The members of a parameter that is an object.
fn object<'a>(
    value: Option<&'a RawValue>,
    what: &str,
) -> Result<Option<RequestParams<'a>>, RpcError> {
    value
        .map(RequestParams::parse)
        .transpose()
        .map_err(|error| invalid(format!("{what}: {error}")))
}

/// The members of a parameter that is an object of texts; absent ones count as none.
fn texts(value: Option<&RawValue>, what: &str) -> Result<BTreeMap<String, String>, RpcError> {
    let members = object(value, what)?.unwrap_or_default();
    let texts = members.iter().map(|(key, value)| {
        let text = protocol::json::as_string(value)
            .ok_or_else(|| invalid(format!("{what}: {key:?} must be a string")))?;
        Ok((key.to_owned(), text.into_owned()))
    });
    texts.collect()
}

fn invalid(error: String) -> RpcError {
    RpcError::new(code::INVALID_PARAMS, error)
}
