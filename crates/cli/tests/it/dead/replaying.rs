//! Replaying: a letter goes when its call has its answer, and not before.

use nix::sys::signal::Signal;
use protocol::headers::dead;
use serde_json::{Value, json};
use testkit::process::Process;
use tokio::net::{TcpListener, TcpStream};

use super::site::{Site, letter, ping};
use crate::discovery::{PATIENCE, ends, has};

#[tokio::test]
async fn answered_letters_go_and_refused_ones_stay() {
    let forbidden = letter("forbidden", "ping", &json!({ "host": "8.8.8.8" }));
    let unknown = letter("unknown", "no_such_tool", &json!({}));
    let mut elsewhere = ping("elsewhere");
    elsewhere.headers.insert(dead::EXCHANGE, "elsewhere");
    let mut letters = vec![ping("a"), forbidden, unknown, elsewhere, ping("b")];
    // What must not run twice is no different: the caller lets it begin.
    letters[4].headers.insert(dead::AT_MOST_ONCE, true);
    let site = Site::with(&letters).await;
    let _worker = site.worker().await;
    let replayed = site.dead(&["replay", "a"], 0).await.stdout;
    has(
        &replayed,
        &[
            "a ping: answered; letter removed\n",
            "\n  ",
            "1 of 1 replies",
        ],
    );
    site.check_ids(&["forbidden", "unknown", "elsewhere", "b"])
        .await;

    let replayed = site.dead(&["replay", "--all", "--yes"], 1).await;
    has(
        &replayed.stdout,
        &[
            "forbidden ping: the tool failed; letter removed\n  out_of_scope",
            "unknown no_such_tool: letter stays: refused (-32602)",
            "elsewhere ping: letter stays: it was sent to exchange \"elsewhere\"",
            "b ping: answered",
        ],
    );
    has(
        &replayed.stderr,
        &["3 of 4 letters without a good answer, 2 stay"],
    );
    site.check_ids(&["unknown", "elsewhere"]).await;
}

#[tokio::test]
async fn a_replay_in_json_is_a_line_for_each_letter() {
    let site = Site::with(&[ping("a"), ping("b"), ping("c")]).await;
    let _worker = site.worker().await;
    let replayed = site
        .dead(&["replay", "--json", "--timeout", "10s", "b", "a"], 0)
        .await;
    let lines: Vec<Value> = replayed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["id"], &lines[1]["id"]),
        (&json!("b"), &json!("a"))
    );
    for line in &lines {
        assert_eq!(
            (&line["outcome"], &line["why"]),
            (&json!("answered"), &Value::Null)
        );
        assert_eq!(line["answer"]["isError"], false);
        assert_ne!(line["replay"], line["id"]);
    }
    site.check_ids(&["c"]).await;
}

#[tokio::test]
async fn without_a_worker_every_letter_stays() {
    let mut of_another_category = ping("b");
    let key = "mcp.discovery.tools.snmp.snmp_get";
    of_another_category.headers.insert(dead::ROUTING_KEY, key);
    let site = Site::with(&[ping("a"), of_another_category]).await;
    let replayed = site.dead(&["replay", "--all", "--yes"], 1).await;
    has(
        &replayed.stdout,
        &[
            "a ping: letter stays: no worker of category network",
            "discovery-worker-network",
            "b ping: letter stays: no worker of category snmp",
        ],
    );
    site.check_ids(&["a", "b"]).await;
    // Nothing is left behind for a worker that comes later.
    let worker = site.worker().await;
    site.dead(&["replay", "a"], 0).await;
    drop(worker);
    site.check_ids(&["b"]).await;
}

#[tokio::test]
async fn a_call_without_an_answer_in_time_leaves_its_letter() {
    let target = Target::start().await;
    let site = Site::with(&[ping("a"), target.letter("slow")]).await;
    let worker = site.worker().await;
    let slow = site
        .dead(&["replay", "slow", "--timeout", "500ms"], 1)
        .await;
    has(&slow.stdout, &["slow wget: letter stays: "]);
    // A worker that hangs is another way to have no answer.
    worker.freeze().unwrap();
    let slow = site.dead(&["replay", "a", "--timeout", "500ms"], 1).await;
    has(
        &slow.stdout,
        &["a ping: letter stays: no answer within 500 ms"],
    );
    worker.thaw().unwrap();
    site.check_ids(&["a", "slow"]).await;
}

#[tokio::test]
async fn an_interrupted_replay_leaves_the_letters_that_were_not_finished() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let target = Target::start().await;
        let letters = [ping("a"), ping("b"), target.letter("slow"), ping("c")];
        let site = Site::with(&letters).await;
        let _worker = site.worker().await;
        let replay = site.command(&["replay", "b", "slow", "c"]).start().unwrap();
        let _held = target.reached().await;
        // Whoever comes meanwhile does not see half of the letters.
        if signal == Signal::SIGINT {
            has(
                &ends(site.command(&["list"]), 69).await.stderr,
                &["somebody else"],
            );
        }
        replay.signal(signal).unwrap();
        check_ended(&replay, signal).await;
        site.check_ids(&["a", "slow", "c"]).await;
        has(&site.dead(&["list"], 0).await.stdout, &["3 letters"]);
    }
}

async fn check_ended(replay: &Process, signal: Signal) {
    let code = replay.exit_code(PATIENCE).await.unwrap();
    if signal == Signal::SIGKILL {
        assert_eq!(code, 128 + 9);
        return;
    }
    assert_eq!(code, 130);
    let said = replay.stderr().to_end(PATIENCE).await.unwrap().join("\n");
    has(&said, &["interrupted", "in its place"]);
}

#[tokio::test]
async fn a_lost_connection_ends_a_replay_and_leaves_its_letters() {
    let target = Target::start().await;
    let site = Site::with(&[ping("a"), target.letter("slow"), ping("c")]).await;
    let worker = site.worker().await;
    let replay = site.command(&["replay", "slow", "c"]).start().unwrap();
    let _held = target.reached().await;
    drop(worker);
    site.close_connections().await;
    assert_eq!(replay.exit_code(PATIENCE).await.unwrap(), 69);
    let said = replay.stderr().to_end(PATIENCE).await.unwrap().join("\n");
    has(
        &said,
        &["the connection to the message broker was lost", "fix:"],
    );
    site.check_ids(&["a", "slow", "c"]).await;
}

/// Takes connections and never answers.
struct Target {
    listener: TcpListener,
}

impl Target {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self { listener }
    }

    /// A call that waits for this target.
    fn letter(&self, id: &str) -> bus::Message {
        let port = self.listener.local_addr().unwrap().port();
        letter(
            id,
            "wget",
            &json!({ "url": format!("http://127.0.0.1:{port}/") }),
        )
    }

    async fn reached(&self) -> TcpStream {
        let accepted = wait_for(self.listener.accept()).await;
        accepted.unwrap().0
    }
}

async fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}
