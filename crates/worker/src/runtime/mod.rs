//! A worker on the bus.
//!
//! Each consumer keeps a connection of its own alive ([`consumer`]); each delivery is a
//! task ([`handle`], [`job`]); one task speaks to gateways ([`announcer`]). All of them
//! share one [`Runtime`].

mod absent;
mod announcer;
mod answers;
mod cancels;
mod consumer;
mod control;
mod dead_letter;
mod faults;
mod grants;
mod handle;
mod job;
mod mirror;
mod news;
mod once;
mod presence;
mod recent;
mod reply;
mod request;
mod taken;

use std::future::Future;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::{Backoff, Bus, supervise};
use protocol::{Category, Change, Event, Names};
use service::process::DRAIN_DEADLINE;
use service::{Health, Metrics, Process, Settings, broker};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::events::Events;
use crate::{Error, Worker};
use absent::Absent;
use answers::Memory;
use cancels::Cancels;
use faults::Faults;
use grants::Grants;
use presence::Presence;
use taken::Taken;

/// Time that running calls have to end; leaves some of the process's own for closing.
const DRAIN_TIME: Duration = DRAIN_DEADLINE.saturating_sub(Duration::from_secs(3));

/// What all tasks of one worker share.
#[derive(Debug)]
struct Runtime {
    worker: Worker,
    bus: Arc<dyn Bus>,
    names: Names,
    /// Unique per start.
    instance: String,
    /// Calls that all consumers together run at once.
    capacity: u32,
    metrics: Metrics,
    presence: Presence,
    health: Health,
    taken: Taken,
    cancels: Arc<Cancels>,
    absent: Absent,
    /// What calls were answered that may be repeated.
    answers: Arc<Memory>,
    faults: Faults,
    grants: Arc<Grants>,
    /// Where handlers tell of changes.
    events: Events,
    /// What outlives the connection over which its call came.
    beside: Mutex<Option<JoinSet<()>>>,
    /// How many calls are asked for or run that must not run twice.
    once: watch::Sender<usize>,
    /// Somebody asks for an announcement.
    discover: Notify,
    /// Changes when every connection is to be made anew.
    renew: watch::Sender<u64>,
    generation: AtomicU64,
    stop: CancellationToken,
}

/// Runs a worker on a bus until the process shuts down, with the settings of the process:
/// scan scope, site, prefix, consumers, prefetch and attempts to reconnect.
///
/// At shutdown it takes no more calls, gives back what has not started, finishes what
/// runs, and says goodbye. Dropping the future instead aborts everything.
///
/// # Errors
/// [`Error::Declaration`] before anything runs; [`Error::Bus`] when the bus gave up for
/// good. [`Error::into_exit`] makes the process's exit of it.
pub async fn serve(worker: Worker, bus: Arc<dyn Bus>, process: &Process) -> Result<(), Error> {
    let (runtime, waiting) = Runtime::new(worker, bus, process)?;
    let runtime = Arc::new(runtime);
    let _beside = AbortOnDrop(Arc::clone(&runtime));
    let settings = &process.settings;
    let prefetch = prefetch(&runtime.worker, settings);
    let backoff = broker::backoff(settings);
    let no_more = CancellationToken::new();
    let mut publishers = publishers(&runtime, waiting, &no_more);
    // Until the last call has ended, drained ones included.
    let mut looking = JoinSet::new();
    looking.spawn(absent::run(Arc::clone(&runtime)));
    let mut tasks = JoinSet::new();
    for _ in 0..settings.amqp_workers.get() {
        tasks.spawn(consume(Arc::clone(&runtime), prefetch, backoff));
    }
    let announcer = announcer::run(Arc::clone(&runtime));
    tasks.spawn(async move {
        announcer.await;
        Ok(())
    });
    let mut result = Ok(());
    while let Some(joined) = tasks.join_next().await {
        // What ends one of them for good ends all of them.
        runtime.stop.cancel();
        result = result.and(flat(joined));
    }
    runtime.presence.stopped();
    no_more.cancel();
    let last = async { while publishers.join_next().await.is_some() {} };
    if timeout(news::LAST_TIME, last).await.is_err() {
        tracing::warn!("the last events were not published in time");
    }
    result
}

/// What waits to be published beside calls.
struct Waiting {
    events: Receiver<(Change, Event)>,
    of_answers: answers::ToPublish,
}

/// Tasks that publish what waits until there is `no_more`.
fn publishers(runtime: &Runtime, waiting: Waiting, no_more: &CancellationToken) -> JoinSet<()> {
    let mut publishers = JoinSet::new();
    let (bus, names) = (Arc::clone(&runtime.bus), runtime.names.clone());
    publishers.spawn(news::publish(waiting.events, bus, names, no_more.clone()));
    answers::publish(
        &mut publishers,
        &runtime.answers,
        waiting.of_answers,
        no_more,
    );
    publishers
}

/// What health calls the worker of a category.
pub(crate) fn component_name(category: &Category) -> String {
    format!("{category} worker")
}

async fn consume(
    runtime: Arc<Runtime>,
    prefetch: NonZeroU16,
    backoff: Backoff,
) -> Result<(), bus::Error> {
    let name = component_name(runtime.worker.category());
    supervise(&runtime.bus, &name, &backoff, &runtime.stop, |link| {
        consumer::session(Arc::clone(&runtime), prefetch, link)
    })
    .await
}

fn flat(joined: Result<Result<(), bus::Error>, JoinError>) -> Result<(), Error> {
    joined.map_err(Error::Task)?.map_err(Error::Bus)
}

fn prefetch(worker: &Worker, settings: &Settings) -> NonZeroU16 {
    settings.amqp_prefetch_count.unwrap_or(worker.prefetch())
}

impl Runtime {
    fn new(worker: Worker, bus: Arc<dyn Bus>, process: &Process) -> Result<(Self, Waiting), Error> {
        worker.check()?;
        let settings = &process.settings;
        let worker = worker.configured(settings)?;
        let component = process.health.component(component_name(worker.category()));
        let consumers = u32::from(settings.amqp_workers.get());
        let instance = Uuid::now_v7().simple().to_string();
        let source = format!("/{}/{instance}", worker.category());
        let site = worker.host_identity().site.clone();
        let (events, published) = Events::new(source, site, news::CAPACITY);
        let names = broker::names(settings).map_err(Error::Settings)?;
        let category = worker.category().clone();
        let shared = (Arc::clone(&bus), names.clone());
        let (answers, of_answers) = Memory::new(shared.0, shared.1, category, instance.clone());
        let runtime = Self {
            names,
            answers,
            bus,
            instance,
            events,
            capacity: consumers * u32::from(prefetch(&worker, settings).get()),
            metrics: process.metrics.clone(),
            presence: Presence::new(component),
            health: process.health.clone(),
            taken: Taken::default(),
            cancels: Arc::default(),
            absent: Absent::default(),
            faults: Faults::default(),
            grants: Arc::default(),
            beside: Mutex::new(Some(JoinSet::new())),
            once: watch::Sender::new(0),
            discover: Notify::new(),
            renew: watch::Sender::new(0),
            generation: AtomicU64::new(0),
            stop: process.shutdown.child_token(),
            worker,
        };
        let waiting = Waiting {
            events: published,
            of_answers,
        };
        Ok((runtime, waiting))
    }

    /// Runs something that belongs to no connection; it ends with the worker.
    fn run_beside(&self, work: impl Future<Output = ()> + Send + 'static, tokio: &Handle) {
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(beside) = &mut *beside {
            while beside.try_join_next().is_some() {}
            beside.spawn_on(work.in_current_span(), tokio);
        }
    }

    /// Grows with every connection of this process.
    fn next_generation(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Ends the calls that belong to no connection together with the worker.
struct AbortOnDrop(Arc<Runtime>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        let mut beside = self.0.beside.lock().unwrap_or_else(PoisonError::into_inner);
        drop(beside.take());
    }
}
