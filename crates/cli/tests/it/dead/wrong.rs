//! What cannot be done is refused with the reason, and changes nothing.

use testkit::ports::free_port;

use super::site::{Site, ping};
use crate::discovery::{discovery, ends, has};

#[tokio::test]
async fn without_a_broker_the_command_says_how_to_name_one() {
    for arguments in [
        &["dead", "list"][..],
        &["dead", "show", "a"],
        &["dead", "replay", "a"],
        &["dead", "drop", "--all", "--yes"],
    ] {
        let output = ends(discovery(arguments), 64).await;
        assert_eq!(output.stdout, "");
        has(
            &output.stderr,
            &["AMQP_URL is not set", "fix: set AMQP_URL"],
        );
    }
}

#[tokio::test]
async fn a_broker_that_is_not_there_gives_69() {
    let url = format!("amqp://127.0.0.1:{}", free_port().unwrap());
    let output = ends(discovery(&["dead", "list"]).env("AMQP_URL", url), 69).await;
    assert_eq!(output.stdout, "");
    has(&output.stderr, &["cannot connect", "127.0.0.1", "fix:"]);
}

#[tokio::test]
async fn arguments_that_make_no_sense_give_64_and_say_so() {
    let check = async |arguments: &[&str], parts: &[&str]| {
        let arguments: Vec<&str> = ["dead"].iter().chain(arguments).copied().collect();
        let output = ends(discovery(&arguments), 64).await;
        assert_eq!(output.stdout, "", "{arguments:?}");
        has(&output.stderr, parts);
    };
    check(&[], &["list", "show", "replay", "drop", "Usage"]).await;
    check(&["lst"], &["'lst'", "list"]).await;
    check(&["show"], &["<ID>", "Usage"]).await;
    check(&["show", "a", "b"], &["'b'", "Usage"]).await;
    check(&["drop"], &["<ID>", "Usage"]).await;
    check(&["replay"], &["<ID>", "Usage"]).await;
    check(&["drop", "--all"], &["--yes"]).await;
    check(&["replay", "--all"], &["--yes"]).await;
    check(&["drop", "a", "--all", "--yes"], &["cannot be used with"]).await;
    check(
        &["replay", "a", "--timeout", "soon"],
        &["soon", "--timeout"],
    )
    .await;
    check(&["replay", "a", "--timeout", "0"], &["--timeout"]).await;
    check(&["replay", "a", "--timeout", "16m"], &["15m at most"]).await;
    check(&["list", "--jsn"], &["--jsn", "--json"]).await;
}

#[tokio::test]
async fn an_id_that_names_no_letter_or_several_changes_nothing() {
    let ids = ["01a1fbf2-a", "01a1fbf2-b"];
    let site = Site::with(&ids.map(ping)).await;
    for command in ["show", "drop", "replay"] {
        let none = site.dead(&[command, "x"], 64).await;
        has(
            &none.stderr,
            &["no dead letter \"x\"", "fix: discovery dead list"],
        );
        let empty = site.dead(&[command, ""], 64).await;
        has(&empty.stderr, &["no dead letter \"\""]);
        let several = site.dead(&[command, "01a1fbf2"], 64).await;
        has(
            &several.stderr,
            &["more than one", "01a1fbf2-a, 01a1fbf2-b"],
        );
        assert_eq!(format!("{}{}", none.stdout, several.stdout), "");
    }
    let one_is_wrong = site.dead(&["drop", "01a1fbf2-a", "x"], 64).await;
    assert_eq!(one_is_wrong.stdout, "");
    site.check_ids(&ids).await;
}
