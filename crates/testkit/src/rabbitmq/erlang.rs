//! Expressions evaluated inside a node.
//!
//! `rabbitmqctl` boots an Erlang machine for every call and costs seconds; `erl_call`, a small C
//! program that comes with Erlang, asks the running node in some 20 ms.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Result, bail, ensure};

use super::broker::Broker;
use crate::command::{Output, command, run};

/// How long an expression may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A command that evaluates what it reads on standard input.
pub(super) fn call(broker: &Broker) -> std::process::Command {
    static N_CALLS: AtomicU64 = AtomicU64::new(0);
    // Each caller is a node with a name; two at once must not have the same one, and the random
    // names that erl_call can choose itself do collide.
    let caller = format!(
        "tk{}x{}",
        std::process::id(),
        N_CALLS.fetch_add(1, Ordering::Relaxed)
    );
    let mut command = command("erl_call");
    command.args(["-c", broker.cookie(), "-h", &caller, "-timeout", "30"]);
    command.args([
        "-address",
        &format!("127.0.0.1:{}", broker.distribution_port()),
    ]);
    command.args(["-fetch_stdout", "-no_result_term", "-e"]);
    command
}

/// The expression, made to print `ok` and its value (a string), or `error` and why.
pub(super) fn program(expression: &str) -> String {
    format!(
        "try {expression} of Printed__ -> io:format(\"ok ~ts\", [Printed__]) \
         catch Class__:Why__ -> io:format(\"error ~p\", [{{Class__, Why__}}]) end.\n"
    )
}

/// Evaluates an expression whose value is a string or a binary.
pub(super) async fn eval(broker: &Broker, expression: &str) -> Result<String> {
    let output = run(call(broker), program(expression).as_bytes(), DEADLINE).await?;
    answer(&output, expression)
}

fn answer(output: &Output, expression: &str) -> Result<String> {
    ensure!(
        output.code == Some(0),
        "erl_call: {}{}",
        output.stderr,
        output.stdout
    );
    match output.stdout.strip_prefix("ok ") {
        Some(value) => Ok(value.to_owned()),
        None => bail!(
            "the node refuses {expression}: {}{}",
            output.stdout,
            output.stderr
        ),
    }
}
