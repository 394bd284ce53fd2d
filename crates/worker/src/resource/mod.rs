//! Resources: their declaration, and the way from a request to their contents.

mod contents;
mod details;
mod template;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use protocol::Category;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::call::Prepared;
use crate::{Context, Stop};
pub use contents::Contents;
use details::{Address, Details};
pub use template::{ResourceRequest, ResourceTemplate};

type Run = dyn Fn(Context, String) -> BoxFuture<'static, Result<Contents, Stop>> + Send + Sync;

/// Something to read, under one URI.
#[derive(Clone)]
pub struct Resource {
    uri: String,
    details: Details,
    run: Arc<Run>,
}

impl Resource {
    /// A resource that a function reads; it gets the URI.
    ///
    /// A fault of the declaration, such as a URI without a scheme, is reported when the worker
    /// starts, by [`crate::Worker::check`].
    pub fn new<E, F, Fut>(uri: impl Into<String>, name: impl Into<String>, run: F) -> Self
    where
        E: Into<Stop> + 'static,
        F: Fn(Context, String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Contents, E>> + Send + 'static,
    {
        let run = move |context: Context, uri: String| {
            let contents = run(context, uri);
            async move { contents.await.map_err(Into::into) }.boxed()
        };
        Self {
            uri: uri.into(),
            details: Details::new(name.into()),
            run: Arc::new(run),
        }
    }

    /// A name for people.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        self.details.title = Some(title.to_owned());
        self
    }

    /// What the resource holds.
    #[must_use]
    pub fn description(mut self, description: &str) -> Self {
        self.details.description = Some(description.to_owned());
        self
    }

    /// The MIME type of its contents.
    #[must_use]
    pub fn mime_type(mut self, mime_type: &str) -> Self {
        self.details.mime_type = Some(mime_type.to_owned());
        self
    }

    /// The size of its contents in bytes, before any encoding.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.details.size = Some(bytes);
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

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// What is wrong with the declaration, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        details::check_uri(&self.uri)?;
        self.details.check()
    }

    /// What the worker announces, in the shape of MCP's `Resource`.
    pub(crate) fn descriptor(&self, category: &Category) -> Option<Box<RawValue>> {
        self.details.descriptor(Address::Uri(&self.uri), category)
    }

    pub(crate) fn prepare(&self) -> Prepared {
        let Self { uri, details, run } = self.clone();
        Box::new(move |context| {
            async move {
                let contents = run(context, uri.clone()).await?;
                contents.into_result(&uri, &details)
            }
            .boxed()
        })
    }
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resource")
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}
