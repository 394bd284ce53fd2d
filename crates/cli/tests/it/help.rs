//! What the command says of itself, and of arguments that are none.

use crate::discovery::{discovery, ends, has, says};

const COMMANDS: [&str; 7] = ["up", "tools", "call", "doctor", "config", "dead", "explain"];

#[tokio::test]
async fn every_command_has_help() {
    let help = says(&["--help"]).await;
    has(&help, &COMMANDS);
    has(&help, &["Usage: discovery", "Examples:", "discovery.toml"]);
    assert_eq!(says(&["help"]).await, help);
    for command in COMMANDS {
        let page = says(&[command, "--help"]).await;
        has(&page, &[&format!("Usage: discovery {command}"), "--help"]);
        assert_eq!(says(&["help", command]).await, page);
    }
}

#[tokio::test]
async fn the_version_is_that_of_the_package() {
    let expected = format!("discovery {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(says(&["--version"]).await, expected);
}

#[tokio::test]
async fn arguments_that_do_not_exist_give_64_and_say_so() {
    let check = async |arguments: &[&str], parts: &[&str]| {
        let output = ends(discovery(arguments), 64).await;
        assert_eq!(output.stdout, "", "{arguments:?}");
        has(&output.stderr, parts);
    };
    check(&["tool"], &["'tool'", "tools", "--help"]).await;
    check(&["--port", "3000"], &["--port", "--help"]).await;
    check(&["up", "extra"], &["extra", "Usage"]).await;
    check(&["tools", "--jsn"], &["--jsn", "--json"]).await;
    check(&["call"], &["<NAME>", "Usage"]).await;
    check(&["explain"], &["<CODE>", "Usage"]).await;
    check(&["help", "nothing"], &["nothing"]).await;
    check(
        &["call", "ping", "127.0.0.1"],
        &["\"127.0.0.1\"", "key=value", "host=127.0.0.1"],
    )
    .await;
    check(
        &["call", "ping", "host=127.0.0.1", "host=127.0.0.2"],
        &["\"host\"", "twice"],
    )
    .await;
}
