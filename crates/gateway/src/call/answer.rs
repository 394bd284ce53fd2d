use std::time::SystemTime;

use bus::CallRequest;
use bytes::Bytes;
use protocol::json::Members;
use protocol::mcp::code;
use protocol::response::RpcError;
use protocol::{Envelope, Kind, RequestParams};
use seal::Keyring;
use serde_json::Value;
use serde_json::value::RawValue;
use service::Outcome;
use tracing::warn;

use crate::input::{Asked, Bond, Client, Fault, STATE, missing_capability};
use crate::message::{self, Reply};
use crate::splice;

/// Members of a result that clients before 2026-07-28 do not know.
const MODERN_MEMBERS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

/// Makes the answer of a worker one for the client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) call: &'a CallRequest,
    pub(super) id: &'a RawValue,
    /// The client, if it is of the `initialize` era.
    pub(super) client: Option<&'a Client>,
    /// Whose a request state is that the client is to come back with.
    pub(super) caller: &'a [u8],
    pub(super) keys: &'a Keyring,
}

/// What a worker's answer means.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is for the client, and the call is over.
    Reply(Reply, Outcome),
    /// The client is asked on the stream of its call.
    Asks(Asked),
}

impl Reader<'_> {
    pub(super) fn read(self, body: &Bytes) -> Answer {
        let text = std::str::from_utf8(body).unwrap_or_default();
        match Envelope::parse(body).map(|envelope| envelope.kind) {
            Ok(Kind::Response { result, .. }) => self.result(body, text, result),
            Ok(Kind::Error { id, error }) if id.is_none_or(|id| id.get() == "null") => {
                // A worker that could not read the request does not know its id.
                let (id, text) = (self.id.get(), error.get());
                let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{text}}}"#);
                self.error(&body.into(), error)
            }
            Ok(Kind::Error { error, .. }) => self.error(body, error),
            _ => self.malformed(),
        }
    }

    fn result(self, body: &Bytes, text: &str, result: &RawValue) -> Answer {
        let Ok(members) = Members::parse(result.get()) else {
            return self.malformed();
        };
        let asked = match Asked::read(self.call.method, &members) {
            Ok(None) => return self.complete(body, text, result, &members),
            Ok(Some(asked)) => asked,
            Err(fault) => return self.fault(&fault),
        };
        match self.client {
            None => self.sealed(body, text, result, &asked),
            Some(client) => match client.check(&asked) {
                Ok(()) => Answer::Asks(asked),
                Err(error) => self.refused(&error),
            },
        }
    }

    fn complete(
        self,
        body: &Bytes,
        text: &str,
        result: &RawValue,
        members: &Members<'_>,
    ) -> Answer {
        let is_error = members
            .get("isError")
            .is_some_and(|value| value.get() == "true");
        let outcome = if is_error {
            Outcome::ToolError
        } else {
            Outcome::Ok
        };
        if self.client.is_none() {
            return passed_on(body.clone(), None, outcome);
        }
        if let Some(kind) = members
            .string("resultType")
            .filter(|kind| kind != "complete")
        {
            let kind: String = kind.chars().take(100).collect();
            let fault = format!("resultType {kind:?} is not known to the client's revision");
            return self.fault(&Fault(fault));
        }
        let stripped = splice::without_members(text, result, &MODERN_MEMBERS);
        passed_on(stripped.unwrap_or_else(|| body.clone()), None, outcome)
    }

    /// A question to a client that will come back with the answers itself.
    fn sealed(self, body: &Bytes, text: &str, result: &RawValue, asked: &Asked) -> Answer {
        let params = Envelope::parse(&self.call.body).and_then(|envelope| envelope.params());
        let Ok(params) = params else {
            return self.malformed();
        };
        if let Some(error) = missing_capability(&params, asked) {
            return self.refused(&error);
        }
        let Some(state) = &asked.state else {
            return passed_on(body.clone(), None, Outcome::Ok);
        };
        let token = self.seal(&params, state);
        match splice::set_members(text, result, &[(STATE, &token)]) {
            Ok(body) => passed_on(body, None, Outcome::Ok),
            Err(_) => self.malformed(),
        }
    }

    fn seal(self, params: &RequestParams<'_>, state: &RawValue) -> String {
        let bond = Bond::new(self.call.method, params, self.caller);
        format!("\"{}\"", bond.seal(self.keys, state, SystemTime::now()))
    }

    fn error(self, body: &Bytes, error: &RawValue) -> Answer {
        let members = Members::parse(error.get()).unwrap_or_default();
        let Some(code) = members.get("code").and_then(|code| code.get().parse().ok()) else {
            return self.malformed();
        };
        let outcome = outcome_of(code);
        let Some(client) = self.client else {
            return passed_on(body.clone(), Some(code), outcome);
        };
        if code == code::MISSING_CLIENT_CAPABILITY {
            return self.refused(&client.cannot(&lacking(&members)));
        }
        if let Some(body) = message::legacy_error(self.call.method, body) {
            return passed_on(body, Some(code::RESOURCE_NOT_FOUND), outcome);
        }
        passed_on(body.clone(), Some(code), outcome)
    }

    fn refused(self, error: &RpcError) -> Answer {
        Answer::Reply(Reply::error(Some(self.id), error), Outcome::Refused)
    }

    fn fault(self, fault: &Fault) -> Answer {
        let Fault(why) = fault;
        warn!(tool = self.call.name, category = %self.call.category, why, "a worker's answer cannot be passed on");
        let message = format!(
            "the answer of {:?} cannot be passed on, which is its fault: {why}",
            self.call.name
        );
        let error = RpcError::new(code::INTERNAL_ERROR, message);
        Answer::Reply(Reply::error(Some(self.id), &error), Outcome::ProtocolError)
    }

    fn malformed(self) -> Answer {
        let error = RpcError::new(
            code::INTERNAL_ERROR,
            "the worker's answer is not a JSON-RPC response; see the log of the worker",
        );
        Answer::Reply(Reply::error(Some(self.id), &error), Outcome::ProtocolError)
    }
}

fn passed_on(body: Bytes, code: Option<i64>, outcome: Outcome) -> Answer {
    let reply = Reply {
        body,
        code,
        retry_after: None,
    };
    Answer::Reply(reply, outcome)
}

/// The capabilities that an error says are needed.
fn lacking(error: &Members<'_>) -> Value {
    let required = || {
        let data = Members::parse(error.get("data")?.get()).ok()?;
        serde_json::from_str(data.get("requiredCapabilities")?.get()).ok()
    };
    required().unwrap_or(Value::Null)
}

fn outcome_of(error_code: i64) -> Outcome {
    match error_code {
        code::DEADLINE_EXCEEDED => Outcome::Timeout,
        code::CANCELLED => Outcome::Cancelled,
        code::OUTCOME_UNKNOWN => Outcome::Unknown,
        code::BUSY | code::NO_WORKER => Outcome::Refused,
        _ => Outcome::ProtocolError,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::mcp::method;

    use crate::session::session_for_test;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn call(method: &'static str) -> CallRequest {
        let body = r#"{"jsonrpc":"2.0","id":7,"method":"m","params":{"name":"t","_meta":{
            "io.modelcontextprotocol/clientCapabilities":{"roots":{}}}}}"#;
        CallRequest {
            category: "network".parse().unwrap(),
            tool: "t".to_owned(),
            method,
            name: "t".to_owned(),
            body: Bytes::from_static(body.as_bytes()),
            timeout: Duration::from_secs(1),
            message_id: String::new(),
            idempotent: false,
            workers_read_zstd: false,
            waits_for_worker: false,
            params: Vec::new(),
            trace: Vec::new(),
        }
    }

    fn read(method: &'static str, body: &str, is_modern: bool, keys: &Keyring) -> Answer {
        let client = Client::new(&session_for_test());
        let reader = Reader {
            call: &call(method),
            id: &raw("7"),
            client: (!is_modern).then_some(&client),
            caller: b"me",
            keys,
        };
        reader.read(&Bytes::copy_from_slice(body.as_bytes()))
    }

    fn reply(method: &'static str, body: &str, is_modern: bool) -> (Reply, Outcome) {
        match read(method, body, is_modern, &Keyring::random()) {
            Answer::Reply(reply, outcome) => (reply, outcome),
            Answer::Asks(_) => panic!("{body} asks"),
        }
    }

    fn check(body: &str, is_modern: bool, expected: &str, expected_outcome: Outcome) {
        let (reply, outcome) = reply(method::TOOLS_CALL, body, is_modern);
        assert_eq!(reply.body, expected);
        assert_eq!(outcome, expected_outcome, "{body}");
    }

    #[test]
    fn a_modern_client_gets_the_bytes_of_the_worker() {
        let body = "{ \"jsonrpc\":\"2.0\",\"id\":7,\n\"result\":{\"resultType\":\"complete\",\"n\":1.0,\"isError\":false}}";
        check(body, true, body, Outcome::Ok);
        let failed =
            r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","isError":true}}"#;
        check(failed, true, failed, Outcome::ToolError);
        let asks = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{ "r":{"method":"roots/list"}}}}"#;
        check(asks, true, asks, Outcome::Ok);
    }

    #[test]
    fn a_legacy_client_gets_no_members_it_does_not_know() {
        check(
            r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","content":[1.0],"structuredContent":{"ttlMs":1e3}}}"#,
            false,
            r#"{"jsonrpc":"2.0","id":7,"result":{"content":[1.0],"structuredContent":{"ttlMs":1e3}}}"#,
            Outcome::Ok,
        );
        let plain = r#"{"jsonrpc":"2.0","id":7, "result":{ "content":[] }}"#;
        check(plain, false, plain, Outcome::Ok);
    }

    #[test]
    fn only_the_state_of_a_question_is_changed_on_its_way_to_a_modern_client() {
        let keys = Keyring::random();
        let body = |state: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":7,"result":{{ "requestState" : {state},"x":1.0,"resultType":"input_required"}}}}"#
            )
        };
        let Answer::Reply(reply, Outcome::Ok) =
            read(method::TOOLS_CALL, &body(r#""mine""#), true, &keys)
        else {
            panic!("a reply");
        };
        let sent: Value = serde_json::from_slice(&reply.body).unwrap();
        let token = sent["result"]["requestState"].to_string();
        assert_eq!(reply.body, body(&token));
        assert!(!token.contains("mine"));
        let params = raw(r#"{"name":"t","arguments":{}}"#);
        let bond = Bond::new(
            method::TOOLS_CALL,
            &RequestParams::parse(&params).unwrap(),
            b"me",
        );
        let opened = bond.open(&keys, &raw(&token), SystemTime::now()).unwrap();
        assert_eq!(opened, r#""mine""#);
    }

    #[test]
    fn a_legacy_client_is_asked_what_it_can_be_asked() {
        let asks = |method: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":7,"result":{{"resultType":"input_required","inputRequests":{{"k":{{"method":"{method}","params":{{}}}}}}}}}}"#
            )
        };
        let keys = Keyring::random();
        let roots = read(method::TOOLS_CALL, &asks("roots/list"), false, &keys);
        assert!(matches!(roots, Answer::Asks(_)));
        let sampling = asks("sampling/createMessage");
        let (legacy, _) = reply(method::TOOLS_CALL, &sampling, false);
        assert_eq!(legacy.code, Some(code::INVALID_PARAMS));
        let (modern, _) = reply(method::TOOLS_CALL, &sampling, true);
        assert_eq!(modern.code, Some(code::MISSING_CLIENT_CAPABILITY));
    }

    #[test]
    fn errors_pass_through_and_say_how_the_call_ended() {
        let body = |code: i64| {
            format!(r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":{code},"message":"m"}}}}"#)
        };
        for (code, outcome) in [
            (code::DEADLINE_EXCEEDED, Outcome::Timeout),
            (code::CANCELLED, Outcome::Cancelled),
            (code::POISON, Outcome::ProtocolError),
        ] {
            check(&body(code), false, &body(code), outcome);
        }
    }

    #[test]
    fn an_error_without_an_id_belongs_to_the_call_all_the_same() {
        let expected = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"m"}}"#;
        for sent in [
            expected.replace(":7", ":null"),
            expected.replace("\"id\":7,", ""),
        ] {
            for is_modern in [true, false] {
                let (reply, _) = reply(method::TOOLS_CALL, &sent, is_modern);
                assert_eq!(reply.body, expected);
            }
        }
    }

    #[test]
    fn a_legacy_client_gets_the_error_codes_of_its_revision() {
        let body = |code: i64| {
            format!(
                r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":{code},"message":"m","data":{{ "uri":"a:b","n":1.0 }}}}}}"#
            )
        };
        let unknown = |method, is_modern| reply(method, &body(-32602), is_modern).0.body;
        assert_eq!(unknown(method::RESOURCES_READ, false), body(-32002));
        assert_eq!(unknown(method::RESOURCES_READ, true), body(-32602));
        assert_eq!(unknown(method::TOOLS_CALL, false), body(-32602));
        let lacks = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32021,"message":"m","data":{"requiredCapabilities":{"sampling":{}}}}}"#;
        let (modern, _) = reply(method::TOOLS_CALL, lacks, true);
        assert_eq!(modern.body, lacks);
        let (legacy, _) = reply(method::TOOLS_CALL, lacks, false);
        let error: Value = serde_json::from_slice(&legacy.body).unwrap();
        assert_eq!(error["error"]["code"], code::INVALID_PARAMS);
        assert_eq!(
            error["error"]["data"]["requiredCapabilities"]["sampling"],
            serde_json::json!({})
        );
        assert!(
            error["error"]["message"]
                .as_str()
                .unwrap()
                .contains("sampling")
        );
    }

    #[test]
    fn an_answer_that_is_none_becomes_an_internal_error() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"jsonrpc":"2.0","method":"x"}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":5}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":5}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required"}}"#,
        ] {
            for is_modern in [true, false] {
                let (reply, _) = reply(method::TOOLS_CALL, body, is_modern);
                assert_eq!(reply.code, Some(code::INTERNAL_ERROR), "{body}");
            }
        }
        let odd = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"task"}}"#;
        assert_eq!(
            reply(method::TOOLS_CALL, odd, false).0.code,
            Some(code::INTERNAL_ERROR)
        );
        assert_eq!(reply(method::TOOLS_CALL, odd, true).0.body, odd);
        let asks = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","requestState":"s"}}"#;
        let (reply, _) = reply(method::COMPLETE, asks, true);
        assert_eq!(reply.code, Some(code::INTERNAL_ERROR));
        let error = String::from_utf8(reply.body.to_vec()).unwrap();
        assert!(
            error.contains("its fault") && error.contains("completion/complete"),
            "{error}"
        );
    }
}
