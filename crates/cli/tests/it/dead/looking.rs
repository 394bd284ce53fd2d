//! Listing, showing, dropping: what is looked at stays where it is.

use bus::Message;
use nix::sys::signal::Signal;
use protocol::headers::{self, dead};
use serde_json::json;

use super::site::{MOMENT, Site, letter, ping};
use crate::discovery::{PATIENCE, has};

const IDS: [&str; 3] = ["01a1fbf2-a", "01a1fbf2-b", "77aa0011-c"];

async fn three() -> Site {
    let mut other = letter(IDS[1], "snmp_get", &json!({}));
    other.headers.insert(dead::CATEGORY, "snmp");
    other.headers.insert(dead::LAST_ERROR, "the worker stops");
    Site::with(&[ping(IDS[0]), other, ping(IDS[2])]).await
}

#[tokio::test]
async fn where_no_worker_ever_ran_there_are_no_letters() {
    let site = Site::empty().await;
    let listing = site.dead(&["list"], 0).await;
    assert_eq!(listing.stdout, "There are no dead letters.\n");
    assert_eq!(site.json(&["list", "--json"]).await, json!([]));
    let dropped = site.dead(&["drop", "--all", "--yes"], 0).await;
    assert_eq!(dropped.stdout, "0 letters dropped, 0 letters left\n");
    let replayed = site.dead(&["replay", "--all", "--yes"], 0).await;
    assert_eq!(replayed.stdout, "");
}

#[tokio::test]
async fn a_list_has_a_line_for_each_letter_and_leaves_all_in_their_places() {
    let site = three().await;
    let listing = site.dead(&["list"], 0).await.stdout;
    let lines: Vec<&str> = listing.lines().collect();
    assert_eq!(lines.len(), 6, "{listing}");
    has(
        lines[0],
        &[
            "ID",
            "TIME (UTC)",
            "CATEGORY",
            "CALL",
            "TAKEN",
            "LAST ERROR",
        ],
    );
    has(
        lines[1],
        &[
            "01a1fbf2-a ",
            "2026-01-31 12:00:00 ",
            " network ",
            " ping ",
            " 5 ",
        ],
    );
    has(lines[1], &["hand-out 5, worker w: the reply"]);
    has(
        lines[2],
        &["01a1fbf2-b ", " snmp ", " snmp_get ", "the worker stops"],
    );
    has(lines[3], &["77aa0011-c "]);
    has(lines[5], &["3 letters", "discovery dead show"]);
    site.check_ids(&IDS).await;

    let check = async |arguments: &[&str], expected: &[&str]| {
        let arguments: Vec<&str> = ["list", "--json"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let listed = site.json(&arguments).await;
        let listed = listed.as_array().unwrap().clone();
        let ids: Vec<&str> = listed.iter().filter_map(|it| it["id"].as_str()).collect();
        assert_eq!(ids, expected);
    };
    check(&[], &IDS).await;
    check(&["--category", "network"], &[IDS[0], IDS[2]]).await;
    check(&["--reason", "worker stops"], &[IDS[1]]).await;
    check(&["--category", "network", "--reason", "worker stops"], &[]).await;
    let none = site.dead(&["list", "--category", "proxmox"], 0).await;
    assert_eq!(none.stdout, "No dead letter is like that.\n");
    site.check_ids(&IDS).await;
}

#[tokio::test]
async fn a_letter_is_shown_with_all_that_is_known() {
    let site = three().await;
    let shown = site.dead(&["show", "77"], 0).await.stdout;
    has(
        &shown,
        &[
            "id              77aa0011-c\n",
            "reason          handed out too often\n",
            "time            2026-01-31T12:00:00.123Z\n",
            "call            tools/call ping\n",
            "category        network\n",
            "taken           5 times\n",
            "first error     hand-out 1: unknown here",
            "last error      hand-out 5, worker w",
            "given up by     worker 01a1fbf21cce71cbb7d17fb7c6779b58, version 0.1.0, site dc1\n",
            "trace id        0af7651916cd43dd8448eb211c80319c\n",
            "correlation id  correlation of 77aa0011-c\n",
            "sender          gateway-1\n",
            "deadline        2026-01-31T12:00:30Z\n",
            "usual timeout   20s\n",
            "may run twice   yes\n",
            "sent to         exchange \"mcp.discovery.routing\" with key \"mcp.discovery.tools.network.ping\"\n",
            "\"host\": \"127.0.0.1\"",
        ],
    );
    let json = site.json(&["show", "77aa0011-c", "--json"]).await;
    assert_eq!(json["worker"]["site"], "dc1");
    assert_eq!(json["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(json["request"]["params"]["name"], "ping");
    assert_eq!(
        (&json["atMostOnce"], &json["copies"]),
        (&json!(false), &json!(1))
    );
    site.check_ids(&IDS).await;
}

#[tokio::test]
async fn what_any_program_wrote_can_be_looked_at() {
    let strange = Message {
        message_id: Some("\x1b[2Jevil".to_owned()),
        headers: bus::Headers::default()
            .with(headers::NAME, "\x1b]0;title\x07")
            .with(dead::TIME, i64::MAX)
            .with(dead::DELIVERIES, "many"),
        body: vec![0xff, 0xfe, 0x1b, b'[', b'2', b'J'].into(),
        ..Message::default()
    };
    let nameless = Message {
        message_id: None,
        ..strange.clone()
    };
    let site = Site::with(&[strange, nameless]).await;
    let listing = site.dead(&["list"], 0).await.stdout;
    has(&listing, &["\\u{1b}[2J", "2 letters"]);
    let shown = site.dead(&["show", "\x1b[2J"], 0).await.stdout;
    has(&shown, &["\\u{1b}[2Jevil", "request (6 bytes)"]);
    for text in [listing, shown] {
        assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text}");
    }
    assert_eq!(site.json(&["list", "--json"]).await[1]["id"], "");
    // Without an ID it is one of all.
    let replayed = site.dead(&["replay", "--all", "--yes"], 1).await;
    has(&replayed.stdout, &["letter stays", "exchange \"\""]);
    site.check_ids(&["\x1b[2Jevil", ""]).await;
    site.dead(&["drop", "--all", "--yes"], 0).await;
    site.check_ids(&[]).await;
}

#[tokio::test]
async fn dropped_letters_are_gone_and_the_others_stay() {
    let site = three().await;
    let dropped = site.dead(&["drop", "01a1fbf2-b", "01a1fbf2-b"], 0).await;
    assert_eq!(
        dropped.stdout,
        "dropped 01a1fbf2-b snmp_get\n1 letter dropped, 2 letters left\n"
    );
    site.check_ids(&[IDS[0], IDS[2]]).await;
    let arguments = ["drop", "--all", "--yes", "--category", "snmp", "--json"];
    assert_eq!(site.json(&arguments).await, json!({"dropped": []}));
    let arguments = ["drop", "--all", "--yes", "--json"];
    assert_eq!(
        site.json(&arguments).await,
        json!({"dropped": [IDS[0], IDS[2]]})
    );
    site.check_ids(&[]).await;
}

/// A worker that ends between letter and ack leaves the call to the next one, which writes it
/// again.
#[tokio::test]
async fn copies_of_a_letter_are_one() {
    let site = Site::with(&[ping("a"), ping("b"), ping("a")]).await;
    let listed = site.json(&["list", "--json"]).await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["copies"]),
        (&json!("a"), &json!(2))
    );
    has(
        &site.dead(&["show", "a"], 0).await.stdout,
        &["copies          2\n"],
    );
    site.dead(&["drop", "a"], 0).await;
    site.check_ids(&["b"]).await;
}

#[tokio::test]
async fn many_letters_are_listed_whole() {
    let ids: Vec<String> = (0..2_000)
        .map(|number| format!("letter-{number:04}"))
        .collect();
    let letters: Vec<Message> = ids.iter().map(|id| ping(id)).collect();
    let site = Site::with(&letters).await;
    let listed = site.json(&["list", "--json"]).await;
    assert_eq!(listed.as_array().unwrap().len(), ids.len());
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    site.check_ids(&ids).await;
}

/// Whoever is second waits a while, then says why it ends; nobody sees half of the letters.
#[tokio::test]
async fn one_command_at_a_time_works_on_letters() {
    let site = three().await;
    let link = site.lock().await;
    let refused = site.dead(&["drop", "--all", "--yes"], 69).await;
    assert_eq!(refused.stdout, "");
    has(
        &refused.stderr,
        &["somebody else works on the dead letters", "fix: try again"],
    );
    // It is patient enough for a command that only looks.
    let second = site.command(&["list"]).start().unwrap();
    tokio::time::sleep(MOMENT).await;
    assert_eq!(second.try_exit().unwrap(), None);
    link.close().await;
    assert_eq!(second.exit_code(PATIENCE).await.unwrap(), 0);
    site.check_ids(&IDS).await;
}

#[tokio::test]
async fn who_waits_for_the_others_can_be_interrupted() {
    let site = three().await;
    let _link = site.lock().await;
    let waiting = site.command(&["list"]).start().unwrap();
    tokio::time::sleep(MOMENT).await;
    waiting.signal(Signal::SIGINT).unwrap();
    assert_eq!(waiting.exit_code(PATIENCE).await.unwrap(), 130);
    let said = waiting.stderr().to_end(PATIENCE).await.unwrap().join("\n");
    has(&said, &["interrupted"]);
}
