//! A target for `wget` that sees when its clients come and go.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::wait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::SOON;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Its path is the body of the answer.
    AtOnce,
    /// The same after so long.
    After(Duration),
    /// The same once the test says [`Target::release`].
    Released,
    /// There is none.
    Never,
}

/// An HTTP server that answers as it is told.
#[derive(Debug)]
pub(crate) struct Target {
    address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    asked: Mutex<Asked>,
    /// Requests whose client has gone before it was answered, and when.
    left: Mutex<Vec<(String, Instant)>>,
    released: watch::Sender<bool>,
}

/// The requests so far.
#[derive(Debug, Default)]
struct Asked {
    in_order: Vec<String>,
    times: HashMap<String, Vec<Instant>>,
}

type Script = dyn Fn(&str, usize) -> Answer + Send + Sync;

impl Target {
    /// Answers as `script` says for a path and the number of earlier requests for it.
    pub(crate) async fn start(
        script: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            asked: Mutex::default(),
            left: Mutex::default(),
            released: watch::Sender::new(false),
        });
        let script: Arc<Script> = Arc::new(script);
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        clients.spawn(serve(stream, Arc::clone(&shared), Arc::clone(&script)));
                    }
                    Some(_) = clients.join_next() => {}
                }
            }
        });
        Self {
            address,
            state,
            _tasks: tasks,
        }
    }

    /// Answers everything with its path.
    pub(crate) async fn echo() -> Self {
        Self::start(|_, _| Answer::AtOnce).await
    }

    /// Arguments of `wget` for a path, with its leading slash.
    pub(crate) fn arguments(&self, path: &str) -> Value {
        json!({ "url": self.url(path), "response_format": "json" })
    }

    /// The URL of a path, with its leading slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers what waits, and what comes from now on.
    pub(crate) fn release(&self) {
        self.state.released.send_replace(true);
    }

    /// The paths that were asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.state.asked).in_order.clone()
    }

    /// When each path was asked for, where that was more than once.
    pub(crate) fn asked_again(&self) -> Vec<Vec<Instant>> {
        let asked = lock(&self.state.asked);
        let times = asked.times.values();
        times.filter(|times| times.len() > 1).cloned().collect()
    }

    /// How often a path was asked for.
    pub(crate) fn times(&self, path: &str) -> usize {
        let asked = lock(&self.state.asked);
        asked.times.get(path).map_or(0, Vec::len)
    }

    /// Waits until so many requests have come.
    pub(crate) async fn until_asked(&self, n_requests: usize) {
        let what = format!("{n_requests} requests at the target");
        let asked = async || (lock(&self.state.asked).in_order.len() >= n_requests).then_some(());
        wait::until(&what, SOON, asked).await.unwrap();
    }

    /// When the client of a request went without an answer.
    pub(crate) async fn left(&self, path: &str) -> Instant {
        let left = async || self.has_left(path);
        let what = format!("the request for {path} is given up");
        wait::until(&what, SOON, left).await.unwrap()
    }

    /// When the client of a request went without an answer, if it has.
    pub(crate) fn has_left(&self, path: &str) -> Option<Instant> {
        let left = lock(&self.state.left);
        let found = left.iter().find(|(asked, _)| asked == path);
        found.map(|(_, at)| *at)
    }
}

/// The body that a result of `wget` carries.
pub(crate) fn body_of(answer: &Value) -> &str {
    let body = answer["result"]["structuredContent"]["body"].as_str();
    body.unwrap_or_else(|| panic!("no body: {answer}"))
}

async fn serve(mut stream: TcpStream, state: Arc<State>, script: Arc<Script>) {
    let Some(path) = read_path(&mut stream).await else {
        return;
    };
    let answer = {
        let mut asked = lock(&state.asked);
        asked.in_order.push(path.clone());
        let times = asked.times.entry(path.clone()).or_default();
        times.push(Instant::now());
        script(&path, times.len() - 1)
    };
    let mut released = state.released.subscribe();
    let due = async {
        match answer {
            Answer::AtOnce => {}
            Answer::After(time) => tokio::time::sleep(time).await,
            Answer::Released => _ = released.wait_for(|released| *released).await,
            Answer::Never => std::future::pending().await,
        }
    };
    let mut byte = [0];
    tokio::select! {
        biased;
        () = due => {
            let length = path.len();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
            let response = format!("{head}Content-Length: {length}\r\n\r\n{path}");
            // A client that goes now is no matter of the test's.
            let _ = stream.write_all(response.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        _ = stream.read(&mut byte) => lock(&state.left).push((path, Instant::now())),
    }
}

/// The path in the first line of a request without a body.
async fn read_path(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    head.split(' ').nth(1).map(str::to_owned)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
