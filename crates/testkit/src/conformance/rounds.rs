//! Tools that take more than one round: questions to the client, and state that it keeps.
//!
//! Answers that are missing, malformed or not what was asked for are asked for again; answers to
//! nothing are left alone.

use protocol::{mcp::method, response::InputRequired};
use serde_json::{Value, json};
use worker::{Context, Elicited, Inputs, Stop, Tool, ToolContent};

use super::{declare::plain, elicitation::sample};

/// Begins the state of the second round of [`multi_round`]; the user's name follows.
const NAMED: &str = "named:";

pub(super) fn tools() -> Vec<Tool> {
    vec![
        plain(
            "test_input_required_result_elicitation",
            "Asks the user's name and greets.",
            greeting,
        ),
        plain(
            "test_input_required_result_sampling",
            "Asks the client's model a question.",
            capital,
        ),
        plain(
            "test_input_required_result_list_roots",
            "Asks for the client's roots.",
            roots,
        ),
        plain(
            "test_input_required_result_request_state",
            "Asks for a confirmation and looks whether its state comes back.",
            async |context| confirm(&context, "confirm-me"),
        ),
        plain(
            "test_input_required_result_tampered_state",
            "Asks for a confirmation with a state that must come back unchanged.",
            async |context| confirm(&context, "do-not-touch"),
        ),
        plain(
            "test_input_required_result_multiple_inputs",
            "Asks user, model and roots at once.",
            all_at_once,
        ),
        plain(
            "test_input_required_result_multi_round",
            "Asks the user twice, one question after the other.",
            multi_round,
        ),
        plain(
            "test_input_required_result_capabilities",
            "Asks whatever the client says it can answer.",
            what_it_can,
        ),
    ]
}

/// The parameters of `elicitation/create` for a form with one field.
pub(super) fn field(message: &str, name: &str, kind: &str) -> Value {
    json!({
        "message": message,
        "requestedSchema": {
            "type": "object",
            "properties": { name: { "type": kind } },
            "required": [name],
        },
    })
}

/// The text that the user filled in.
pub(super) fn filled_in(inputs: &Inputs, key: &str, field: &str) -> Option<String> {
    let Some(Elicited::Accepted(content)) = inputs.elicited(key) else {
        return None;
    };
    content.get(field)?.as_str().map(str::to_owned)
}

fn done(text: impl Into<String>) -> ToolContent {
    ToolContent::new().text(text)
}

fn ask_name(asked: InputRequired) -> InputRequired {
    let form = field("What is your name?", "name", "string");
    asked.ask("user_name", method::ELICITATION, form)
}

fn ask_roots(asked: InputRequired) -> InputRequired {
    asked.ask("client_roots", method::ROOTS_LIST, json!({}))
}

fn uris(roots: &[Value]) -> String {
    let uris: Vec<&str> = roots.iter().filter_map(|it| it["uri"].as_str()).collect();
    uris.join(", ")
}

async fn greeting(context: Context) -> Result<ToolContent, Stop> {
    match filled_in(context.inputs(), "user_name", "name") {
        Some(name) => Ok(done(format!("Hello, {name}!"))),
        None => Err(ask_name(InputRequired::new()).into()),
    }
}

async fn capital(context: Context) -> Result<ToolContent, Stop> {
    const KEY: &str = "capital_question";
    let Some(answer) = context.inputs().sampled_text(KEY) else {
        let question = sample("What is the capital of France?", 100);
        let asked = InputRequired::new().ask(KEY, method::SAMPLING, question);
        return Err(asked.into());
    };
    Ok(done(format!("The model says: {answer}")))
}

async fn roots(context: Context) -> Result<ToolContent, Stop> {
    match context.inputs().roots("client_roots") {
        Some(roots) => Ok(done(format!("The client's roots: {}", uris(&roots)))),
        None => Err(ask_roots(InputRequired::new()).into()),
    }
}

/// Asks for a yes; the answer counts only together with the state.
fn confirm(context: &Context, state: &str) -> Result<ToolContent, Stop> {
    let inputs = context.inputs();
    if inputs.state() == Some(state)
        && let Some(Elicited::Accepted(answers)) = inputs.elicited("confirm")
        && let Some(ok) = answers["ok"].as_bool()
    {
        return Ok(done(format!("state-ok, and the user's answer is {ok}")));
    }
    let form = field("Please confirm", "ok", "boolean");
    let asked = InputRequired::new().ask("confirm", method::ELICITATION, form);
    Err(asked.state(state).into())
}

async fn all_at_once(context: Context) -> Result<ToolContent, Stop> {
    let inputs = context.inputs();
    let name = filled_in(inputs, "user_name", "name");
    let greeting = inputs.sampled_text("greeting");
    let roots = inputs.roots("client_roots");
    if let (Some(name), Some(greeting), Some(roots)) = (name, greeting, roots) {
        return Ok(done(format!(
            "{name}: {greeting} (roots: {})",
            uris(&roots)
        )));
    }
    let greeting = sample("Generate a greeting", 50);
    let asked = ask_name(InputRequired::new()).ask("greeting", method::SAMPLING, greeting);
    Err(ask_roots(asked).state("three-questions").into())
}

async fn multi_round(context: Context) -> Result<ToolContent, Stop> {
    let inputs = context.inputs();
    if let Some(name) = inputs.state().and_then(|state| state.strip_prefix(NAMED)) {
        return match filled_in(inputs, "step2", "color") {
            Some(color) => Ok(done(format!("{name} likes {color}."))),
            None => Err(ask_color(name)),
        };
    }
    if let Some(name) = filled_in(inputs, "step1", "name") {
        return Err(ask_color(&name));
    }
    let form = field("Step 1: What is your name?", "name", "string");
    let asked = InputRequired::new().ask("step1", method::ELICITATION, form);
    Err(asked.state("nameless").into())
}

fn ask_color(name: &str) -> Stop {
    let form = field("Step 2: What is your favorite color?", "color", "string");
    let asked = InputRequired::new().ask("step2", method::ELICITATION, form);
    asked.state(format!("{NAMED}{name}")).into()
}

async fn what_it_can(context: Context) -> Result<ToolContent, Stop> {
    let (client, inputs) = (context.client(), context.inputs());
    let mut asked = InputRequired::new();
    if client.elicitation() && filled_in(inputs, "user_name", "name").is_none() {
        asked = ask_name(asked);
    }
    if client.sampling() && inputs.sampled_text("greeting").is_none() {
        let greeting = sample("Generate a greeting", 50);
        asked = asked.ask("greeting", method::SAMPLING, greeting);
    }
    if client.roots() && inputs.roots("client_roots").is_none() {
        asked = ask_roots(asked);
    }
    if asked.input_requests.is_empty() {
        return Ok(done("There is nothing left to ask."));
    }
    Err(asked.into())
}
