//! The binary as a child.

use std::time::Duration;

use serde_json::Value;
use testkit::process::{Output, Program};

/// Time for anything that the command is expected to do, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The command with these arguments, in a folder without a configuration file.
pub(crate) fn discovery(arguments: &[&str]) -> Program {
    Program::new(env!("CARGO_BIN_EXE_discovery"))
        .args(arguments)
        .folder(env!("CARGO_TARGET_TMPDIR"))
}

/// Runs a command to its end, which must be this exit code; nothing ever panics.
pub(crate) async fn ends(program: Program, code: i32) -> Output {
    let output = program.run(b"", PATIENCE).await.unwrap();
    assert_eq!(output.code, Some(code), "{output:#?}");
    assert!(!output.stderr.contains("panicked"), "{output:#?}");
    output
}

/// Runs a command that does what it was asked, without a word on standard error.
pub(crate) async fn says(arguments: &[&str]) -> String {
    let output = ends(discovery(arguments), 0).await;
    assert_eq!(output.stderr, "", "{arguments:?}");
    output.stdout
}

/// Runs a command that prints JSON.
pub(crate) async fn says_json(arguments: &[&str]) -> Value {
    let text = says(arguments).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Every part must be in the text.
pub(crate) fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}
