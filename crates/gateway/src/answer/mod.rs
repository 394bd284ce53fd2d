//! What becomes of a request, by its method.
//!
//! Lists and descriptions are answered here from the [catalogue](crate::catalogue), [`session`]
//! holds what only the `initialize` era knows, and everything else is a [`call`] to a worker.
//! To serve one more method, add it to one of the three, and to [`Request::known_method`].

mod call;
mod mirrors;
mod session;
mod target;

use std::sync::Arc;

use protocol::mcp::{code, method};
use protocol::response::RpcError;
use service::TraceContext;

use crate::catalogue::Kind;
use crate::gateway::{Answer, Gateway};
use crate::message::{self, Reply};
use crate::news::Subscription;
use crate::request::{Request, Speaker};
use crate::{era, refusal};

impl Gateway {
    /// Finds out who answers a request, and does so where that is the gateway itself.
    pub(crate) async fn route(
        self: &Arc<Self>,
        request: &Request<'_>,
        speaker: Speaker<'_>,
        context: TraceContext,
    ) -> Result<Answer, RpcError> {
        if speaker.is_modern() {
            era::check_log_level(&request.meta)?;
        }
        let result = match (request.method.as_ref(), speaker) {
            (
                method::TOOLS_CALL
                | method::PROMPTS_GET
                | method::RESOURCES_READ
                | method::COMPLETE,
                _,
            ) => {
                let call = self.call(request, speaker, context).await?;
                return Ok(Answer::Call(Box::new(call)));
            }
            (method::LISTEN, Speaker::Modern) => {
                let news = Subscription::open(self, request)?;
                return Ok(Answer::Subscription(Box::new(news)));
            }
            (method::TOOLS_LIST, _) => self.list(Kind::Tool, request, speaker).await?,
            (method::RESOURCES_LIST, _) => self.list(Kind::Resource, request, speaker).await?,
            (method::RESOURCE_TEMPLATES_LIST, _) => {
                self.list(Kind::Template, request, speaker).await?
            }
            (method::PROMPTS_LIST, _) => self.list(Kind::Prompt, request, speaker).await?,
            (method::DISCOVER, Speaker::Modern) => message::discover(),
            (_, Speaker::Legacy(session)) => session::answer(request, session)?,
            (method, Speaker::Modern) => return Err(message::method_not_found(method, true)),
        };
        Ok(Answer::Done(Reply::result(request.id, &result)))
    }

    async fn list(
        &self,
        kind: Kind,
        request: &Request<'_>,
        speaker: Speaker<'_>,
    ) -> Result<String, RpcError> {
        let cursor = match request.params.get("cursor") {
            None => None,
            Some(_) => Some(request.params.string("cursor").ok_or_else(invalid_cursor)?),
        };
        if !self.catalogue.settled().await {
            return Err(refusal::no_broker());
        }
        let catalogue = self.catalogue.now();
        let page = catalogue
            .list(kind)
            .page(cursor.as_deref())
            .map_err(|_| invalid_cursor())?;
        Ok(match speaker {
            Speaker::Modern => message::modern_list(&page),
            Speaker::Legacy(_) => message::legacy_list(&page),
        })
    }
}

fn invalid_cursor() -> RpcError {
    RpcError::new(
        code::INVALID_PARAMS,
        "params.cursor is not a cursor of this list; begin again without one",
    )
}
