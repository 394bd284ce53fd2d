use std::borrow::Cow;
use std::sync::Arc;

use protocol::json::Members;
use protocol::mcp::{code, method};
use protocol::response::RpcError;
use protocol::{Category, ToolDescriptor, canonical_tool_name};
use tracing::Span;

use crate::catalogue::{Item, Snapshot};
use crate::gateway::Gateway;
use crate::refusal;
use crate::request::{Request, Speaker};

/// The longest URI that is looked up, in bytes: it travels in a header as well.
const MAX_URI: usize = 8 * 1024;

/// Who answers a request, and by what names it travels.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) item: Arc<Item>,
    pub(super) method: &'static str,
    /// Of the tool or prompt; empty for what has no place in a routing key.
    pub(super) tool: String,
    /// As the body has it.
    pub(super) name: String,
}

impl Gateway {
    /// Finds what a request for a worker is about.
    pub(super) async fn target(
        &self,
        request: &Request<'_>,
        speaker: Speaker<'_>,
    ) -> Result<Target, RpcError> {
        let target = match request.method.as_ref() {
            method::PROMPTS_GET => self.prompt(&name(request, "prompt")?).await,
            method::RESOURCES_READ => self.resource(&uri(request)?, speaker).await,
            method::COMPLETE => self.reference(&Reference::read(request)?).await,
            _ => self.tool(&name(request, "tool")?).await,
        }?;
        let field = if target.tool.is_empty() {
            "resource"
        } else {
            "tool"
        };
        Span::current()
            .record(field, &target.item.key)
            .record("category", target.item.category.as_str());
        Ok(target)
    }

    async fn tool(&self, name: &str) -> Result<Target, RpcError> {
        let item = self
            .find(|catalogue| catalogue.tool(name).map(Arc::clone))
            .await?
            .or_else(|| self.expected(name).map(Arc::new))
            .ok_or_else(|| refusal::unknown_tool(name, &self.catalogue.now()))?;
        Ok(Target {
            method: method::TOOLS_CALL,
            tool: item.key.clone(),
            name: name.to_owned(),
            item,
        })
    }

    async fn prompt(&self, name: &str) -> Result<Target, RpcError> {
        let item = self
            .find(|catalogue| catalogue.prompt(name).map(Arc::clone))
            .await?
            .ok_or_else(|| refusal::unknown_prompt(name, &self.catalogue.now()))?;
        Ok(Target {
            method: method::PROMPTS_GET,
            tool: item.key.clone(),
            name: name.to_owned(),
            item,
        })
    }

    async fn resource(&self, uri: &str, speaker: Speaker<'_>) -> Result<Target, RpcError> {
        let item = self
            .find(|catalogue| catalogue.resource(uri).map(Arc::clone))
            .await?
            .ok_or_else(|| refusal::unknown_resource(uri, speaker.is_modern()))?;
        Ok(Target {
            method: method::RESOURCES_READ,
            tool: String::new(),
            name: uri.to_owned(),
            item,
        })
    }

    async fn reference(&self, reference: &Reference<'_>) -> Result<Target, RpcError> {
        let item = self
            .find(|catalogue| reference.find(catalogue).map(Arc::clone))
            .await?
            .ok_or_else(|| match reference {
                Reference::Prompt(name) => refusal::unknown_prompt(name, &self.catalogue.now()),
                Reference::Resource(uri) => refusal::unknown_resource(uri, true),
            })?;
        let (Reference::Prompt(name) | Reference::Resource(name)) = reference;
        Ok(Target {
            method: method::COMPLETE,
            tool: String::new(),
            name: name.clone().into_owned(),
            item,
        })
    }

    /// Looks something up; at the start of the process until its worker is heard, or all have
    /// had the time to be.
    async fn find(
        &self,
        look_up: impl Fn(&Snapshot) -> Option<Arc<Item>> + Send + Sync,
    ) -> Result<Option<Arc<Item>>, RpcError> {
        if let Some(item) = look_up(&self.catalogue.now()) {
            return Ok(Some(item));
        }
        tokio::select! {
            biased;
            () = self.catalogue.appears(|catalogue| look_up(catalogue).is_some()) => {}
            settled = self.catalogue.settled() => if !settled {
                return Err(refusal::no_broker());
            }
        }
        Ok(look_up(&self.catalogue.now()))
    }

    /// A tool that a worker will announce when it comes: of a category whose calls wait for one,
    /// and of which this gateway has never heard any.
    fn expected(&self, name: &str) -> Option<Item> {
        let name = canonical_tool_name(name);
        let category = Category::of_core_tool(&name)?;
        let is_awaited = self.patient.contains(&category) && !self.catalogue.now().lists(&category);
        (is_awaited && ToolDescriptor::name_is_valid(&name))
            .then(|| Item::expected(name.into_owned(), category))
    }
}

/// What a completion is for (MCP 2026-07-28, "Reference Types").
enum Reference<'a> {
    Prompt(Cow<'a, str>),
    /// A URI template or a URI.
    Resource(Cow<'a, str>),
}

impl<'a> Reference<'a> {
    fn read(request: &Request<'a>) -> Result<Self, RpcError> {
        let reference = request
            .params
            .get("ref")
            .and_then(|value| Members::parse(value.get()).ok())
            .ok_or_else(|| invalid("params.ref must be an object: what is to be completed"))?;
        let string = |key: &str| {
            let missing = || invalid(format!("params.ref.{key} must be a string"));
            reference.string(key).ok_or_else(missing)
        };
        match string("type")?.as_ref() {
            "ref/prompt" => Ok(Self::Prompt(string("name")?)),
            "ref/resource" => Ok(Self::Resource(bounded(string("uri")?)?)),
            _ => Err(invalid(
                "params.ref.type must be \"ref/prompt\" or \"ref/resource\"",
            )),
        }
    }

    fn find<'s>(&self, catalogue: &'s Snapshot) -> Option<&'s Arc<Item>> {
        match self {
            Self::Prompt(name) => catalogue.prompt(name),
            Self::Resource(uri) => catalogue.reference(uri),
        }
    }
}

fn name<'a>(request: &Request<'a>, word: &str) -> Result<Cow<'a, str>, RpcError> {
    request
        .params
        .name()
        .ok_or_else(|| invalid(format!("params.name must be a string: the {word}'s name")))
}

fn uri<'a>(request: &Request<'a>) -> Result<Cow<'a, str>, RpcError> {
    let uri = request.params.string("uri");
    bounded(uri.ok_or_else(|| invalid("params.uri must be a string: the resource's URI"))?)
}

fn bounded(uri: Cow<'_, str>) -> Result<Cow<'_, str>, RpcError> {
    if uri.len() > MAX_URI {
        return Err(invalid(format!("the URI is longer than {MAX_URI} bytes")));
    }
    Ok(uri)
}

fn invalid(message: impl Into<String>) -> RpcError {
    RpcError::new(code::INVALID_PARAMS, message)
}
