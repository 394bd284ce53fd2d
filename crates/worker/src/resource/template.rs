use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use protocol::{Category, UriTemplate};
use serde_json::Value;
use serde_json::value::RawValue;

use super::details::{self, Address, Details};
use crate::call::Prepared;
use crate::completion::Completer;
use crate::{CompletionRequest, Contents, Context, Stop};

type Run =
    dyn Fn(Context, ResourceRequest) -> BoxFuture<'static, Result<Contents, Stop>> + Send + Sync;

/// A resource of a template that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRequest {
    /// The URI as the client wrote it.
    pub uri: String,
    /// The values of the template's variables, percent-decoded. They are input from outside:
    /// one can hold any character, `/` and `..` included.
    pub variables: BTreeMap<String, String>,
}

/// Resources whose URIs follow one template.
#[derive(Clone)]
pub struct ResourceTemplate {
    template: String,
    parsed: Result<UriTemplate, String>,
    details: Details,
    completers: BTreeMap<String, Completer>,
    run: Arc<Run>,
}

impl ResourceTemplate {
    /// Resources that a function reads; for a URI that fits the template but names nothing it
    /// ends with [`Stop::unknown_resource`].
    ///
    /// The template is one of [`UriTemplate`]. A fault of the declaration is reported when the
    /// worker starts, by [`crate::Worker::check`].
    pub fn new<E, F, Fut>(uri_template: impl Into<String>, name: impl Into<String>, run: F) -> Self
    where
        E: Into<Stop> + 'static,
        F: Fn(Context, ResourceRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Contents, E>> + Send + 'static,
    {
        let run = move |context: Context, request: ResourceRequest| {
            let contents = run(context, request);
            async move { contents.await.map_err(Into::into) }.boxed()
        };
        let template = uri_template.into();
        Self {
            parsed: UriTemplate::parse(&template).map_err(|error| error.to_string()),
            template,
            details: Details::new(name.into()),
            completers: BTreeMap::new(),
            run: Arc::new(run),
        }
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.details.title = Some(title.to_owned());
        self
    }

    /// What the resources hold.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.details.description = Some(description.to_owned());
        self
    }

    /// The MIME type that all of them have.
    #[must_use]
    pub fn mime_type(mut self, mime_type: &str) -> Self {
        self.details.mime_type = Some(mime_type.to_owned());
        self
    }

    /// MCP's annotations: an object with `audience`, `priority` or `lastModified`.
    #[must_use]
    pub fn annotations(mut self, annotations: Value) -> Self {
        self.details.annotations = Some(annotations);
        self
    }

    /// How long a client may keep the contents, in whole milliseconds, and whether they are
    /// the same for everybody (`public`). Without this: not at all, and for the caller alone.
    #[must_use]
    pub fn cache(mut self, ttl: Duration, public: bool) -> Self {
        self.details.cache(ttl, public);
        self
    }

    /// Suggests values of a variable: at most 100 are sent, the most fitting first.
    #[must_use]
    pub fn complete<E, F, Fut>(mut self, variable: &str, run: F) -> Self
    where
        E: Into<Stop> + 'static,
        F: Fn(Context, CompletionRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<String>, E>> + Send + 'static,
    {
        self.completers
            .insert(variable.to_owned(), Completer::new(run));
        self
    }

    /// The template as it is announced.
    pub(crate) fn template(&self) -> &str {
        &self.template
    }

    pub(crate) fn completer(&self, variable: &str) -> Option<Completer> {
        self.completers.get(variable).cloned()
    }

    /// What is wrong with the declaration, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        let template = self.parsed.as_ref().map_err(Clone::clone)?;
        // The literals before the first variable hold the scheme.
        let beginning = self.template.split('{').next().unwrap_or_default();
        details::check_uri(beginning)?;
        let is_variable = |key: &str| template.variables().any(|name| name == key);
        if let Some(key) = self.completers.keys().find(|key| !is_variable(key)) {
            return Err(format!(
                "values of {key} are suggested, which is no variable"
            ));
        }
        self.details.check()
    }

    /// What the worker announces, in the shape of MCP's `ResourceTemplate`.
    pub(crate) fn descriptor(&self, category: &Category) -> Option<Box<RawValue>> {
        let address = Address::UriTemplate(&self.template);
        self.details.descriptor(address, category)
    }

    /// The request for a URI, if it is one of the template's.
    pub(crate) fn matches(&self, uri: &str) -> Option<ResourceRequest> {
        let variables = self.parsed.as_ref().ok()?.matches(uri)?;
        Some(ResourceRequest {
            uri: uri.to_owned(),
            variables,
        })
    }

    pub(crate) fn prepare(&self, request: ResourceRequest) -> Prepared {
        let (run, details) = (Arc::clone(&self.run), self.details.clone());
        Box::new(move |context| {
            async move {
                let uri = request.uri.clone();
                let contents = run(context, request).await?;
                contents.into_result(&uri, &details)
            }
            .boxed()
        })
    }
}

impl std::fmt::Debug for ResourceTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResourceTemplate")
            .field("template", &self.template)
            .finish_non_exhaustive()
    }
}
