use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use protocol::json::Members;
use protocol::mcp::{code, method};
use protocol::response::{self, RpcError};
use protocol::{Envelope, Kind};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use service::Outcome;
use tokio::time::{Instant, timeout_at};

use super::asked::{Asked, Request};
use super::client::Client;
use super::inputs::{Expected, Inputs};
use super::{RESPONSES, STATE};
use crate::busy::Busy;

/// Largest answers of one round together, in bytes.
const MAX_ANSWERS: usize = 4 * 1024 * 1024;
/// Most characters of a client's own words that are repeated.
const REPEATED: usize = 200;

/// One time that a client of the `initialize` era is asked: every request of a worker's
/// result, until all are answered.
#[derive(Debug)]
pub(crate) struct Round {
    expected: Expected,
    open: Vec<Open>,
    /// How many requests are out.
    n_sent: usize,
    state: Option<Box<RawValue>>,
    ended: tokio_util::sync::CancellationToken,
    patience: Duration,
    deadline: Instant,
}

#[derive(Debug)]
struct Open {
    /// JSON text of its identifier.
    id: String,
    request: Request,
    message: Bytes,
    answer: Option<Box<RawValue>>,
}

impl Round {
    /// Prepares the requests; nothing is out yet.
    ///
    /// # Errors
    /// Busy when too many requests wait for answers.
    pub(crate) fn new(inputs: &Inputs, client: &Client, asked: Asked) -> Result<Self, RpcError> {
        let expected = inputs
            .expect(client.session, asked.requests.len())
            .map_err(|_| full())?;
        let open = expected
            .ids()
            .zip(asked.requests)
            .map(|(id, request)| Open {
                message: client.message(&id, &request).into(),
                id,
                request,
                answer: None,
            })
            .collect();
        Ok(Self {
            expected,
            open,
            n_sent: 0,
            state: asked.state,
            ended: client.ended.clone(),
            patience: inputs.patience,
            deadline: Instant::now() + inputs.patience,
        })
    }

    /// The next request for the client; `None` when all are out.
    pub(crate) fn send(&mut self) -> Option<Bytes> {
        let message = self.open.get(self.n_sent)?.message.clone();
        self.n_sent += 1;
        Some(message)
    }

    /// Waits until the client has answered everything. Cancel safe.
    ///
    /// # Errors
    /// Why that will not be: the client refused, took too long, or its session is over.
    pub(crate) async fn answered(&mut self) -> Result<(), (RpcError, Outcome)> {
        while self.open.iter().any(|open| open.answer.is_none()) {
            let next = timeout_at(self.deadline, self.expected.next());
            let Some(next) = self.ended.run_until_cancelled(next).await else {
                return Err((over(), Outcome::Cancelled));
            };
            let Ok(Some((index, message))) = next else {
                return Err((self.late(), Outcome::Timeout));
            };
            self.take(index, &message)
                .map_err(|error| (error, Outcome::ProtocolError))?;
        }
        Ok(())
    }

    /// The parameters that the worker's request gets for its next round: names, and JSON texts.
    pub(crate) fn params(&self) -> Vec<(&'static str, String)> {
        let answers: Vec<String> = self
            .open
            .iter()
            .filter_map(|open| {
                let answer = open.answer.as_ref()?.get();
                Some(format!(
                    "{}:{answer}",
                    Value::from(open.request.key.as_str())
                ))
            })
            .collect();
        let responses =
            (!answers.is_empty()).then(|| (RESPONSES, format!("{{{}}}", answers.join(","))));
        let state = self
            .state
            .as_ref()
            .map(|state| (STATE, state.get().to_owned()));
        responses.into_iter().chain(state).collect()
    }

    /// What tells the client that requests are void which it has and has not answered.
    pub(crate) fn withdraw(&self, reason: &str) -> VecDeque<Bytes> {
        self.open[..self.n_sent]
            .iter()
            .filter(|open| open.answer.is_none())
            .filter_map(|open| {
                let id = RawValue::from_string(open.id.clone()).ok()?;
                let params = json!({ "requestId": id, "reason": reason });
                let message = response::notification(method::CANCELLED, &params);
                message.ok().map(Bytes::from)
            })
            .collect()
    }

    fn take(&mut self, index: usize, message: &[u8]) -> Result<(), RpcError> {
        let taken: usize = self
            .open
            .iter()
            .filter_map(|open| Some(open.answer.as_ref()?.get().len()))
            .sum();
        let Some(open) = self.open.get_mut(index) else {
            return Ok(());
        };
        // Whatever it is, it was the answer: there will be no other to wait for or withdraw.
        open.answer = Some(RawValue::NULL.to_owned());
        match Envelope::parse(message).map(|envelope| envelope.kind) {
            Ok(Kind::Response { result, .. }) if result.get().starts_with('{') => {
                if taken + result.get().len() > MAX_ANSWERS {
                    let why = format!("the answers have more than {MAX_ANSWERS} bytes");
                    return Err(refused(&open.request, &why, &Value::Null));
                }
                open.answer = Some(result.to_owned());
                Ok(())
            }
            Ok(Kind::Error { error, .. }) => {
                let (why, error) = said(error);
                Err(refused(&open.request, &why, &error))
            }
            _ => {
                let why = "its answer has no result that is an object";
                Err(refused(&open.request, why, &Value::Null))
            }
        }
    }

    fn late(&self) -> RpcError {
        let open = self.open.iter().find(|open| open.answer.is_none());
        let what = open.map_or("", |open| open.request.what.method());
        let message = format!(
            "the client did not answer {what} within {:?}",
            self.patience
        );
        RpcError::new(code::DEADLINE_EXCEEDED, message).data(json!({ "retryable": true }))
    }
}

/// A client's error: its words, and its code and message.
fn said(error: &RawValue) -> (String, Value) {
    let members = Members::parse(error.get()).unwrap_or_default();
    let message = members.string("message").unwrap_or_default();
    let message: String = message.chars().take(REPEATED).collect();
    let code: Option<i64> = members.get("code").and_then(|code| code.get().parse().ok());
    let shown = code.map_or_else(String::new, |code| format!(" ({code})"));
    (
        format!("{message}{shown}"),
        json!({ "code": code, "message": message }),
    )
}

fn refused(request: &Request, why: &str, error: &Value) -> RpcError {
    let method = request.what.method();
    let key: String = request.key.chars().take(REPEATED).collect();
    let message = format!("the client did not give what the call needs: {method} {key:?}: {why}");
    let mut data = json!({ "inputRequest": key, "method": method });
    if !error.is_null() {
        data["clientError"] = error.clone();
    }
    RpcError::new(code::INTERNAL_ERROR, message).data(data)
}

fn full() -> RpcError {
    Busy::Inputs.error("too many requests to clients wait for their answers; try again later")
}

fn over() -> RpcError {
    RpcError::new(
        code::INVALID_REQUEST,
        "the session ended before the client had answered what the call needs",
    )
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::gateway::Gateway;
    use crate::session::{Session, session_for_test};

    const ASKS: &str = r#"{"resultType":"input_required","requestState":"s","inputRequests":{
        "one":{"method":"roots/list"},"t\"wo":{"method":"roots/list","params":{}}}}"#;

    fn round(inputs: &Inputs, session: &Session, result: &str) -> Round {
        let members = Members::parse(result).unwrap();
        let asked = Asked::read(method::TOOLS_CALL, &members).unwrap().unwrap();
        Round::new(inputs, &Client::new(session), asked).unwrap()
    }

    /// Sends what is asked, and gives the identifiers of the requests.
    fn sent(round: &mut Round) -> Vec<Box<RawValue>> {
        let ids = std::iter::from_fn(|| round.send()).map(|message| {
            let envelope = Envelope::parse(&message).unwrap();
            assert_eq!(envelope.method().unwrap(), "roots/list");
            envelope.id().unwrap().to_owned()
        });
        ids.collect()
    }

    async fn answer(inputs: &Inputs, session: &Session, id: &RawValue, rest: &str) {
        let message = format!(r#"{{"jsonrpc":"2.0","id":{},{rest}}}"#, id.get());
        assert!(inputs.answered(session, id, &message.into()).await);
    }

    #[tokio::test]
    async fn answers_in_any_order_become_parameters_under_the_workers_keys() {
        let inputs = Gateway::for_test().inputs.clone();
        let session = session_for_test();
        let mut round = round(&inputs, &session, ASKS);
        let ids = sent(&mut round);
        answer(&inputs, &session, &ids[1], r#""result":{"roots":[ 1.0 ]}"#).await;
        answer(&inputs, &session, &ids[0], r#""result":{}"#).await;
        round.answered().await.unwrap();
        assert_eq!(
            round.params(),
            [
                (
                    RESPONSES,
                    r#"{"one":{},"t\"wo":{"roots":[ 1.0 ]}}"#.to_owned()
                ),
                (STATE, r#""s""#.to_owned())
            ]
        );
        assert!(round.withdraw("x").is_empty());
    }

    #[tokio::test]
    async fn a_state_alone_asks_the_client_nothing() {
        let inputs = Gateway::for_test().inputs.clone();
        let session = session_for_test();
        let asks = r#"{"resultType":"input_required","requestState":"s"}"#;
        let mut round = round(&inputs, &session, asks);
        assert!(round.send().is_none());
        round.answered().await.unwrap();
        assert_eq!(round.params(), [(STATE, r#""s""#.to_owned())]);
    }

    #[tokio::test]
    async fn a_client_that_refuses_is_quoted_and_the_other_requests_are_withdrawn() {
        let inputs = Gateway::for_test().inputs.clone();
        let session = session_for_test();
        for (rest, expected) in [
            (
                r#""error":{"code":-1,"message":"User rejected"}"#,
                "User rejected (-1)",
            ),
            (r#""error":{"message":5}"#, "roots/list"),
            (r#""result":[]"#, "no result that is an object"),
        ] {
            let mut round = round(&inputs, &session, ASKS);
            let ids = sent(&mut round);
            answer(&inputs, &session, &ids[0], rest).await;
            let (error, outcome) = round.answered().await.unwrap_err();
            assert!(error.message.contains(expected), "{}", error.message);
            assert_eq!(outcome, Outcome::ProtocolError);
            assert_eq!(error.data.unwrap()["inputRequest"], "one");
            let withdrawn = round.withdraw("enough");
            assert_eq!(withdrawn.len(), 1);
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"reason":"enough","requestId":{}}}}}"#,
                ids[1].get()
            );
            assert_eq!(withdrawn[0], text);
        }
        assert_eq!(inputs.pending(), 0);
    }

    #[tokio::test]
    async fn answers_are_bounded_together() {
        let inputs = Gateway::for_test().inputs.clone();
        let session = session_for_test();
        let mut round = round(&inputs, &session, ASKS);
        let ids = sent(&mut round);
        let large = format!(r#""result":{{"x":"{}"}}"#, "x".repeat(MAX_ANSWERS / 2));
        for id in ids {
            answer(&inputs, &session, &id, &large).await;
        }
        let (error, _) = round.answered().await.unwrap_err();
        assert!(error.message.contains("bytes"), "{}", error.message);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_time_of_the_client_or_its_session() {
        let inputs = Gateway::for_test().inputs.clone();
        let session = session_for_test();
        let mut late = round(&inputs, &session, ASKS);
        sent(&mut late);
        let _ = tokio::join!(advance(inputs.patience), async {
            let (error, outcome) = late.answered().await.unwrap_err();
            assert_eq!(
                (error.code, outcome),
                (code::DEADLINE_EXCEEDED, Outcome::Timeout)
            );
            assert!(error.message.contains("1800s"));
        });
        let mut over = round(&inputs, &session, ASKS);
        session.ended().cancel();
        let (error, _) = over.answered().await.unwrap_err();
        assert_eq!(error.code, code::INVALID_REQUEST);
        assert!(over.withdraw("nothing was sent").is_empty());
    }
}
