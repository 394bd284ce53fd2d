//! The process that makes the calls.

use std::collections::VecDeque;
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use protocol::Category;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::amqp::{BareClient, Wire, WorkerClient};
use super::client::Client;
use super::control::{Numbered, Obeyed, Order};
use super::http::HttpClient;
use super::record::Record;
use super::stdio::{Pipe, StdioClient};
use super::{Pace, Plan, Target};

/// How long a call may take.
const CALL: Duration = Duration::from_secs(30);
/// Rest of a client after a failure: a server that is gone is not asked as fast as possible.
const AFTER_FAILURE: Duration = Duration::from_millis(20);
/// Time between two looks at whether the last call has ended.
const LOOK: Duration = Duration::from_millis(2);
/// Orders that wait to be obeyed; there is one at a time.
const ORDERS: usize = 4;

/// What all clients share.
struct Shared {
    record: Record,
    /// Number of the next call.
    next: AtomicU64,
    running: AtomicUsize,
    /// When the calls of an open loop were to be sent, those that were not yet.
    due: Mutex<VecDeque<Instant>>,
    /// As many permits as calls that are due.
    tickets: Semaphore,
}

/// Makes calls as ordered, until there are no more orders.
///
/// One thread only: the less the generator takes, the more is left for what is measured.
pub(crate) fn generate(plan: Plan) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(plan))?;
    // Connections may still be open, with tasks that would be waited for.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(ExitCode::SUCCESS)
}

async fn run(plan: Plan) -> Result<()> {
    let Plan { target, clients } = plan;
    let crowd = Crowd::new();
    match target {
        Target::Http { address, ask } => {
            let client = |_| HttpClient::new(address, ask);
            crowd.lead((0..clients).map(client)).await
        }
        Target::Stdio(command) => {
            let pipe = Pipe::open(&command).await?;
            let client = |_| StdioClient::new(Arc::clone(&pipe));
            crowd.lead((0..clients).map(client)).await
        }
        Target::Worker { url, category } => {
            let wire = Arc::new(timeout(CALL, Wire::open(&url)).await??);
            let category: Category = category.parse()?;
            let client = |_| WorkerClient::new(Arc::clone(&wire), &category);
            crowd.lead((0..clients).map(client)).await
        }
        Target::Bare { url } => {
            let wire = Arc::new(timeout(CALL, Wire::open(&url)).await??);
            let client = |_| BareClient::new(Arc::clone(&wire));
            crowd.lead((0..clients).map(client)).await
        }
    }
}

/// The clients and who leads them.
struct Crowd {
    shared: Arc<Shared>,
    pace: watch::Sender<Option<Pace>>,
}

impl Crowd {
    fn new() -> Self {
        let shared = Shared {
            record: Record::new(),
            next: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            due: Mutex::default(),
            tickets: Semaphore::new(0),
        };
        Self {
            shared: Arc::new(shared),
            pace: watch::Sender::new(None),
        }
    }

    /// Obeys orders until there are no more.
    async fn lead<C: Client>(self, clients: impl Iterator<Item = C>) -> Result<()> {
        let mut tasks = JoinSet::new();
        for (index, client) in clients.enumerate() {
            let (shared, pace) = (Arc::clone(&self.shared), self.pace.subscribe());
            tasks.spawn(work(index, client, pace, shared));
        }
        let mut orders = read_orders();
        say(&Obeyed::default())?;
        let mut pacer = None;
        while let Some(Numbered { number, order }) = orders.recv().await {
            let mut window = None;
            match order {
                Order::Begin(pace) => {
                    pacer = Pacer::start(pace, &self.shared);
                    self.pace.send_replace(Some(pace));
                }
                Order::Mark => window = Some(self.shared.record.mark()),
                Order::Pause => {
                    drop(pacer.take());
                    self.rest().await?;
                }
            }
            say(&Obeyed { number, window })?;
        }
        Ok(())
    }

    /// Waits until no call runs.
    async fn rest(&self) -> Result<()> {
        self.pace.send_replace(None);
        self.shared.due().clear();
        self.shared.tickets.forget_permits(Semaphore::MAX_PERMITS);
        let quiet = async {
            while self.shared.running.load(Ordering::Relaxed) > 0 {
                sleep(LOOK).await;
            }
        };
        timeout(CALL * 2, quiet).await.context("calls do not end")
    }
}

impl Shared {
    fn due(&self) -> std::sync::MutexGuard<'_, VecDeque<Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls as long as the pace has work for the client of this index.
async fn work<C: Client>(
    index: usize,
    mut client: C,
    mut pace: watch::Receiver<Option<Pace>>,
    shared: Arc<Shared>,
) {
    loop {
        let now = *pace.borrow_and_update();
        match now {
            Some(Pace::InFlight(clients)) if index < clients => {
                call(&mut client, Instant::now(), &shared).await;
            }
            Some(Pace::PerSecond(_)) => tokio::select! {
                Ok(ticket) = shared.tickets.acquire() => {
                    ticket.forget();
                    let due = shared.due().pop_front();
                    if let Some(due) = due {
                        call(&mut client, due, &shared).await;
                    }
                }
                _ = pace.changed() => {}
            },
            _ => {
                if pace.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn call<C: Client>(client: &mut C, begun: Instant, shared: &Shared) {
    shared.running.fetch_add(1, Ordering::Relaxed);
    let number = shared.next.fetch_add(1, Ordering::Relaxed);
    let ended = timeout(CALL, client.call(number)).await;
    let ended = ended.unwrap_or_else(|_| Err(anyhow!("no answer within {CALL:?}")));
    match ended {
        Ok(()) => shared.record.answered(begun.elapsed()),
        Err(error) => {
            shared.record.failed(&error);
            sleep(AFTER_FAILURE).await;
        }
    }
    shared.running.fetch_sub(1, Ordering::Relaxed);
}

/// Says when the calls of an open loop are due. A thread of its own, because the timer of the
/// runtime counts in whole milliseconds.
struct Pacer {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Pacer {
    /// A pacer, if the pace needs one.
    fn start(pace: Pace, shared: &Arc<Shared>) -> Option<Self> {
        let Pace::PerSecond(rate) = pace else {
            return None;
        };
        let every = Duration::from_secs(1) / rate.max(1);
        let stop = Arc::new(AtomicBool::new(false));
        let (is_over, shared) = (Arc::clone(&stop), Arc::clone(shared));
        let thread = thread::spawn(move || {
            let mut due = Instant::now();
            while !is_over.load(Ordering::Relaxed) {
                due += every;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                shared.due().push_back(due);
                shared.tickets.add_permits(1);
            }
        });
        Some(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The orders on standard input, read by a thread of its own: a read cannot be called off.
fn read_orders() -> mpsc::Receiver<Numbered> {
    let (sender, receiver) = mpsc::channel(ORDERS);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let order = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            let Some(order) = order else { return };
            if sender.blocking_send(order).is_err() {
                return;
            }
        }
    });
    receiver
}

fn say(obeyed: &Obeyed) -> Result<()> {
    let line = serde_json::to_string(obeyed)?;
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}
