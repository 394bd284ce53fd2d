use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};
use service::{ExitError, Process};

use crate::client::{Client, Progress};
use crate::output::{harmless, print};

/// Calls a tool and prints what comes of it.
pub(super) async fn run(
    process: Process,
    name: &str,
    arguments: &[String],
    key: Option<&str>,
    json: bool,
) -> Result<(), ExitError> {
    let mut client = Client::start(&process).await?;
    let result = call(&mut client, name, arguments, key).await;
    let ended = client.end().await;
    let result = result?;
    ended?;
    let failed = result["isError"] == Value::Bool(true);
    let text = if json {
        format!("{result:#}\n")
    } else {
        text_of(&result)
    };
    print(&text)?;
    if failed {
        let code = result["structuredContent"]["error"]["code"]
            .as_str()
            .unwrap_or("internal");
        let hint = format!("discovery explain {code}");
        return Err(ExitError::new(1, format!("{name} failed")).hint(hint));
    }
    Ok(())
}

async fn call(
    client: &mut Client,
    name: &str,
    arguments: &[String],
    key: Option<&str>,
) -> Result<Value, ExitError> {
    let tools = client.tools().await?;
    let listed = protocol::canonical_tool_name(name);
    let schema = tools
        .iter()
        .find(|tool| tool["name"] == *listed)
        .map(|tool| &tool["inputSchema"]);
    let arguments = typed(arguments, schema.unwrap_or(&Value::Null))?;
    let bar = std::io::stderr().is_terminal().then(bar);
    let result = client.call(name, arguments, key, |progress| {
        if let Some(bar) = &bar {
            show(bar, &progress);
        }
    });
    let result = result.await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    result
}

/// `key=value` as the schema wants it: text where it allows text, otherwise JSON. What does
/// not fit is sent as text, so that the tool itself says what it takes.
fn typed(arguments: &[String], schema: &Value) -> Result<Map<String, Value>, ExitError> {
    let mut typed = Map::new();
    for argument in arguments {
        let Some((key, value)) = argument.split_once('=') else {
            let error = format!("argument {argument:?} is not of the form key=value");
            let hint = "for example: discovery call ping host=127.0.0.1 count=2";
            return Err(ExitError::usage(error).hint(hint));
        };
        let value = if takes_text(&schema["properties"][key]) {
            Value::from(value)
        } else {
            serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))
        };
        if typed.insert(key.to_owned(), value).is_some() {
            return Err(ExitError::usage(format!("argument {key:?} is given twice")));
        }
    }
    Ok(typed)
}

fn takes_text(property: &Value) -> bool {
    let is_text = |kind: &Value| kind == "string";
    match &property["type"] {
        Value::Array(kinds) => kinds.iter().any(is_text),
        Value::Null => property.get("enum").is_some() || property.get("$ref").is_some(),
        kind => is_text(kind),
    }
}

fn text_of(result: &Value) -> String {
    let blocks = result["content"].as_array().into_iter().flatten();
    let texts: Vec<&str> = blocks.filter_map(|block| block["text"].as_str()).collect();
    format!("{}\n", harmless(texts.join("\n").trim_end()))
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn show(bar: &ProgressBar, progress: &Progress) {
    if let Some(total) = progress.total {
        if bar.length().is_none()
            && let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} % {msg}")
        {
            bar.set_style(style);
        }
        bar.set_length(whole(total));
        bar.set_position(whole(progress.done));
    }
    if let Some(message) = &progress.message {
        bar.set_message(harmless(message));
    }
}

/// Thousandths, because progress need not be in whole numbers.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is cast to an integer saturates, which a progress bar can bear"
)]
fn whole(number: f64) -> u64 {
    (number * 1000.0) as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(arguments: &[&str], expected: &Value) {
        let schema = json!({"properties": {
            "host": {"type": "string"}, "count": {"type": "integer"}, "all": {"type": "boolean"},
            "server": {"type": ["string", "null"]}, "kind": {"enum": ["A", "MX"]},
        }});
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        assert_eq!(&Value::from(typed(&arguments, &schema).unwrap()), expected);
    }

    #[test]
    fn values_follow_the_schema() {
        check(&["host=10"], &json!({"host": "10"}));
        check(
            &["count=10", "all=true"],
            &json!({"count": 10, "all": true}),
        );
        check(
            &["server=1", "kind=MX"],
            &json!({"server": "1", "kind": "MX"}),
        );
        check(&["count=many"], &json!({"count": "many"}));
        check(
            &["unknown=[1]", "url=a=b"],
            &json!({"unknown": [1], "url": "a=b"}),
        );
    }

    #[test]
    fn an_argument_without_a_value_or_given_twice_is_refused() {
        for arguments in [vec!["host"], vec!["a=1", "a=2"]] {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            assert_eq!(typed(&arguments, &Value::Null).unwrap_err().code(), 64);
        }
    }
}
