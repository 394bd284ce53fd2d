mod find;

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use protocol::mcp::code;
use protocol::response::RpcError;
use protocol::{Category, ToolDescriptor};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use service::Settings;
use tokio::time::Instant;

use crate::call::{Call, Ended};
use crate::context::Parts;
use crate::target::About;
use crate::{
    ClientCapabilities, Context, Error, HostIdentity, Prompt, Resource, ResourceTemplate, Scope,
    ScopeError, Tool,
};

/// The tools, prompts and resources of one category, and what they run with.
#[derive(Debug, Clone)]
pub struct Worker {
    category: Category,
    prefetch: NonZeroU16,
    tools: BTreeMap<&'static str, Arc<Tool>>,
    prompts: BTreeMap<String, Arc<Prompt>>,
    resources: BTreeMap<String, Arc<Resource>>,
    /// The first that fits is read.
    templates: Vec<Arc<ResourceTemplate>>,
    /// What was registered twice, if anything.
    twice: Option<(&'static str, String)>,
    scope: Option<Scope>,
    host: Option<Arc<HostIdentity>>,
}

impl Worker {
    /// A worker without tools. `prefetch` is how many calls it runs at once, unless
    /// `AMQP_PREFETCH_COUNT` says otherwise.
    #[must_use]
    pub fn new(category: Category, prefetch: NonZeroU16) -> Self {
        Self {
            category,
            prefetch,
            tools: BTreeMap::new(),
            prompts: BTreeMap::new(),
            resources: BTreeMap::new(),
            templates: Vec::new(),
            twice: None,
            scope: None,
            host: None,
        }
    }

    /// Registers a tool.
    #[must_use]
    pub fn tool(mut self, tool: Tool) -> Self {
        if let Some(first) = self.tools.insert(tool.name(), Arc::new(tool)) {
            self.twice = Some(("tool", first.name().to_owned()));
        }
        self
    }

    /// Registers a prompt.
    #[must_use]
    pub fn prompt(mut self, prompt: Prompt) -> Self {
        let name = prompt.name().to_owned();
        if self
            .prompts
            .insert(name.clone(), Arc::new(prompt))
            .is_some()
        {
            self.twice = Some(("prompt", name));
        }
        self
    }

    /// Registers a resource.
    #[must_use]
    pub fn resource(mut self, resource: Resource) -> Self {
        let uri = resource.uri().to_owned();
        if self
            .resources
            .insert(uri.clone(), Arc::new(resource))
            .is_some()
        {
            self.twice = Some(("resource", uri));
        }
        self
    }

    /// Registers a resource template. A URI is read as the resource it names, or else by the
    /// first template that fits.
    #[must_use]
    pub fn resource_template(mut self, template: ResourceTemplate) -> Self {
        let is_same = |other: &Arc<ResourceTemplate>| other.template() == template.template();
        if self.templates.iter().any(is_same) {
            self.twice = Some(("resource template", template.template().to_owned()));
        }
        self.templates.push(Arc::new(template));
        self
    }

    /// Sets what the tools may touch; without it the settings of the process decide.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Sets the host and site that the tools speak for; without it this host, and the site
    /// in the settings of the process.
    #[must_use]
    pub fn host(mut self, host: HostIdentity) -> Self {
        self.host = Some(Arc::new(host));
        self
    }

    /// What is wrong with the declarations, if anything.
    ///
    /// # Errors
    /// Names the first tool, prompt or resource that no client could use, or that is registered
    /// twice.
    pub fn check(&self) -> Result<(), Error> {
        let fault = |kind, name: &str, why| Error::Declaration {
            kind,
            name: name.to_owned(),
            why,
        };
        if let Some((kind, name)) = &self.twice {
            return Err(fault(kind, name, "it is registered twice".to_owned()));
        }
        for (name, tool) in &self.tools {
            tool.check().map_err(|why| fault("tool", name, why))?;
        }
        for (name, prompt) in &self.prompts {
            prompt.check().map_err(|why| fault("prompt", name, why))?;
        }
        for (uri, resource) in &self.resources {
            resource
                .check()
                .map_err(|why| fault("resource", uri, why))?;
        }
        for template in &self.templates {
            let fault = |why| fault("resource template", template.template(), why);
            template.check().map_err(fault)?;
        }
        Ok(())
    }

    /// What the worker announces of its tools, by name, as read by the platform: the text that
    /// is announced keeps every schema as it was written.
    #[must_use]
    pub fn descriptors(&self) -> Vec<ToolDescriptor> {
        self.announced_tools()
            .iter()
            .filter_map(|tool| serde_json::from_str(tool.get()).ok())
            .collect()
    }

    pub(crate) fn announced_tools(&self) -> Vec<Box<RawValue>> {
        let tools = self.tools.values();
        tools
            .filter_map(|tool| tool.descriptor(&self.category))
            .collect()
    }

    pub(crate) fn announced_prompts(&self) -> Vec<Box<RawValue>> {
        let prompts = self.prompts.values();
        prompts
            .filter_map(|prompt| prompt.descriptor(&self.category))
            .collect()
    }

    pub(crate) fn announced_resources(&self) -> Vec<Box<RawValue>> {
        let resources = self.resources.values();
        resources
            .filter_map(|resource| resource.descriptor(&self.category))
            .collect()
    }

    pub(crate) fn announced_templates(&self) -> Vec<Box<RawValue>> {
        let templates = self.templates.iter();
        templates
            .filter_map(|template| template.descriptor(&self.category))
            .collect()
    }

    /// A call of a tool from its raw arguments to its result, without a bus: both are checked
    /// against the schemas, and the tool's default deadline holds. The client can be asked for
    /// nothing. A JSON-RPC error, such as that of an unknown tool, gives an object with `error`.
    pub async fn call_for_test(&self, name: &str, arguments: Value) -> Value {
        let tool = match self.find(name) {
            Ok(tool) => Arc::clone(tool),
            Err(error) => return json!({ "error": error }),
        };
        let about = About::tool(&tool);
        let deadline = Instant::now() + about.default_deadline;
        let parts = Parts::without_bus(self.scan_scope(), self.host_identity(), deadline);
        let call = Call {
            about: &about,
            notifications: parts.notifications.clone(),
            context: Context::new(parts),
        };
        let ended = match tool.prepare(Some(&arguments.to_string())) {
            Ok(prepared) => call.run(prepared).await,
            Err(error) => Ended::Stopped(error.into()),
        };
        let answer = ended.answer(&about, &ClientCapabilities::default());
        let cancelled = || RpcError::new(code::CANCELLED, "the call was cancelled");
        match answer.map_or_else(|| Err(cancelled()), |answer| answer.body) {
            Ok(result) => json!(result),
            Err(error) => json!({ "error": error }),
        }
    }

    /// Takes from the settings what was not set before.
    pub(crate) fn configured(mut self, settings: &Settings) -> Result<Self, ScopeError> {
        if self.scope.is_none() {
            let (allow, deny) = (&settings.scan_scope_allow, &settings.scan_scope_deny);
            self.scope = Some(Scope::new(allow, deny)?);
        }
        if self.host.is_none() {
            let site = settings.discovery_site.as_str();
            self.host = Some(Arc::new(HostIdentity::of_site(site)));
        }
        Ok(self)
    }

    pub(crate) fn scan_scope(&self) -> Scope {
        self.scope.clone().unwrap_or_default()
    }

    pub(crate) fn host_identity(&self) -> Arc<HostIdentity> {
        self.host.clone().unwrap_or_default()
    }

    /// Calls that one consumer runs at once.
    #[must_use]
    pub fn prefetch(&self) -> NonZeroU16 {
        self.prefetch
    }

    /// The category of the tools.
    #[must_use]
    pub fn category(&self) -> &Category {
        &self.category
    }
}
