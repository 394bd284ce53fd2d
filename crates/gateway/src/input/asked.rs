use protocol::json::Members;
use protocol::mcp::method;
use serde_json::value::RawValue;

use super::STATE;
use super::inputs::MAX_OF_SESSION;
use super::state::MAX_STATE;

/// Value of `resultType` with which a worker asks.
const INPUT_REQUIRED: &str = protocol::response::InputRequired::RESULT_TYPE;

/// Requests that workers may answer by asking (MCP 2026-07-28, "Multi Round-Trip Requests",
/// "Supported Requests").
const SUPPORTED: [&str; 3] = [
    method::TOOLS_CALL,
    method::PROMPTS_GET,
    method::RESOURCES_READ,
];

/// What a worker asks before it can complete a request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) requests: Vec<Request>,
    /// What the worker wants back with the answers: a JSON string.
    pub(crate) state: Option<Box<RawValue>>,
}

/// One request of a worker to the client.
#[derive(Debug)]
pub(crate) struct Request {
    /// The name that its answer will have.
    pub(crate) key: String,
    pub(crate) what: What,
    /// An object, if present.
    pub(crate) params: Option<Box<RawValue>>,
}

/// What can be asked of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The user fills in a form.
    Form,
    /// The user visits a page.
    Url,
    /// The client's model writes a message.
    Sampling,
    /// The client's model writes a message, or calls tools.
    SamplingWithTools,
    /// The client lists its roots.
    Roots,
}

/// Why a worker's answer cannot be passed on; the fault is the worker's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) String);

impl Asked {
    /// Reads the result of a request of this method; `None` when it does not ask.
    ///
    /// # Errors
    /// [`Fault`] when the worker may not ask, or not like this.
    pub(crate) fn read(method: &str, result: &Members<'_>) -> Result<Option<Self>, Fault> {
        if result.string("resultType").as_deref() != Some(INPUT_REQUIRED) {
            return Ok(None);
        }
        if !SUPPORTED.contains(&method) {
            return Err(Fault(format!(
                "{method} cannot be answered by asking for input"
            )));
        }
        let requests = match result.get("inputRequests") {
            None => Vec::new(),
            Some(requests) => members(requests, "inputRequests")?
                .iter()
                .map(|(key, request)| Request::read(key, request))
                .collect::<Result<_, _>>()?,
        };
        let state = result.get(STATE).map(ToOwned::to_owned);
        if let Some(state) = &state {
            check_state(state)?;
        }
        if requests.is_empty() && state.is_none() {
            return Err(Fault(
                "a result that asks for input needs inputRequests or requestState".to_owned(),
            ));
        }
        if requests.len() > MAX_OF_SESSION {
            return Err(Fault(format!(
                "inputRequests may have {MAX_OF_SESSION} members at most"
            )));
        }
        Ok(Some(Self { requests, state }))
    }
}

impl Request {
    fn read(key: &str, request: &RawValue) -> Result<Self, Fault> {
        let name = format!("inputRequests.{key}");
        let request = members(request, &name)?;
        let params = request
            .get("params")
            .filter(|params| params.get() != "null");
        let fields = match params {
            Some(params) => members(params, &format!("{name}.params"))?,
            None => Members::default(),
        };
        let what = match request.string("method").as_deref() {
            Some(method::ELICITATION) => match fields.get("mode").map(RawValue::get) {
                None | Some("\"form\"") => What::Form,
                Some("\"url\"") => What::Url,
                Some(mode) => {
                    return Err(Fault(format!("{name}: the mode {mode} is not known")));
                }
            },
            Some(method::SAMPLING) => {
                if fields.get("tools").is_some() || fields.get("toolChoice").is_some() {
                    What::SamplingWithTools
                } else {
                    What::Sampling
                }
            }
            Some(method::ROOTS_LIST) => What::Roots,
            _ => {
                return Err(Fault(format!(
                    "{name}: clients cannot be asked this method"
                )));
            }
        };
        Ok(Self {
            key: key.to_owned(),
            what,
            params: params.map(ToOwned::to_owned),
        })
    }
}

impl What {
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Form | Self::Url => method::ELICITATION,
            Self::Sampling | Self::SamplingWithTools => method::SAMPLING,
            Self::Roots => method::ROOTS_LIST,
        }
    }
}

fn members<'a>(value: &'a RawValue, name: &str) -> Result<Members<'a>, Fault> {
    Members::parse(value.get()).map_err(|_| Fault(format!("{name} is not a proper object")))
}

fn check_state(state: &RawValue) -> Result<(), Fault> {
    if protocol::json::as_string(state).is_none() {
        return Err(Fault("requestState is not a string".to_owned()));
    }
    if state.get().len() > MAX_STATE {
        return Err(Fault(format!(
            "requestState is longer than {MAX_STATE} bytes"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, result: &str) -> Result<Option<Asked>, Fault> {
        Asked::read(method, &Members::parse(result).unwrap())
    }

    #[test]
    fn a_result_that_is_complete_asks_nothing() {
        for result in [
            "{}",
            r#"{"resultType":"complete","inputRequests":5}"#,
            r#"{"resultType":"task"}"#,
        ] {
            assert!(
                read(method::TOOLS_CALL, result).unwrap().is_none(),
                "{result}"
            );
        }
    }

    #[test]
    fn requests_are_read_in_their_order_and_parameters_kept() {
        let asked = read(
            method::PROMPTS_GET,
            r#"{"resultType":"input_required","requestState":"\u0061","inputRequests":{
                "z":{"method":"elicitation/create","params":{"message":"m", "n":1.0}},
                "a":{"method":"elicitation/create","params":{"mode":"url","url":"u"}},
                "s":{"method":"sampling/createMessage","params":{"tools":[]}},
                "t":{"method":"sampling/createMessage","params":{}},
                "r":{"method":"roots/list","params":null}}}"#,
        );
        let asked = asked.unwrap().unwrap();
        let whats: Vec<_> = asked
            .requests
            .iter()
            .map(|request| (&*request.key, request.what))
            .collect();
        assert_eq!(
            whats,
            [
                ("z", What::Form),
                ("a", What::Url),
                ("s", What::SamplingWithTools),
                ("t", What::Sampling),
                ("r", What::Roots)
            ]
        );
        assert_eq!(
            asked.requests[0].params.as_ref().unwrap().get(),
            r#"{"message":"m", "n":1.0}"#
        );
        assert!(asked.requests[4].params.is_none());
        assert_eq!(asked.state.unwrap().get(), r#""\u0061""#);
    }

    #[test]
    fn a_worker_that_asks_wrongly_is_told_what_is_wrong() {
        let check = |method: &str, members: &str, expected: &str| {
            let result = format!(r#"{{"resultType":"input_required"{members}}}"#);
            let Fault(fault) = read(method, &result).unwrap_err();
            assert!(fault.contains(expected), "{members} gave {fault}");
        };
        let call = method::TOOLS_CALL;
        check(
            method::COMPLETE,
            r#","requestState":"s""#,
            "completion/complete",
        );
        check(call, "", "needs inputRequests or requestState");
        check(
            call,
            r#","inputRequests":{}"#,
            "needs inputRequests or requestState",
        );
        check(call, r#","inputRequests":[]"#, "inputRequests is not");
        check(
            call,
            r#","inputRequests":{"k":5}"#,
            "inputRequests.k is not",
        );
        check(
            call,
            r#","inputRequests":{"k":{"method":"tools/call"}}"#,
            "this method",
        );
        check(
            call,
            r#","inputRequests":{"k":{"method":"roots/list","params":[]}}"#,
            "k.params is not",
        );
        check(
            call,
            r#","inputRequests":{"k":{"method":"elicitation/create","params":{"mode":"voice"}}}"#,
            "voice",
        );
        check(call, r#","requestState":{}"#, "not a string");
        let long = format!(r#","requestState":"{}""#, "s".repeat(MAX_STATE - 1));
        check(call, &long, "longer than");
        let many: Vec<String> = (0..65)
            .map(|n| format!(r#""{n}":{{"method":"roots/list"}}"#))
            .collect();
        check(
            call,
            &format!(r#","inputRequests":{{{}}}"#, many.join(",")),
            "64 members",
        );
    }
}
