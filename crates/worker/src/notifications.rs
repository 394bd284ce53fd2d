use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::LogLevel;
use serde_json::Value;
use tokio::sync::Notify;

/// Steps that wait for a slow caller; later ones take the place of the last.
const MAX_STEPS: usize = 16;
/// Log messages that wait for a slow caller; of more the oldest are dropped.
const MAX_LOGS: usize = 64;

/// What a call tells its caller before the answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Notification {
    Progress(Step),
    Log(Log),
    /// The call will be quiet for long.
    Detach,
}

/// How far a call has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) done: f64,
    pub(crate) total: Option<f64>,
    pub(crate) message: String,
}

/// A log message for the client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Log {
    pub(crate) level: LogLevel,
    pub(crate) logger: Option<String>,
    pub(crate) data: Value,
}

/// What the caller asked to be told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    pub(crate) progress: bool,
    /// The least severe level; none without it.
    pub(crate) log: Option<LogLevel>,
}

/// Notifications of one call on their way from the handler to the caller: in order, bounded,
/// and never in the handler's way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notifications {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    wanted: Wanted,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Notification>,
    last: Option<Step>,
    is_closed: bool,
}

impl Notifications {
    pub(crate) fn new(wanted: Wanted) -> Self {
        let shared = Shared {
            wanted,
            ..Shared::default()
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Takes a step. One that does not go beyond the last is left out, because progress must
    /// grow (MCP 2026-07-28, "Progress").
    pub(crate) fn progress(&self, step: Step) {
        let mut state = self.lock();
        let grows = state.last.as_ref().is_none_or(|last| step.done > last.done);
        if !step.done.is_finite() || !grows {
            return;
        }
        state.last = Some(step.clone());
        if self.shared.wanted.progress {
            state.make_room(MAX_STEPS, |waiting| {
                waiting
                    .iter()
                    .rposition(|other| matches!(other, Notification::Progress(_)))
            });
            self.push(state, Notification::Progress(step));
        }
    }

    /// Takes a log message, if the caller wants one of its level.
    pub(crate) fn log(&self, level: LogLevel, message: impl FnOnce() -> (Option<String>, Value)) {
        if self.shared.wanted.log.is_none_or(|least| level < least) {
            return;
        }
        let (logger, data) = message();
        let mut state = self.lock();
        state.make_room(MAX_LOGS, |waiting| {
            waiting
                .iter()
                .position(|other| matches!(other, Notification::Log(_)))
        });
        let log = Log {
            level,
            logger,
            data,
        };
        self.push(state, Notification::Log(log));
    }

    /// Says that the call will be quiet; once is enough while it waits to be said.
    pub(crate) fn detach(&self) {
        let state = self.lock();
        if !state.waiting.contains(&Notification::Detach) {
            self.push(state, Notification::Detach);
        }
    }

    /// Takes nothing more: what waits is the rest.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.shared.news.notify_one();
    }

    /// The next notification; waits for one. `None` after the rest. Cancel-safe.
    pub(crate) async fn next(&self) -> Option<Notification> {
        loop {
            {
                let mut state = self.lock();
                if let Some(notification) = state.waiting.pop_front() {
                    return Some(notification);
                }
                if state.is_closed {
                    return None;
                }
            }
            self.shared.news.notified().await;
        }
    }

    /// The last step taken, sent or not.
    pub(crate) fn last(&self) -> Option<Step> {
        self.lock().last.clone()
    }

    fn push(&self, mut state: MutexGuard<'_, State>, notification: Notification) {
        if !state.is_closed {
            state.waiting.push_back(notification);
            drop(state);
            self.shared.news.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so the state is whole even then.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the notification that `which` finds, if as many of its kind wait as may.
    fn make_room(&mut self, most: usize, which: impl Fn(&VecDeque<Notification>) -> Option<usize>) {
        let Some(position) = which(&self.waiting) else {
            return;
        };
        let kind = std::mem::discriminant(&self.waiting[position]);
        let of_kind = |other: &&Notification| std::mem::discriminant(*other) == kind;
        if self.waiting.iter().filter(of_kind).count() >= most {
            self.waiting.remove(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn all() -> Notifications {
        Notifications::new(Wanted {
            progress: true,
            log: Some(LogLevel::Info),
        })
    }

    fn step(done: f64) -> Step {
        Step {
            done,
            total: None,
            message: String::new(),
        }
    }

    fn log(notifications: &Notifications, level: LogLevel, data: impl Into<Value>) {
        let data = data.into();
        notifications.log(level, || (None, data));
    }

    /// What waits, in short.
    fn told(notifications: &Notifications) -> Vec<Value> {
        let next = || notifications.next().now_or_never().flatten();
        std::iter::from_fn(next)
            .map(|notification| match notification {
                Notification::Progress(step) => step.done.into(),
                Notification::Log(log) => log.data,
                Notification::Detach => "detach".into(),
            })
            .collect()
    }

    #[test]
    fn only_growing_progress_is_told() {
        let notifications = all();
        for done in [1.0, 1.0, 0.5, f64::NAN, f64::INFINITY, 2.0] {
            notifications.progress(step(done));
        }
        assert_eq!(told(&notifications), [1.0, 2.0]);
    }

    #[test]
    fn a_slow_caller_gets_the_newest_step_last() {
        let notifications = all();
        for done in 0..1000 {
            notifications.progress(step(f64::from(done)));
        }
        let told = told(&notifications);
        assert_eq!(told.len(), MAX_STEPS);
        assert_eq!(told.last(), Some(&999.0.into()));
        assert!(told.is_sorted_by(|a, b| a.as_f64() < b.as_f64()));
    }

    #[test]
    fn a_slow_caller_gets_the_newest_log_messages() {
        let notifications = all();
        for number in 0..1000 {
            log(&notifications, LogLevel::Info, number);
        }
        let expected: Vec<Value> = (1000 - MAX_LOGS..1000).map(Value::from).collect();
        assert_eq!(told(&notifications), expected);
    }

    #[test]
    fn all_kinds_keep_one_order() {
        let notifications = all();
        log(&notifications, LogLevel::Error, "a");
        notifications.progress(step(1.0));
        notifications.detach();
        notifications.detach();
        log(&notifications, LogLevel::Info, "b");
        let expected = [Value::from("a"), 1.0.into(), "detach".into(), "b".into()];
        assert_eq!(told(&notifications), expected);
    }

    #[test]
    fn what_the_caller_does_not_want_is_not_kept() {
        let notifications = all();
        log(&notifications, LogLevel::Debug, "too fine");
        assert!(told(&notifications).is_empty());
        let notifications = Notifications::default();
        log(&notifications, LogLevel::Emergency, "a");
        notifications.progress(step(1.0));
        assert!(told(&notifications).is_empty());
        assert_eq!(notifications.last(), Some(step(1.0)));
    }

    #[tokio::test]
    async fn a_notification_wakes_who_waits_for_it() {
        let notifications = all();
        let (next, ()) = tokio::join!(notifications.next(), async { notifications.detach() });
        assert_eq!(next, Some(Notification::Detach));
    }

    #[tokio::test]
    async fn after_the_rest_there_is_nothing() {
        let notifications = all();
        notifications.detach();
        notifications.close();
        notifications.progress(step(1.0));
        assert_eq!(notifications.next().await, Some(Notification::Detach));
        assert_eq!(notifications.next().await, None);
        assert_eq!(notifications.next().await, None);
    }
}
