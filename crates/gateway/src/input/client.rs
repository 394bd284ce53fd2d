use std::borrow::Cow;

use protocol::RequestParams;
use protocol::json::Members;
use protocol::mcp::{code, meta};
use protocol::response::RpcError;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::asked::{Asked, Request, What};
use crate::session::Session;
use crate::splice;

/// First revision with `elicitation/create`.
const ELICITATION_SINCE: &str = "2025-06-18";
/// First revision with modes of elicitation and with tools in sampling.
const MODES_SINCE: &str = "2025-11-25";

/// A client of the `initialize` era that can be asked.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) session: Uuid,
    /// Cancelled when the session is over.
    pub(super) ended: CancellationToken,
    version: &'static str,
    capabilities: Value,
}

impl Client {
    pub(crate) fn new(session: &Session) -> Self {
        Self {
            session: session.id(),
            ended: session.ended().clone(),
            version: session.version,
            capabilities: read(session.capabilities()),
        }
    }

    /// Checks that the client can be asked all of it.
    ///
    /// # Errors
    /// What the client lacks, in the words of its own revision.
    pub(crate) fn check(&self, asked: &Asked) -> Result<(), RpcError> {
        let lacking = asked
            .requests
            .iter()
            .map(|request| request.what)
            .filter(|what| !self.is_known(*what) || !declares(&self.capabilities, *what));
        let lacking = together(lacking);
        if lacking == json!({}) {
            return Ok(());
        }
        Err(self.cannot(&lacking))
    }

    /// The error for a client that lacks these capabilities; its revision has no code of its own
    /// for that.
    pub(crate) fn cannot(&self, lacking: &Value) -> RpcError {
        let message = format!(
            "the call needs input that this client (revision {}) cannot give: it takes a client \
             that declares {lacking} in initialize",
            self.version,
        );
        RpcError::new(code::INVALID_PARAMS, message)
            .data(json!({ "requiredCapabilities": lacking }))
    }

    /// The request as a message for this client; `id` is the JSON text of its identifier.
    pub(super) fn message(&self, id: &str, request: &Request) -> String {
        let method = request.what.method();
        let params = request
            .params
            .as_deref()
            .map(|params| self.params(request.what, params));
        let params = params
            .map(|params| format!(r#","params":{params}"#))
            .unwrap_or_default();
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"{params}}}"#)
    }

    /// Whether the client's revision has it.
    fn is_known(&self, what: What) -> bool {
        let since = match what {
            What::Form => ELICITATION_SINCE,
            What::Url | What::SamplingWithTools => MODES_SINCE,
            What::Sampling | What::Roots => return true,
        };
        // Revisions are dates, which are in order as texts.
        self.version >= since
    }

    /// Parameters in the form of the client's revision.
    fn params<'a>(&self, what: What, params: &'a RawValue) -> Cow<'a, str> {
        let text = params.get();
        let changed = match what {
            What::Form if self.version < MODES_SINCE => {
                splice::without_members(text, params, &["mode"])
            }
            // Needed up to 2025-11-25; later revisions do not have it.
            What::Url if !names(params, "elicitationId") => {
                let id = format!("\"{}\"", Uuid::new_v4());
                splice::set_members(text, params, &[("elicitationId", &id)]).ok()
            }
            _ => None,
        };
        changed
            .and_then(|bytes| String::from_utf8(bytes.into()).ok())
            .map_or(Cow::Borrowed(text), Cow::Owned)
    }
}

/// What a client of the stateless revision lacks to be asked all of it, by what its request
/// declares.
pub(crate) fn missing_capability(params: &RequestParams<'_>, asked: &Asked) -> Option<RpcError> {
    let meta = params.meta().unwrap_or_default();
    let declared = meta
        .get(meta::CLIENT_CAPABILITIES)
        .map_or(Value::Null, read);
    let lacking = asked.requests.iter().map(|request| request.what);
    let lacking = together(lacking.filter(|what| !declares(&declared, *what)));
    (lacking != json!({})).then(|| {
        let message = format!(
            "the request needs client capabilities that its _meta does not declare: {lacking}"
        );
        RpcError::new(code::MISSING_CLIENT_CAPABILITY, message)
            .data(json!({ "requiredCapabilities": lacking }))
    })
}

/// Capabilities that cover all of these.
fn together(whats: impl Iterator<Item = What>) -> Value {
    let mut all = json!({});
    for what in whats {
        let [capability, part] = path(what);
        let entry = &mut all[capability];
        if entry.is_null() {
            *entry = json!({});
        }
        if !part.is_empty() {
            entry[part] = json!({});
        }
    }
    all
}

/// The capability that is needed, and the part of it.
fn path(what: What) -> [&'static str; 2] {
    match what {
        What::Form => ["elicitation", "form"],
        What::Url => ["elicitation", "url"],
        What::Sampling => ["sampling", ""],
        What::SamplingWithTools => ["sampling", "tools"],
        What::Roots => ["roots", ""],
    }
}

fn declares(capabilities: &Value, what: What) -> bool {
    let [capability, part] = path(what);
    let Some(declared) = capabilities.get(capability).and_then(Value::as_object) else {
        return false;
    };
    match what {
        // An elicitation that names no mode is one of forms.
        What::Form => declared.contains_key("form") || !declared.contains_key("url"),
        _ => part.is_empty() || declared.get(part).is_some_and(Value::is_object),
    }
}

fn names(object: &RawValue, key: &str) -> bool {
    Members::parse(object.get()).is_ok_and(|members| members.get(key).is_some())
}

fn read(capabilities: &RawValue) -> Value {
    serde_json::from_str(capabilities.get()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use protocol::mcp::LEGACY_VERSIONS;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn client(version: &'static str, capabilities: &str) -> Client {
        Client {
            session: Uuid::nil(),
            ended: CancellationToken::new(),
            version,
            capabilities: read(&raw(capabilities)),
        }
    }

    fn asked(whats: &[What]) -> Asked {
        let requests = whats.iter().map(|what| Request {
            key: "k".to_owned(),
            what: *what,
            params: None,
        });
        Asked {
            requests: requests.collect(),
            state: None,
        }
    }

    #[test]
    fn a_client_is_asked_what_its_revision_knows_and_it_declares() {
        let all = r#"{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"roots":{}}"#;
        let check = |version, capabilities: &str, what, can: bool| {
            let checked = client(version, capabilities).check(&asked(&[what]));
            assert_eq!(checked.is_ok(), can, "{version} {capabilities} {what:?}");
        };
        for version in LEGACY_VERSIONS {
            let is_newest = version == "2025-11-25";
            check(version, all, What::Sampling, true);
            check(version, all, What::Roots, true);
            check(version, all, What::Form, version >= "2025-06-18");
            check(version, all, What::Url, is_newest);
            check(version, all, What::SamplingWithTools, is_newest);
            for what in [
                What::Form,
                What::Url,
                What::Sampling,
                What::SamplingWithTools,
                What::Roots,
            ] {
                check(version, "{}", what, false);
            }
        }
        let newest = "2025-11-25";
        check(newest, r#"{"elicitation":{}}"#, What::Form, true);
        check(newest, r#"{"elicitation":{}}"#, What::Url, false);
        check(newest, r#"{"elicitation":{"url":{}}}"#, What::Form, false);
        check(newest, r#"{"elicitation":{"url":{}}}"#, What::Url, true);
        check(newest, r#"{"sampling":{}}"#, What::SamplingWithTools, false);
        check(newest, r#"{"roots":true}"#, What::Roots, false);
    }

    #[test]
    fn what_a_client_lacks_is_named_all_at_once() {
        let whats = [What::Sampling, What::Url, What::Roots, What::Form];
        let error = client("2025-11-25", r#"{"roots":{}}"#)
            .check(&asked(&whats))
            .unwrap_err();
        let lacking = json!({ "elicitation": { "form": {}, "url": {} }, "sampling": {} });
        assert_eq!(error.code, code::INVALID_PARAMS);
        assert_eq!(
            error.data.unwrap(),
            json!({ "requiredCapabilities": lacking })
        );
        assert!(error.message.contains("initialize"), "{}", error.message);
        let params =
            raw(r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"roots":{}}}}"#);
        let params = RequestParams::parse(&params).unwrap();
        let error = missing_capability(&params, &asked(&whats)).unwrap();
        assert_eq!(error.code, code::MISSING_CLIENT_CAPABILITY);
        assert_eq!(
            error.data.unwrap(),
            json!({ "requiredCapabilities": lacking })
        );
        assert!(missing_capability(&params, &asked(&[What::Roots])).is_none());
    }

    #[test]
    fn a_request_has_the_form_of_the_clients_revision() {
        let message = |version, what, params: Option<&str>| {
            let request = Request {
                key: "k".to_owned(),
                what,
                params: params.map(raw),
            };
            client(version, "{}").message("\"i:1\"", &request)
        };
        let form = r#"{"mode":"form","message":"m","requestedSchema":{"n":1.0}}"#;
        assert_eq!(
            message("2025-06-18", What::Form, Some(form)),
            r#"{"jsonrpc":"2.0","id":"i:1","method":"elicitation/create","params":{"message":"m","requestedSchema":{"n":1.0}}}"#
        );
        assert!(
            message("2025-11-25", What::Form, Some(form))
                .ends_with(&format!("\"params\":{form}}}"))
        );
        assert_eq!(
            message("2024-11-05", What::Roots, None),
            r#"{"jsonrpc":"2.0","id":"i:1","method":"roots/list"}"#
        );
        let url = r#"{"mode":"url","message":"elicitationId","url":"u"}"#;
        let sent: Value =
            serde_json::from_str(&message("2025-11-25", What::Url, Some(url))).unwrap();
        assert!(!sent["params"]["elicitationId"].as_str().unwrap().is_empty());
        let own = r#"{"mode":"url","elicitationId":"own"}"#;
        assert!(
            message("2025-11-25", What::Url, Some(own)).ends_with(&format!("\"params\":{own}}}"))
        );
    }
}
