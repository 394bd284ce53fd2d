//! Tools that change state, and keep their answers together with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use protocol::{ErrorCode, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;
use worker::{Answers, CallKey, Context, StoredAnswer, Summary, Tool, ToolContent};

use crate::gate::{until, within};
use crate::site::{Site, worker};

/// A store in memory; each lock is a transaction.
#[derive(Debug)]
struct Store {
    state: Mutex<State>,
    /// How often it was asked.
    finds: AtomicUsize,
    is_down: AtomicBool,
    runs: AtomicUsize,
    /// Permits to commit.
    may_commit: Semaphore,
    /// One for each that has committed.
    committed: Semaphore,
    /// Permits to answer after that.
    may_answer: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    sum: i64,
    answers: HashMap<String, String>,
}

impl Store {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            finds: AtomicUsize::new(0),
            is_down: AtomicBool::new(false),
            runs: AtomicUsize::new(0),
            may_commit: Semaphore::new(99),
            committed: Semaphore::new(0),
            may_answer: Semaphore::new(99),
        })
    }

    fn sum(&self) -> i64 {
        self.state.lock().unwrap().sum
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// Adds a number and keeps the answer, both or none.
    fn commit(&self, key: &CallKey, number: i64) -> Result<Sum, ToolError> {
        let mut state = self.state.lock().unwrap();
        let sum = Sum {
            sum: state.sum + number,
        };
        let answer = StoredAnswer::of(key, &sum)?.text()?;
        if state.answers.contains_key(key.id()) {
            return Err(ToolError::new(ErrorCode::Internal, "answered meanwhile"));
        }
        state.answers.insert(key.id().to_owned(), answer);
        state.sum = sum.sum;
        Ok(sum)
    }

    async fn add(&self, key: &CallKey, number: i64) -> Result<Sum, ToolError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.may_commit.acquire().await.unwrap().forget();
        let sum = self.commit(key, number);
        self.committed.add_permits(1);
        self.may_answer.acquire().await.unwrap().forget();
        sum
    }

    fn tool(self: &Arc<Self>) -> Tool {
        let store = Arc::clone(self);
        let run = move |context: Context, add: Add| {
            let store = Arc::clone(&store);
            async move { store.add(context.call_key().unwrap(), add.number).await }
        };
        Tool::new("add", run).stored(Arc::clone(self) as Arc<dyn Answers>)
    }
}

#[async_trait]
impl Answers for Store {
    async fn find(&self, key: &CallKey) -> Result<Option<StoredAnswer>, ToolError> {
        self.finds.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(ToolError::new(ErrorCode::PermissionDenied, "no access"));
        }
        let state = self.state.lock().unwrap();
        let text = state.answers.get(key.id());
        text.map(|text| StoredAnswer::from_text(text)).transpose()
    }
}

/// What to add.
#[derive(Debug, Deserialize, JsonSchema)]
struct Add {
    /// A number.
    number: i64,
}

/// The sum.
#[derive(Debug, Serialize, JsonSchema)]
struct Sum {
    /// Of all numbers.
    sum: i64,
}

impl Summary for Sum {
    fn summary(&self) -> String {
        format!("sum {}", self.sum)
    }
}

#[tokio::test]
async fn a_crash_between_commit_and_reply_changes_nothing_twice() {
    let store = Store::new();
    store.may_answer.forget_permits(99);
    let mut site = Site::with(worker(1, [store.tool()])).await;
    site.publish(site.request("a", "add", &json!({"number": 5})))
        .await;
    within("the commit", store.committed.acquire())
        .await
        .unwrap()
        .forget();
    site.outage().await;
    let reply = site.reply().await;
    assert_eq!(
        (reply.text(), reply.correlation_id.as_str()),
        ("sum 5", "a")
    );
    assert_eq!(reply.result()["structuredContent"], json!({"sum": 5}));
    assert_eq!((store.sum(), store.runs()), (5, 1));
    site.metric("discovery_replayed_answers_total{category=\"lab\"} 1")
        .await;
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_crash_before_the_commit_runs_it_again() {
    let store = Store::new();
    store.may_commit.forget_permits(99);
    let mut site = Site::with(worker(1, [store.tool()])).await;
    site.publish(site.request("a", "add", &json!({"number": 5})))
        .await;
    until("the first run", async || store.runs() == 1).await;
    site.outage().await;
    until("the second run", async || store.runs() == 2).await;
    store.may_commit.add_permits(1);
    assert_eq!(site.reply().await.text(), "sum 5");
    assert_eq!(store.sum(), 5);
    site.all_is_settled().await;
}

#[tokio::test]
async fn every_delivery_asks_the_store_first() {
    let store = Store::new();
    let mut site = Site::with(worker(1, [store.tool()])).await;
    let mut request = site.request("a", "add", &json!({"number": 5}));
    site.publish(request.clone()).await;
    let first = site.reply().await;
    assert_eq!(first.text(), "sum 5");
    // A gateway that has lost the reply publishes it again under another correlation id.
    request.message.correlation_id = Some("b".to_owned());
    site.publish(request).await;
    let again = site.reply().await;
    assert_eq!(again.result(), first.result());
    assert_eq!((store.finds.load(Ordering::SeqCst), store.runs()), (2, 1));
    site.publish(site.request("c", "add", &json!({"number": 1, "response_format": "json"})))
        .await;
    assert_eq!(site.reply().await.text(), r#"{"sum":6}"#);
    site.publish(site.request("c", "add", &json!({"response_format": "json", "number": 1})))
        .await;
    assert_eq!(site.reply().await.text(), r#"{"sum":6}"#);
    assert_eq!(store.sum(), 6);
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_worker_that_starts_anew_repeats_what_the_store_has() {
    let store = Store::new();
    for id in ["a", "b"] {
        let mut site = Site::with(worker(1, [store.tool()])).await;
        site.publish(site.keyed(id, "k", "add", &json!({"number": 5})))
            .await;
        assert_eq!(site.reply().await.text(), "sum 5");
        site.publish(site.keyed(id, "k", "add", &json!({"number": 6})))
            .await;
        assert_eq!(site.reply().await.error().0, -32602);
        site.all_is_settled().await;
    }
    let mut site = Site::with(worker(1, [store.tool()])).await;
    site.publish(site.keyed("c", "k", "add", &json!({"number": 6})))
        .await;
    let reply = site.reply().await;
    assert_eq!(reply.error().0, -32602);
    assert_eq!(reply.body["error"]["data"]["idempotencyKey"], "reused");
    assert_eq!((store.sum(), store.runs()), (5, 1));
}

#[tokio::test]
async fn without_the_store_nothing_runs_and_the_caller_may_try_again() {
    let store = Store::new();
    let mut site = Site::with(worker(1, [store.tool()])).await;
    store.is_down.store(true, Ordering::SeqCst);
    site.publish(site.keyed("a", "k", "add", &json!({"number": 5})))
        .await;
    let reply = site.reply().await;
    assert_eq!(reply.failure(), "internal");
    let error = &reply.result()["structuredContent"]["error"];
    assert_eq!(error["retryable"], true);
    assert!(error["message"].as_str().unwrap().contains("no access"));
    assert_eq!(store.runs(), 0);
    store.is_down.store(false, Ordering::SeqCst);
    site.publish(site.keyed("b", "k", "add", &json!({"number": 5})))
        .await;
    assert_eq!(site.reply().await.text(), "sum 5");
    site.all_is_settled().await;
}

#[tokio::test]
async fn who_commits_second_answers_what_the_first_one_did() {
    let store = Store::new();
    store.may_commit.forget_permits(99);
    let mut site = Site::with(worker(2, [store.tool()])).await;
    let mut request = site.request("a", "add", &json!({"number": 5}));
    site.publish(request.clone()).await;
    request.message.correlation_id = Some("b".to_owned());
    site.publish(request).await;
    until("both to run", async || store.runs() == 2).await;
    store.may_commit.add_permits(2);
    for _ in 0..2 {
        assert_eq!(site.reply().await.text(), "sum 5");
    }
    assert_eq!(store.sum(), 5);
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_call_without_a_message_id_is_not_run() {
    let store = Store::new();
    let mut site = Site::with(worker(1, [store.tool()])).await;
    let mut request = site.request("a", "add", &json!({"number": 5}));
    request.message.message_id = None;
    site.publish(request).await;
    let reply = site.reply().await;
    let (code, message) = reply.error();
    assert_eq!(code, -32600);
    assert!(message.contains("message-id"), "{message}");
    assert_eq!(store.runs(), 0);
    site.all_is_settled().await;
}

#[tokio::test]
async fn a_raw_tool_keeps_its_content() {
    let store = Store::new();
    let kept = Arc::clone(&store);
    let schema = serde_json::from_str(r#"{"type":"object"}"#).unwrap();
    let tool = Tool::raw("add", schema, move |context: Context, _| {
        let store = Arc::clone(&kept);
        async move {
            let key = context.call_key().unwrap();
            store.runs.fetch_add(1, Ordering::SeqCst);
            let content = ToolContent::new().text("raw").structured(json!({"a": 1.0}));
            let text = StoredAnswer::of_content(key, &content).text()?;
            let mut state = store.state.lock().unwrap();
            state.answers.insert(key.id().to_owned(), text);
            Ok(content)
        }
    });
    let mut site = Site::with(worker(1, [tool.stored(store.clone())])).await;
    site.call("a", "add").await;
    let first = site.reply().await;
    site.call("a", "add").await;
    assert_eq!(site.reply().await.text, first.text);
    assert_eq!(store.runs(), 1);
    site.all_is_settled().await;
}
