//! Where a target sends `wget`.

use serde_json::json;
use testkit::targets::{ANY_PORT, HttpServer, Script};

use super::next_good_call_works;
use crate::site::embedded;

/// Target of the redirect, the code of the error, and what its message says.
const REDIRECTS: &[(&str, &str, &str)] = &[
    ("http://8.8.8.8/", "out_of_scope", "SCAN_SCOPE_ALLOW"),
    (
        "http://169.254.169.254/latest/meta-data/",
        "out_of_scope",
        "metadata",
    ),
    ("//169.254.169.254/", "out_of_scope", "metadata"),
    (
        "http://[::ffff:169.254.169.254]/",
        "out_of_scope",
        "metadata",
    ),
    ("http://2852039166/", "out_of_scope", "metadata"),
    (
        "http://[64:ff9b::a9fe:a9fe]/",
        "out_of_scope",
        "64:ff9b::a9fe:a9fe",
    ),
    ("http://0.0.0.0/", "out_of_scope", "unspecified"),
    ("file:///etc/passwd", "bad_response", "file"),
    ("gopher://127.0.0.1:6379/_x", "bad_response", "gopher"),
    (
        "http://user:hunter2@127.0.0.1/",
        "bad_response",
        "user name or password",
    ),
    ("/again", "bad_response", "redirect"),
];

#[tokio::test]
async fn a_redirect_leads_nowhere_that_the_caller_could_not_go() {
    let platform = embedded().await;
    for (location, code, says) in REDIRECTS {
        let target = HttpServer::start(ANY_PORT, |_| Script::redirect(location));
        let target = target.await.unwrap();
        let answer = platform
            .call("wget", json!({ "url": target.url("/again") }))
            .await;
        assert_eq!(answer["result"]["isError"], true, "{location}: {answer}");
        let error = &answer["result"]["structuredContent"]["error"];
        assert_eq!(error["code"], *code, "{location}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "{location}: {message}");
        assert!(!message.contains("hunter2"), "{location}: {message}");
        next_good_call_works(&platform, location).await;
    }
}
