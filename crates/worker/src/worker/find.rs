//! Which of what a worker offers a request is about.

use std::sync::Arc;

use protocol::canonical_tool_name;
use protocol::mcp::code;
use protocol::response::RpcError;
use serde_json::json;

use super::Worker;
use crate::completion::Completer;
use crate::target::Target;
use crate::{Prompt, Tool};

impl Worker {
    /// The tool behind a name, call-time names included.
    pub(crate) fn find(&self, name: &str) -> Result<&Arc<Tool>, RpcError> {
        self.tools
            .get(&*canonical_tool_name(name))
            .ok_or_else(|| self.unknown("tool", name, self.tools.keys().copied()))
    }

    pub(crate) fn find_prompt(&self, name: &str) -> Result<&Arc<Prompt>, RpcError> {
        self.prompts
            .get(name)
            .ok_or_else(|| self.unknown("prompt", name, self.prompts.keys().map(String::as_str)))
    }

    /// The resource of a URI, or the first template that gives the URI.
    pub(crate) fn find_resource(&self, uri: &str) -> Result<Target, RpcError> {
        if let Some(resource) = self.resources.get(uri) {
            return Ok(Target::Resource(Arc::clone(resource)));
        }
        let matched = self
            .templates
            .iter()
            .find_map(|template| Some((template, template.matches(uri)?)));
        match matched {
            Some((template, request)) => Ok(Target::Template {
                template: Arc::clone(template),
                request,
            }),
            None => Err(self.unknown_resource(uri)),
        }
    }

    /// What suggests values of a template's variable. The template is named by its text or by
    /// a URI of it; a resource has no variables.
    pub(crate) fn find_variables(
        &self,
        uri: &str,
        variable: &str,
    ) -> Result<Option<Completer>, RpcError> {
        let named = self.templates.iter().find(|other| other.template() == uri);
        if let Some(template) = named {
            return Ok(template.completer(variable));
        }
        match self.find_resource(uri)? {
            Target::Template { template, .. } => Ok(template.completer(variable)),
            _ => Ok(None),
        }
    }

    fn unknown<'a>(
        &self,
        kind: &str,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> RpcError {
        let known: Vec<&str> = known.collect();
        let message = format!(
            "unknown {kind} {name:?}; the {} worker has {}",
            self.category,
            if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            }
        );
        RpcError::new(code::INVALID_PARAMS, message)
    }

    fn unknown_resource(&self, uri: &str) -> RpcError {
        let message = format!("unknown resource {uri:?} of the {} worker", self.category);
        RpcError::new(code::INVALID_PARAMS, message).data(json!({ "uri": uri }))
    }
}
