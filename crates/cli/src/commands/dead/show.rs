use std::fmt::Write as _;
use std::time::Duration;

use protocol::headers::{self, dead};
use serde_json::Value;
use service::ExitError;

use super::{Letter, selection};
use crate::output::{harmless, print};

/// Prints one letter.
pub(super) fn run(letters: &[Letter], id: &str, json: bool) -> Result<(), ExitError> {
    let letter = selection::find(letters, id)?;
    if json {
        let mut shown = letter.json();
        shown["request"] = letter.request();
        return print(&format!("{shown:#}\n"));
    }
    print(&harmless(&text(letter)))
}

fn text(letter: &Letter) -> String {
    let header = |name: &str| letter.text(name).map(str::to_owned);
    let lines = [
        ("id", Some(letter.id().to_owned())),
        ("reason", header(dead::REASON)),
        ("time", letter.time()),
        ("call", call(letter)),
        ("category", header(dead::CATEGORY)),
        (
            "taken",
            letter.int(dead::DELIVERIES).map(|n| format!("{n} times")),
        ),
        ("first error", header(dead::FIRST_ERROR)),
        ("last error", header(dead::LAST_ERROR)),
        ("given up by", worker(letter)),
        ("trace id", letter.trace_id().map(str::to_owned)),
        ("correlation id", letter.message.correlation_id.clone()),
        ("sender", letter.message.app_id.clone()),
        ("deadline", letter.deadline()),
        ("usual timeout", letter.int(dead::TIMEOUT).map(timeout)),
        ("may run twice", letter.is_at_most_once().map(may_run_twice)),
        ("sent to", sent_to(letter)),
        ("replay of", header(dead::REPLAY_OF)),
        (
            "copies",
            (letter.n_copies() > 1).then(|| letter.n_copies().to_string()),
        ),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<15} {}", value.replace('\n', " "));
        }
    }
    let request = match letter.request() {
        Value::String(text) => text,
        request => format!("{request:#}"),
    };
    let _ = writeln!(
        text,
        "\nrequest ({} bytes)\n{request}",
        letter.message.body.len()
    );
    text
}

fn call(letter: &Letter) -> Option<String> {
    let method = letter.text(headers::METHOD)?;
    Some(format!("{method} {}", letter.name()).trim_end().to_owned())
}

fn worker(letter: &Letter) -> Option<String> {
    let instance = letter.text(headers::INSTANCE)?;
    let known = |name| letter.text(name).unwrap_or("unknown");
    let (version, site) = (known(dead::VERSION), known(dead::SITE));
    Some(format!("worker {instance}, version {version}, site {site}"))
}

fn timeout(milliseconds: i64) -> String {
    let timeout = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0));
    format!("{timeout:?}")
}

fn may_run_twice(is_at_most_once: bool) -> String {
    if is_at_most_once { "no" } else { "yes" }.to_owned()
}

fn sent_to(letter: &Letter) -> Option<String> {
    let exchange = letter.text(dead::EXCHANGE)?;
    let key = letter.text(dead::ROUTING_KEY).unwrap_or_default();
    Some(if exchange.is_empty() {
        format!("queue {key:?}")
    } else {
        format!("exchange {exchange:?} with key {key:?}")
    })
}
