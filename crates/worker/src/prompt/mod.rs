//! One prompt: its declaration, and the way from a request to its messages.

mod content;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use protocol::mcp::code;
use protocol::response::RpcError;
use protocol::{Category, ToolDescriptor};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::call::Prepared;
use crate::completion::Completer;
use crate::meta::Meta;
use crate::{CompletionRequest, Context, Stop};
pub use content::PromptContent;

type Run = dyn Fn(Context, BTreeMap<String, String>) -> BoxFuture<'static, Result<PromptContent, Stop>>
    + Send
    + Sync;

/// A template of messages for a model, that a user chooses by name.
#[derive(Clone)]
pub struct Prompt {
    name: String,
    title: Option<String>,
    description: Option<String>,
    arguments: Vec<Argument>,
    completers: BTreeMap<String, Completer>,
    run: Arc<Run>,
}

#[derive(Debug, Clone, Serialize)]
struct Argument {
    name: String,
    description: String,
    required: bool,
}

impl Prompt {
    /// A prompt whose messages a function writes. It gets the declared arguments that the
    /// caller gave, the required ones for certain.
    ///
    /// The name is 1 to 64 characters of `[A-Za-z0-9_./-]`. A fault of the declaration is
    /// reported when the worker starts, by [`crate::Worker::check`].
    pub fn new<E, F, Fut>(name: impl Into<String>, run: F) -> Self
    where
        E: Into<Stop> + 'static,
        F: Fn(Context, BTreeMap<String, String>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<PromptContent, E>> + Send + 'static,
    {
        let run = move |context: Context, arguments: BTreeMap<String, String>| {
            let content = run(context, arguments);
            async move { content.await.map_err(Into::into) }.boxed()
        };
        Self {
            name: name.into(),
            title: None,
            description: None,
            arguments: Vec::new(),
            completers: BTreeMap::new(),
            run: Arc::new(run),
        }
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.title = Some(title.to_owned());
        self
    }

    /// What the prompt is good for.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.description = Some(description.to_owned());
        self
    }

    /// One argument more; a text.
    #[must_use]
    pub fn argument(mut self, name: &str, description: &str, required: bool) -> Self {
        self.arguments.push(Argument {
            name: name.to_owned(),
            description: description.to_owned(),
            required,
        });
        self
    }

    /// Suggests values of an argument: at most 100 are sent, the most fitting first.
    #[must_use]
    pub fn complete<E, F, Fut>(mut self, argument: &str, run: F) -> Self
    where
        E: Into<Stop> + 'static,
        F: Fn(Context, CompletionRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<String>, E>> + Send + 'static,
    {
        self.completers
            .insert(argument.to_owned(), Completer::new(run));
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn completer(&self, argument: &str) -> Option<Completer> {
        self.completers.get(argument).cloned()
    }

    /// What is wrong with the declaration, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !ToolDescriptor::name_is_valid(&self.name) {
            return Err("the name is not 1 to 64 characters of [A-Za-z0-9_./-]".to_owned());
        }
        let names = || self.arguments.iter().map(|argument| &argument.name);
        for (position, name) in names().enumerate() {
            if names().take(position).any(|other| other == name) {
                return Err(format!("argument {name} is declared twice"));
            }
        }
        match self
            .completers
            .keys()
            .find(|key| !names().any(|name| name == *key))
        {
            Some(key) => Err(format!(
                "values of {key} are suggested, which is no argument"
            )),
            None => Ok(()),
        }
    }

    /// What the worker announces, in the shape of MCP's `Prompt`.
    pub(crate) fn descriptor(&self, category: &Category) -> Option<Box<RawValue>> {
        #[derive(Serialize)]
        struct Descriptor<'a> {
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            title: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
            #[serde(skip_serializing_if = "<[Argument]>::is_empty")]
            arguments: &'a [Argument],
            #[serde(rename = "_meta")]
            meta: Meta<'a>,
        }
        let descriptor = Descriptor {
            name: &self.name,
            title: self.title.as_deref(),
            description: self.description.as_deref(),
            arguments: &self.arguments,
            meta: Meta { category },
        };
        to_raw_value(&descriptor).ok()
    }

    /// Checks the arguments of a request.
    ///
    /// # Errors
    /// -32602 names the argument that is unknown or missing.
    pub(crate) fn check_arguments(
        &self,
        arguments: &BTreeMap<String, String>,
    ) -> Result<(), RpcError> {
        let declared = |name: &str| self.arguments.iter().any(|argument| argument.name == name);
        let known = || {
            let names: Vec<&str> = self
                .arguments
                .iter()
                .map(|argument| &*argument.name)
                .collect();
            match names.as_slice() {
                [] => format!("prompt {} has no arguments", self.name),
                names => format!("prompt {} has {}", self.name, names.join(", ")),
            }
        };
        if let Some(unknown) = arguments.keys().find(|name| !declared(name)) {
            let error = format!("unknown argument {unknown:?}; {}", known());
            return Err(RpcError::new(code::INVALID_PARAMS, error));
        }
        let missing = self
            .arguments
            .iter()
            .find(|argument| argument.required && !arguments.contains_key(&argument.name));
        match missing {
            None => Ok(()),
            Some(argument) => {
                let (name, what) = (&argument.name, &argument.description);
                let error = format!(
                    "argument {name:?} of prompt {} is missing: {what}; send it as a string in \
                     params.arguments",
                    self.name
                );
                Err(RpcError::new(code::INVALID_PARAMS, error))
            }
        }
    }

    pub(crate) fn prepare(&self, arguments: BTreeMap<String, String>) -> Prepared {
        let run = Arc::clone(&self.run);
        let name = self.name.clone();
        Box::new(move |context| {
            async move { run(context, arguments).await?.into_result(&name) }.boxed()
        })
    }
}

impl std::fmt::Debug for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prompt")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
