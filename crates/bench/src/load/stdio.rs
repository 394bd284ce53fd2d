//! Clients that share the standard streams of one gateway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use testkit::process::Program;
use testkit::wait;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Command;
use super::calls::{self, Template};
use super::client::Client;

/// How long the gateway may take until it knows the tool.
const READY: Duration = Duration::from_secs(30);
/// Bytes that are read at a time.
const AHEAD: usize = 64 * 1024;

/// A gateway in a process of its own.
pub(super) struct Pipe {
    input: tokio::sync::Mutex<ChildStdin>,
    pending: Pending,
    _gateway: Child,
    /// Hands the answers out.
    _answers: JoinSet<()>,
}

/// Who waits for which answer, by JSON-RPC identifier.
type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<String>>>>;

/// What is read of an answer before it is handed out.
#[derive(Deserialize)]
struct Answer {
    id: Option<u64>,
}

impl Pipe {
    /// Starts the gateway and waits until it knows the tool.
    pub(super) async fn open(command: &Command) -> Result<Arc<Self>> {
        let mut program = Program::new(&command.path)
            .args(&command.arguments)
            .folder(&command.folder);
        for (name, value) in &command.environment {
            program = program.env(name, value);
        }
        let mut gateway = program.start_for_client()?;
        let input = gateway.stdin.take().context("no standard input")?;
        let output = gateway.stdout.take().context("no standard output")?;
        let pending = Pending::default();
        let waiting = Arc::clone(&pending);
        let mut answers = JoinSet::new();
        answers.spawn(async move {
            let mut lines = BufReader::with_capacity(AHEAD, output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let id = serde_json::from_str::<Answer>(&line).ok();
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                let answer = id.and_then(|it| waiting.remove(&it.id?));
                if let Some(answer) = answer {
                    // Who waited may have given up.
                    let _ = answer.send(line);
                }
            }
        });
        let pipe = Arc::new(Self {
            input: tokio::sync::Mutex::new(input),
            pending,
            _gateway: gateway,
            _answers: answers,
        });
        let mut client = StdioClient::new(Arc::clone(&pipe));
        let answers = async || client.call(u64::from(u32::MAX)).await.ok();
        wait::until("the tool is known", READY, answers).await?;
        Ok(pipe)
    }

    async fn ask(&self, number: &str, line: &[u8]) -> Result<String> {
        let (sender, answer) = oneshot::channel();
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number.parse()?, sender);
        self.input.lock().await.write_all(line).await?;
        answer.await.context("the gateway has ended")
    }
}

/// One of the clients of a gateway.
pub(super) struct StdioClient {
    pipe: Arc<Pipe>,
    line: Template,
}

impl StdioClient {
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        let line = Template::new(calls::modern_call() + "\n");
        Self { pipe, line }
    }
}

impl Client for StdioClient {
    async fn call(&mut self, number: u64) -> Result<()> {
        let number = calls::numbered(number);
        let answer = self.pipe.ask(&number, self.line.number(&number)).await?;
        calls::check(answer.as_bytes(), &number)
    }
}
