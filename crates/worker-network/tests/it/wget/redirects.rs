//! Redirects: followed, counted, checked.

use serde_json::json;
use testkit::targets::{ANY_PORT, HttpServer, Script, refusing_address};

use super::{done, failed, header, serving};

#[tokio::test]
async fn redirects_are_followed_and_listed() {
    let last = serving(Script::response(200, &[], "there")).await;
    let location = last.url("/end");
    let server = HttpServer::start(ANY_PORT, move |request| match request.path.as_str() {
        "/start" => Script::redirect("/middle/x?y"),
        "/middle/x?y" => Script::response(308, &[("Location", "z")], "ignored"),
        "/middle/z" => Script::response(303, &[("Location", &location)], ""),
        _ => Script::response(404, &[], ""),
    })
    .await
    .unwrap();
    let result = done(json!({ "url": server.url("/start") })).await;
    assert_eq!(result["status"], 200);
    assert_eq!(result["url"], last.url("/end"));
    assert_eq!(result["body"], "there");
    let hop = |url: &str, status: u16, location: &str| json!({ "url": url, "status": status, "location": location, "downgraded": false });
    let expected = json!([
        hop(&server.url("/start"), 302, &server.url("/middle/x?y")),
        hop(&server.url("/middle/x?y"), 308, &server.url("/middle/z")),
        hop(&server.url("/middle/z"), 303, &last.url("/end")),
    ]);
    assert_eq!(result["redirects"], expected);
}

#[tokio::test]
async fn without_redirects_the_redirect_is_the_result() {
    let server = serving(Script::redirect("http://169.254.169.254/")).await;
    let result = done(json!({ "url": server.url("/"), "max_redirect": 0 })).await;
    assert_eq!(result["status"], 302);
    assert_eq!(header(&result, "location"), ["http://169.254.169.254/"]);
    let not_moved = serving(Script::response(304, &[("Location", "/x")], "")).await;
    let result = done(json!({ "url": not_moved.url("/") })).await;
    assert_eq!(result["status"], 304);
    let without_location = serving(Script::response(302, &[], "where?")).await;
    let result = done(json!({ "url": without_location.url("/") })).await;
    assert_eq!(result["body"], "where?");
}

#[tokio::test]
async fn one_redirect_too_many_is_an_error_that_lists_them() {
    let server = HttpServer::start(ANY_PORT, |request| {
        let n: u32 = request.path[1..].parse().unwrap();
        Script::redirect(&format!("/{}", n + 1))
    })
    .await
    .unwrap();
    for (max_redirect, n_asked) in [(1, 2), (5, 6), (10, 11)] {
        let before = server.requests().len();
        let arguments = json!({ "url": server.url("/0"), "max_redirect": max_redirect });
        let error = failed(arguments).await;
        assert_eq!(error["code"], "bad_response");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("more than {max_redirect} redirects")),
            "{message}"
        );
        assert!(message.contains(&server.url("/1")), "{message}");
        assert_eq!(server.requests().len() - before, n_asked);
    }
}

#[tokio::test]
async fn a_redirect_loop_is_found() {
    let server = HttpServer::start(ANY_PORT, |request| match request.path.as_str() {
        "/a" => Script::redirect("/b"),
        _ => Script::redirect("/a#again"),
    })
    .await
    .unwrap();
    let error = failed(json!({ "url": server.url("/a"), "max_redirect": 10 })).await;
    assert_eq!(error["code"], "bad_response");
    assert!(
        error["message"].as_str().unwrap().contains("redirect loop"),
        "{error}"
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_redirect_out_of_scope_is_not_followed() {
    for location in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/latest/meta-data/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://2852039166/",
        "http://0xA9.0xFE.0xA9.0xFE/",
        "http://0251.0376.0251.0376/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://8.8.8.8/",
        "http://0.0.0.0/",
        "//169.254.169.254/",
    ] {
        let server = serving(Script::redirect(location)).await;
        let error = failed(json!({ "url": server.url("/hop") })).await;
        assert_eq!(error["code"], "out_of_scope", "{location}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(&server.url("/hop")),
            "the hop in {message}"
        );
        assert!(error["hint"].is_string(), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_to_what_is_not_http_is_refused() {
    for location in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1:6379/_x",
        "http://user:secret@127.0.0.1/",
        "http://",
        "http://127.0.0.1:0/",
        "javascript:alert(1)",
    ] {
        let server = serving(Script::redirect(location)).await;
        let error = failed(json!({ "url": server.url("/hop") })).await;
        assert_eq!(error["code"], "bad_response", "{location}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(&server.url("/hop")), "{message}");
    }
}

#[tokio::test]
async fn an_error_behind_a_redirect_names_the_way_to_it() {
    let closed = refusing_address().unwrap();
    let server = serving(Script::redirect(&format!("http://{closed}/"))).await;
    let error = failed(json!({ "url": server.url("/hop") })).await;
    assert_eq!(error["code"], "connection_refused");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains(&server.url("/hop"))
    );
}
