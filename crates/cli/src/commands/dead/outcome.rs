use protocol::mcp::code;
use protocol::response::InputRequired;
use serde_json::{Value, json};

/// What came of a replay.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// The call has its result.
    Answered(Value),
    /// The tool failed, and would again.
    Failed(Value),
    /// It killed its workers again, and has become a letter of its own.
    LetterAgain(Value),
    /// There is no final answer: why, and what came in its place.
    Stays(String, Option<Value>),
}

impl Outcome {
    pub(super) fn stays(why: impl Into<String>) -> Self {
        Self::Stays(why.into(), None)
    }

    /// Reads a final reply. What calling again may change is no final answer to an operator.
    pub(super) fn of(body: &[u8]) -> Self {
        let Ok(mut answer) = serde_json::from_slice::<Value>(body) else {
            return Self::stays("the answer is not JSON");
        };
        if let Some(error) = answer.get_mut("error").map(Value::take) {
            return Self::of_error(error);
        }
        let result = answer["result"].take();
        if result["resultType"] == InputRequired::RESULT_TYPE {
            let why = "the worker asks for input, which only the caller of a call can give";
            return Self::Stays(why.to_owned(), Some(result));
        }
        let is_failure = result["isError"] == true;
        if is_failure && result["structuredContent"]["error"]["retryable"] == true {
            let why = format!("the tool failed, and may succeed later: {}", text(&result));
            return Self::Stays(why, Some(result));
        }
        if is_failure {
            Self::Failed(result)
        } else {
            Self::Answered(result)
        }
    }

    fn of_error(error: Value) -> Self {
        if error["code"] == code::POISON {
            return Self::LetterAgain(error);
        }
        let message = error["message"].as_str().unwrap_or("no reason");
        let why = format!("refused ({}): {message}", error["code"]);
        Self::Stays(why, Some(error))
    }

    /// Whether the letter has done its service.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self, Self::Stays(..))
    }

    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Answered(_))
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Answered(_) => "answered",
            Self::Failed(_) => "failed",
            Self::LetterAgain(_) => "letter again",
            Self::Stays(..) => "stays",
        }
    }

    /// For programs; `id` is the letter's and `replay` the new call's.
    pub(super) fn json(&self, id: &str, replay: &str) -> Value {
        let (why, answer) = match self {
            Self::Answered(answer) | Self::Failed(answer) | Self::LetterAgain(answer) => {
                (None, Some(answer))
            }
            Self::Stays(why, answer) => (Some(why), answer.as_ref()),
        };
        json!({
            "id": id, "outcome": self.word(), "replay": replay, "why": why, "answer": answer,
        })
    }

    /// For people: a line, and the answer below it.
    pub(super) fn text(&self, id: &str, name: &str, replay: &str) -> String {
        let said = match self {
            Self::Answered(result) => format!("answered; letter removed\n{}", text(result)),
            Self::Failed(result) => format!("the tool failed; letter removed\n{}", text(result)),
            Self::LetterAgain(_) => {
                format!("no worker finished it; it is now letter {replay}\n")
            }
            Self::Stays(why, _) => format!("letter stays: {why}\n"),
        };
        let mut lines = said.trim_end().lines();
        let first = lines.next().unwrap_or_default();
        let mut text = format!("{id} {name}: {first}\n");
        for line in lines {
            text.extend(["  ", line, "\n"]);
        }
        text
    }
}

/// What a result says in words, or else all of it.
fn text(result: &Value) -> String {
    let blocks = result["content"].as_array().into_iter().flatten();
    let texts: Vec<&str> = blocks.filter_map(|block| block["text"].as_str()).collect();
    if texts.is_empty() {
        format!("{result:#}")
    } else {
        texts.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &Value, word: &str, said: &str) {
        let outcome = Outcome::of(body.to_string().as_bytes());
        assert_eq!(outcome.word(), word, "{body}");
        let text = outcome.text("old", "ping", "new");
        assert!(
            text.starts_with("old ping: ") && text.contains(said),
            "{text}"
        );
        assert_eq!(outcome.is_final(), word != "stays");
    }

    fn failure(retryable: bool) -> Value {
        json!({"result": {
            "isError": true, "content": [{"type": "text", "text": "unreachable: no route"}],
            "structuredContent": {"error": {"code": "unreachable", "retryable": retryable}},
        }})
    }

    #[test]
    fn a_letter_stays_while_calling_again_may_change_the_answer() {
        let result = json!({"result": {"content": [{"type": "text", "text": "4 replies"}]}});
        check(&result, "answered", "removed\n  4 replies\n");
        check(&json!({"result": {"contents": []}}), "answered", "contents");
        check(
            &failure(false),
            "failed",
            "removed\n  unreachable: no route",
        );
        check(&failure(true), "stays", "may succeed later: unreachable");
        let again = json!({"error": {"code": -31005, "message": "handed out"}});
        check(&again, "letter again", "now letter new");
        let refused = json!({"error": {"code": -32602, "message": "unknown tool"}});
        check(&refused, "stays", "refused (-32602): unknown tool");
        let asks = json!({"result": {"resultType": "input_required", "inputRequests": {}}});
        check(&asks, "stays", "asks for input");
    }

    #[test]
    fn an_answer_that_is_none_leaves_the_letter() {
        assert!(!Outcome::of(b"no JSON").is_final());
    }
}
