//! The ways in for clients.

use std::fs;

use serde_json::json;
use testkit::{http::Request, process::Process};

use super::ends;
use crate::site::{END, Running, SOON, Site, embedded_program};

/// The TCP ports that a process listens on.
pub(super) fn listening(process: &Process) -> Vec<u16> {
    let folder = format!("/proc/{}", process.pid());
    let descriptors = fs::read_dir(format!("{folder}/fd")).unwrap().flatten();
    let sockets: Vec<String> = descriptors
        .filter_map(|descriptor| {
            let target = fs::read_link(descriptor.path()).ok()?;
            let target = target.to_str()?.strip_prefix("socket:[")?;
            Some(target.trim_end_matches(']').to_owned())
        })
        .collect();
    let tables = ["net/tcp", "net/tcp6"].map(|table| format!("{folder}/{table}"));
    let rows = tables
        .map(|table| fs::read_to_string(table).unwrap_or_default())
        .concat();
    let port = |row: &str| {
        // proc(5): local address, remote address, state (0A listens), …, inode.
        let fields: Vec<&str> = row.split_whitespace().collect();
        let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let is_ours = *state == "0A" && sockets.iter().any(|socket| socket == inode);
        let (_, port) = address.rsplit_once(':').filter(|_| is_ours)?;
        u16::from_str_radix(port, 16).ok()
    };
    rows.lines().filter_map(port).collect()
}

/// Starts the platform in this mode and tries both ways in.
async fn check(mode: &str, has_stdio: bool, has_http: bool) {
    let platform = Running::gateway(embedded_program().await.env("TRANSPORT_MODE", mode));
    let list = Request::modern("over-stdio", "tools/list", json!({})).body;
    platform.write_line(&list.to_string()).unwrap();
    let is_answer = |line: &str| line.contains("over-stdio");
    if has_stdio {
        let answer = platform.stdout().line("the tools", SOON, is_answer);
        assert!(answer.await.unwrap().contains("\"ping\""));
    }
    if has_http {
        platform.ready().await;
        platform.lists("ping").await;
    }
    let answered = platform.stdout().all().iter().any(|line| is_answer(line));
    assert_eq!(answered, has_stdio, "{mode:?}");
    let ports = listening(&platform);
    assert_eq!(ports.len(), usize::from(has_http), "{mode:?}: {ports:?}");
    platform.close_stdin();
    if has_http {
        // The end of one client is not the end of the others' way in.
        platform.lists("ping").await;
        platform.terminate().unwrap();
    }
    assert_eq!(platform.exit_code(END).await.unwrap(), 0, "{mode:?}");
}

#[tokio::test]
async fn each_mode_opens_its_ways_in_and_no_others() {
    tokio::join!(
        check("", false, true),
        check("http", false, true),
        check("stdio", true, false),
        check("stdio,http", true, true),
        check("all", true, true),
    );
}

#[tokio::test]
async fn the_way_in_that_does_not_exist_yet_is_named() {
    let site = Site::new().await;
    for program in [embedded_program().await, site.gateway_program().await] {
        let parts = [
            "TRANSPORT_MODE",
            "amqp",
            "not serve",
            "fix: set TRANSPORT_MODE",
        ];
        ends(program.env("TRANSPORT_MODE", "amqp"), 64, &parts).await;
    }
    let both = embedded_program().await.env("TRANSPORT_MODE", "amqp,http");
    let both = Running::gateway(both);
    both.ready().await;
    both.lists("ping").await;
    let warning = |line: &str| line.contains("WARN") && line.contains("over AMQP are not served");
    both.stderr()
        .line("a warning", SOON, warning)
        .await
        .unwrap();
}
