//! `discovery config`, and settings that stop every command.

use std::fs;

use crate::discovery::{discovery, ends, has};

/// Value and origin of a setting in the listing.
fn line<'a>(listing: &'a str, variable: &str) -> &'a str {
    listing
        .lines()
        .find_map(|line| line.strip_prefix(variable)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no {variable} in {listing}"))
        .trim()
}

#[tokio::test]
async fn every_layer_is_shown_with_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("discovery.toml");
    fs::write(&file, "http_port = 4000\ndiscovery_site = 'dc1'\n").unwrap();
    let check = |listing: &str| {
        assert_eq!(
            line(listing, "HTTP_HOST"),
            format!("{:<34} default", "127.0.0.1")
        );
        has(
            line(listing, "HTTP_PORT"),
            &["4000", "file", "discovery.toml"],
        );
        has(
            line(listing, "DISCOVERY_SITE"),
            &["dc2", "environment variable DISCOVERY_SITE"],
        );
        has(line(listing, "AMQP_URL"), &["(not set)", "default"]);
    };
    let config = || discovery(&["config"]).env("DISCOVERY_SITE", "dc2");
    let in_folder = config().folder(folder.path());
    check(&ends(in_folder, 0).await.stdout);
    let named = config().env("DISCOVERY_CONFIG", &file);
    check(&ends(named, 0).await.stdout);
}

#[tokio::test]
async fn secrets_are_masked() {
    let program = discovery(&["config"])
        .env(
            "AMQP_URL",
            "amqp://discovery:hunter2@one.example:5673/dc1,amqp://discovery:hunter4@two.example/dc1",
        )
        .env("AMQP_PASSWORD", "hunter3");
    let output = ends(program, 0).await;
    let shown = "amqp://discovery:***@one.example:5673/dc1,amqp://discovery:***@two.example/dc1";
    has(line(&output.stdout, "AMQP_URL"), &[shown]);
    has(line(&output.stdout, "AMQP_PASSWORD"), &["***"]);
    for text in [output.stdout, output.stderr] {
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[tokio::test]
async fn a_variable_that_is_nearly_a_setting_is_pointed_out() {
    let program = discovery(&["config"]).env("AMQP_PREFECH_COUNT", "5");
    let output = ends(program, 0).await;
    has(
        &output.stdout,
        &["warning", "AMQP_PREFECH_COUNT", "AMQP_PREFETCH_COUNT"],
    );
}

#[tokio::test]
async fn a_setting_that_is_not_valid_stops_every_command_with_64() {
    let commands: [&[&str]; 6] = [
        &[],
        &["up"],
        &["tools"],
        &["call", "ping", "host=127.0.0.1"],
        &["doctor"],
        &["config"],
    ];
    for arguments in commands {
        let output = ends(discovery(arguments).env("HTTP_PORT", "http"), 64).await;
        assert_eq!(output.stdout, "", "{arguments:?}");
        has(
            &output.stderr,
            &[
                "HTTP_PORT",
                "`http`",
                "whole number from 0 to 65535",
                "docs/configuration.md",
            ],
        );
    }
    // An explanation needs no settings.
    ends(
        discovery(&["explain", "internal"]).env("HTTP_PORT", "http"),
        0,
    )
    .await;
}
