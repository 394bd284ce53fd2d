//! How a worker learns what the others of its category know, before it takes calls: at its start,
//! and whenever it could not hear them for a while.
//!
//! It says [`ANSWERS_HELLO`] to all of them. Each tells it which keys it has claimed, and then
//! that it is there, and whether it has been told itself; the first one that has is asked for all
//! answers. Those that have not may have joined in the same moment and know as little: one of
//! them is asked only when nobody else has spoken in time.

use std::sync::Arc;
use std::time::Duration;

use bus::{Consumer, Delivery, Publish};
use futures::stream::FuturesUnordered;
use futures::{StreamExt, stream};
use protocol::control::{ANSWERS_HELLO, ANSWERS_HERE, ANSWERS_TELL, ANSWERS_TOLD};
use protocol::{Envelope, Kind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout, timeout_at};

use super::claim::Memory;
use super::news;
use crate::runtime::{Runtime, control};

/// How long the others may take to say that they are there, once one has told what it knows.
const HERE_TIME: Duration = Duration::from_millis(500);
/// How long one of them may take to say that it knows something, unless there has never been
/// another one; then, how long one may take to tell it.
const TELL_TIME: Duration = Duration::from_secs(5);
/// Questions that are being answered at once; of those for all answers one at a time.
const QUESTIONS_AT_ONCE: usize = 16;
/// Answers that are on their way to the broker at once.
const AT_ONCE: usize = 64;
/// How long the broker may take for one message of that.
const STEP_TIME: Duration = Duration::from_secs(2);

/// Parameters of [`ANSWERS_HELLO`] and [`ANSWERS_TELL`]: who speaks, and the queue on which it
/// listens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Speaker {
    instance: String,
    queue: String,
}

/// Parameters of [`ANSWERS_HERE`].
#[derive(Debug, Serialize, Deserialize)]
struct Here {
    #[serde(flatten)]
    speaker: Speaker,
    /// It has been told what others knew, or there was nobody. Those who do not say it were told.
    #[serde(default = "yes")]
    told: bool,
}

fn yes() -> bool {
    true
}

/// What another worker wants to be told.
#[derive(Debug)]
pub(super) struct Question {
    of: Speaker,
    /// All answers; otherwise which keys this worker has claimed.
    wants_answers: bool,
}

/// Learns what the others know, within a bound, unless another connection of this process has
/// done so since it listens. `queue` is the control queue of this connection. Cancel safe: the
/// next connection asks again.
pub(in crate::runtime) async fn catch_up(runtime: &Runtime, queue: &str, control: &mut Consumer) {
    let memory = &runtime.answers;
    let _one = memory.asking.lock().await;
    if !memory.is_told() {
        ask_the_others(runtime, queue, control).await;
        memory.told();
    }
}

async fn ask_the_others(runtime: &Runtime, queue: &str, control: &mut Consumer) {
    let memory = &runtime.answers;
    let own = Speaker {
        instance: memory.instance().to_owned(),
        queue: queue.to_owned(),
    };
    let Some(hello) = news::message(memory, ANSWERS_HELLO, &own.instance, &own) else {
        return;
    };
    let n_others = others(runtime).await;
    if n_others == 0 {
        // Who begins in the same moment is to know of this one.
        let _ = timeout(HERE_TIME, memory.broadcast(hello)).await;
        return;
    }
    // The broker may still count consumers of a node that has died, this worker's own among them.
    let patience = if memory.is_alone() {
        HERE_TIME
    } else {
        TELL_TIME
    };
    let heard = Heard::new(n_others, patience);
    // Its confirmation may take long, where a queue is still known whose node has died; those
    // who are there have it all the same.
    let said = async {
        let _ = memory.broadcast(hello).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = said => {}
        () = listen(runtime, &own, heard, control) => {}
    }
}

/// Listens to the others until all has been heard that can be.
async fn listen(runtime: &Runtime, own: &Speaker, mut heard: Heard, control: &mut Consumer) {
    let memory = &runtime.answers;
    while let Some(until) = heard.waits_until() {
        let asked = match timeout_at(until, control.next()).await {
            Ok(None) => break,
            Ok(Some(delivery)) => match reply(&delivery) {
                Some(Reply::Here(here)) => {
                    memory.has_met();
                    heard.is_here(here)
                }
                Some(Reply::Told) => {
                    heard.is_told = true;
                    None
                }
                None => {
                    control::take(runtime, &delivery);
                    None
                }
            },
            Err(_) => match heard.last_resort() {
                None => break,
                other => other,
            },
        };
        if let Some(other) = asked
            && ask(memory, own, other).await
        {
            heard.asked_until = Some(Instant::now() + TELL_TIME);
        }
    }
    tracing::debug!(heard.n_here, heard.is_told, "knows what others answered");
}

/// How much of the others has been heard.
struct Heard {
    n_others: u32,
    n_here: u32,
    here_until: Instant,
    /// Until when somebody may come who knows something.
    known_until: Instant,
    /// One that is there, but has not been told itself.
    untold: Option<Speaker>,
    /// Somebody was asked for all answers, and has until then to tell them.
    asked_until: Option<Instant>,
    is_told: bool,
}

impl Heard {
    fn new(n_others: u32, patience: Duration) -> Self {
        Self {
            n_others,
            n_here: 0,
            here_until: Instant::now() + HERE_TIME,
            known_until: Instant::now() + patience,
            untold: None,
            asked_until: None,
            is_told: false,
        }
    }

    /// Takes note of another worker, and says whether it is to be asked.
    fn is_here(&mut self, here: Here) -> Option<Speaker> {
        self.n_here += 1;
        if self.asked_until.is_some() {
            return None;
        }
        if here.told {
            return Some(here.speaker);
        }
        self.untold.get_or_insert(here.speaker);
        None
    }

    /// Whom to ask when the time is over.
    fn last_resort(&mut self) -> Option<Speaker> {
        let untold = self.untold.take();
        untold.filter(|_| self.asked_until.is_none())
    }

    /// Until when more may come; `None` when all has been heard.
    fn waits_until(&self) -> Option<Instant> {
        match self.asked_until {
            Some(_) if self.is_told && self.n_here >= self.n_others => None,
            Some(asked_until) if !self.is_told => Some(asked_until),
            Some(_) => Some(self.here_until),
            None => Some(self.known_until),
        }
    }
}

/// How many there may be to learn from: consumers, of which a process may have several.
async fn others(runtime: &Runtime) -> u32 {
    let queue = runtime.names.work_queue(runtime.worker.category());
    match timeout(STEP_TIME, runtime.bus.queue_state(&queue)).await {
        Ok(Ok(Some(state))) => state.consumers,
        _ => 0,
    }
}

async fn ask(memory: &Memory, own: &Speaker, other: Speaker) -> bool {
    let Some(message) = news::message(memory, ANSWERS_TELL, &own.instance, own) else {
        return false;
    };
    let publish = memory.publish(Publish::to_queue(other.queue, message));
    matches!(timeout(STEP_TIME, publish).await, Ok(Ok(())))
}

enum Reply {
    Here(Here),
    Told,
}

fn reply(delivery: &Delivery) -> Option<Reply> {
    let envelope = Envelope::parse(&delivery.message.body).ok()?;
    match envelope.method()?.as_ref() {
        ANSWERS_HERE => params(&envelope).map(Reply::Here),
        ANSWERS_TOLD => Some(Reply::Told),
        _ => None,
    }
}

fn params<T: DeserializeOwned>(envelope: &Envelope<'_>) -> Option<T> {
    let Kind::Notification { params, .. } = envelope.kind else {
        return None;
    };
    serde_json::from_str(params.map_or("null", RawValue::get)).ok()
}

/// Takes in that another worker wants to know something; false if the message says nothing of
/// that.
pub(super) fn take(memory: &Memory, method: &str, envelope: &Envelope<'_>) -> bool {
    let wants_answers = match method {
        ANSWERS_HELLO => false,
        ANSWERS_TELL => true,
        // Replies to a question of ours that has been given up.
        ANSWERS_HERE | ANSWERS_TOLD => return true,
        _ => return false,
    };
    if let Some(of) = params(envelope).filter(|of: &Speaker| of.instance != memory.instance()) {
        memory.has_met();
        let question = Question { of, wants_answers };
        if memory.questions.try_send(question).is_err() {
            tracing::debug!("too many workers want to know what was answered");
        }
    }
    true
}

/// Answers questions of other workers until nobody can ask any more. Who begins to listen does not
/// wait for another one to be told all answers.
pub(super) async fn answer_questions(mut questions: Receiver<Question>, memory: Arc<Memory>) {
    let turn = Mutex::new(());
    let answer = async |Question { of, wants_answers }| {
        let told = if wants_answers {
            let _turn = turn.lock().await;
            tell_answers(&memory, &of.queue).await
        } else {
            tell_claims(&memory, &of.queue).await
        };
        if told.is_none() {
            tracing::debug!(instance = of.instance, "a worker could not be told");
        }
    };
    let mut answering = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = answering.next() => {}
            question = questions.recv(), if answering.len() < QUESTIONS_AT_ONCE => match question {
                Some(question) => answering.push(answer(question)),
                None => return,
            },
        }
    }
}

async fn tell_claims(memory: &Memory, queue: &str) -> Option<()> {
    let claims = memory.table().claims_to_tell();
    for (key, claim) in &claims {
        send(memory, queue, news::claim(memory, key, claim)?).await?;
    }
    let here = Here {
        speaker: Speaker {
            instance: memory.instance().to_owned(),
            queue: memory.listens_on()?,
        },
        told: memory.is_told(),
    };
    let here = news::message(memory, ANSWERS_HERE, memory.instance(), &here)?;
    send(memory, queue, here).await
}

async fn tell_answers(memory: &Memory, queue: &str) -> Option<()> {
    let answers = memory.table().all_answers();
    let mut sent = stream::iter(answers)
        .map(async |(key, since, kept)| {
            let keep = news::keep(memory, &key, &key, &kept, since.elapsed())?;
            send(memory, queue, keep).await
        })
        .buffered(AT_ONCE);
    while let Some(sent) = sent.next().await {
        sent?;
    }
    let told = news::message(
        memory,
        ANSWERS_TOLD,
        memory.instance(),
        &serde_json::json!({}),
    )?;
    send(memory, queue, told).await
}

async fn send(memory: &Memory, queue: &str, message: bus::Message) -> Option<()> {
    let publish = memory.publish(Publish::to_queue(queue, message));
    match timeout(STEP_TIME, publish).await.ok()? {
        // What follows may be sent all the same.
        Err(error) if !error.is_final() => None,
        _ => Some(()),
    }
}
