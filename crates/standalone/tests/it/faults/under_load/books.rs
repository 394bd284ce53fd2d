//! What became of every call, and whether that is as it must be.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::load::{Call, Tool};
use crate::site::Target;

/// The code of "too many calls wait".
const BUSY: i64 = -31002;
/// The code of "the outcome is unknown".
const UNKNOWN: i64 = -31004;
/// What an answer may be late on a busy machine, after the deadline that the gateway keeps.
const GRACE: Duration = Duration::from_secs(2);
/// How many faulty entries are shown.
const SHOWN: usize = 5;

/// What a call ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The result that it has without any fault.
    Real,
    /// "Try again later", at once.
    Busy,
    /// "Nobody knows".
    Unknown,
    /// Anything else, or no answer at all.
    Wrong,
}

/// A call and its end.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(super) tool: Tool,
    pub(super) path: String,
    pub(super) sent: Instant,
    pub(super) ended: Instant,
    pub(super) outcome: Outcome,
    /// What was answered, where that was not the real result.
    pub(super) words: Option<String>,
}

/// Every call of a load.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(super) entries: Vec<Entry>,
}

/// What is no fault, beside real results.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowed {
    /// Calls may be refused as busy; they do not run then.
    pub(crate) busy: bool,
    /// Those of tools that may run again may run all the same: the broker had not read them when
    /// it raised an alarm, and reads them after it, just before it hears that nobody waits.
    pub(crate) unheard: bool,
    /// Calls that must not run twice may have an unknown outcome.
    pub(crate) unknown: bool,
}

impl Entry {
    pub(super) fn new(call: Call, sent: Instant, reply: anyhow::Result<Vec<Value>>) -> Self {
        let (outcome, words) = judged(&call, reply);
        Self {
            tool: call.tool,
            path: call.path,
            sent,
            ended: Instant::now(),
            outcome,
            words,
        }
    }
}

/// One answer to this call, and what it is.
fn judged(call: &Call, reply: anyhow::Result<Vec<Value>>) -> (Outcome, Option<String>) {
    let messages = match reply {
        Ok(messages) => messages,
        Err(error) => return (Outcome::Wrong, Some(format!("{error:#}"))),
    };
    let answers: Vec<&Value> = messages.iter().filter(|it| !it["id"].is_null()).collect();
    let words = || Some(Value::from(messages.clone()).to_string());
    let [answer] = answers[..] else {
        return (Outcome::Wrong, words());
    };
    if answer["id"] != call.id {
        return (Outcome::Wrong, words());
    }
    match answer["error"]["code"].as_i64() {
        None if call.tool.is_real(answer, &call.path) => (Outcome::Real, None),
        Some(BUSY) if answer["error"]["data"]["retryable"] == true => (Outcome::Busy, words()),
        Some(UNKNOWN) => (Outcome::Unknown, words()),
        _ => (Outcome::Wrong, words()),
    }
}

impl Books {
    pub(crate) fn count(&self, outcome: Outcome) -> usize {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.outcome == outcome).count()
    }

    /// The time until the first real result after a moment.
    pub(crate) fn served_after(&self, moment: Instant) -> Duration {
        let real = self.entries.iter().filter(|it| it.outcome == Outcome::Real);
        let after = real.filter(|it| it.ended > moment).map(|it| it.ended);
        let first = after.min().expect("no call is served any more");
        first - moment
    }

    /// The longest time without a real result from a moment on.
    pub(crate) fn longest_pause_after(&self, moment: Instant) -> Duration {
        let real = self.entries.iter().filter(|it| it.outcome == Outcome::Real);
        let after = real.map(|it| it.ended).filter(|ended| *ended > moment);
        let mut ends: Vec<Instant> = after.collect();
        ends.sort();
        let starts = std::iter::once(moment).chain(ends.iter().copied());
        let pauses = ends.iter().zip(starts).map(|(next, last)| *next - last);
        pauses.max().expect("no call is served any more")
    }

    /// The time within which 99 of 100 calls were answered.
    pub(crate) fn p99(&self) -> Duration {
        let times = self.entries.iter().map(|it| it.ended - it.sent);
        let mut times: Vec<Duration> = times.collect();
        times.sort();
        times[(times.len() * 99).div_ceil(100) - 1]
    }

    /// Fails unless every call had its one answer in time, every call that may run twice its real
    /// result, and no other call ran twice.
    pub(crate) fn balance(&self, deadline: Duration, target: &Target, allowed: Allowed) {
        assert!(!self.entries.is_empty(), "nothing was called");
        let is_faulty = |entry: &&Entry| {
            let is_once = entry.tool == Tool::Once;
            let n_runs = target.times(&entry.path);
            let is_late = entry.ended - entry.sent > deadline + GRACE;
            let is_fine = match entry.outcome {
                Outcome::Real => !is_once || n_runs == 1,
                Outcome::Busy => allowed.busy && (n_runs == 0 || (allowed.unheard && !is_once)),
                Outcome::Unknown => allowed.unknown && is_once && n_runs <= 1,
                Outcome::Wrong => false,
            };
            is_late || !is_fine
        };
        let faulty: Vec<&Entry> = self.entries.iter().filter(is_faulty).collect();
        for entry in faulty.iter().take(SHOWN) {
            let n_runs = target.times(&entry.path);
            let time = entry.ended - entry.sent;
            println!(
                "after {time:?} {} of {:?}, runs {n_runs}: {:?} {}",
                entry.path,
                entry.tool,
                entry.outcome,
                entry.words.as_deref().unwrap_or("the real result"),
            );
        }
        let (n_faulty, n_calls) = (faulty.len(), self.entries.len());
        assert_eq!(n_faulty, 0, "of {n_calls} calls");
    }
}
