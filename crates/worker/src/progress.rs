use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Steps that wait for a slow caller; later ones take the place of the last.
const CAPACITY: usize = 16;

/// How far a call has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) done: f64,
    pub(crate) total: Option<f64>,
    pub(crate) message: String,
}

/// Steps of one call on their way from the tool to the caller: in order, growing, bounded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Step>,
    last: Option<Step>,
}

impl Progress {
    /// Takes a step without ever blocking. One that does not go beyond the last is left
    /// out, because progress must grow (MCP 2026-07-28, "Progress").
    pub(crate) fn push(&self, step: Step) {
        let mut state = self.lock();
        let grows = state.last.as_ref().is_none_or(|last| step.done > last.done);
        if !step.done.is_finite() || !grows {
            return;
        }
        state.last = Some(step.clone());
        if state.waiting.len() == CAPACITY {
            state.waiting.pop_back();
        }
        state.waiting.push_back(step);
        drop(state);
        self.shared.news.notify_one();
    }

    /// The next step; waits for one. Cancel-safe.
    pub(crate) async fn next(&self) -> Step {
        loop {
            if let Some(step) = self.try_next() {
                return step;
            }
            self.shared.news.notified().await;
        }
    }

    /// The next step, if one waits.
    pub(crate) fn try_next(&self) -> Option<Step> {
        self.lock().waiting.pop_front()
    }

    /// The last step taken, sent or not.
    pub(crate) fn last(&self) -> Option<Step> {
        self.lock().last.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing panics while the lock is held, so the state is whole even then.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(done: f64) -> Step {
        Step {
            done,
            total: None,
            message: String::new(),
        }
    }

    #[test]
    fn only_growing_progress_is_told() {
        let progress = Progress::default();
        for done in [1.0, 1.0, 0.5, f64::NAN, f64::INFINITY, 2.0] {
            progress.push(step(done));
        }
        assert_eq!(progress.try_next(), Some(step(1.0)));
        assert_eq!(progress.try_next(), Some(step(2.0)));
        assert_eq!(progress.try_next(), None);
    }

    #[test]
    fn a_slow_caller_gets_the_newest_step_last() {
        let progress = Progress::default();
        for done in 0..1000 {
            progress.push(step(f64::from(done)));
        }
        let told: Vec<Step> = std::iter::from_fn(|| progress.try_next()).collect();
        assert_eq!(told.len(), CAPACITY);
        assert_eq!(told.last(), Some(&step(999.0)));
        assert!(told.is_sorted_by(|a, b| a.done < b.done));
    }

    #[tokio::test]
    async fn a_step_wakes_who_waits_for_it() {
        let progress = Progress::default();
        let (next, ()) = tokio::join!(progress.next(), async { progress.push(step(1.0)) });
        assert_eq!(next, step(1.0));
    }
}
