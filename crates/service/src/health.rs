//! How a process is, and the HTTP routes that tell.
//!
//! *Healthy* is one whose required components are up; *ready* one that is healthy and does not
//! shut down; *live* one whose loops turn, whatever it can reach. A component that is registered
//! is down until it says that it is up.

mod http;
mod pulse;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

pub use http::{router, serve};
use pulse::Pulses;
pub use pulse::{LONGEST_TURN, Liveness, Pulse, Stuck};

/// The health of one process. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
    pulses: Pulses,
}

/// One dependency, as the part of the process that knows it sees it. Clones share their state.
#[derive(Clone, Debug)]
pub struct Component {
    health: Health,
    name: String,
}

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It works.
    Up,
    /// It does not work, or has not said yet that it does.
    Down,
}

/// What `/health` answers. It holds no configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Down if a required component is.
    pub status: Status,
    /// Whether the process is shutting down and takes no new work.
    pub draining: bool,
    /// The components by name.
    pub components: BTreeMap<String, ComponentReport>,
    /// The categories by name, where the process watches their queues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub categories: Option<BTreeMap<String, CategoryReport>>,
}

/// What `/health` says about the calls of one category. It decides nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CategoryReport {
    /// Worker processes that have announced themselves and are not silent.
    pub workers: usize,
    /// Consumers of the work queue; `None` while the broker does not say.
    pub consumers: Option<u32>,
    /// Messages that wait in the work queue; `None` while the broker does not say.
    pub depth: Option<u32>,
    /// The longest that the oldest of them can have waited, in milliseconds; `None` where none
    /// waits, or nothing is known of those that do.
    pub oldest_message_age_ms: Option<u64>,
    /// Whole seconds since a call of the category through this process had a result that is no
    /// error; `None` where none ever had.
    pub last_success_seconds_ago: Option<u64>,
}

/// What `/health` says about a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentReport {
    /// Up or down.
    pub status: Status,
    /// Whether the process cannot serve without it.
    pub required: bool,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whole seconds since its status changed.
    pub for_seconds: u64,
}

#[derive(Debug, Default)]
struct State {
    draining: bool,
    components: BTreeMap<String, ComponentState>,
    categories: Option<BTreeMap<String, CategoryReport>>,
}

#[derive(Debug)]
struct ComponentState {
    required: bool,
    /// Why the component is down; `None` while it is up.
    down: Option<String>,
    changed: Instant,
}

impl Health {
    /// Registers a component without which the process cannot serve; down at first. A name that is
    /// registered already starts anew.
    #[must_use]
    pub fn component(&self, name: impl Into<String>) -> Component {
        self.register(name.into(), true)
    }

    /// Registers a component that is reported and does not decide.
    #[must_use]
    pub fn optional_component(&self, name: impl Into<String>) -> Component {
        self.register(name.into(), false)
    }

    /// Says what the process has just seen of every category's calls.
    pub fn set_categories(&self, categories: BTreeMap<String, CategoryReport>) {
        self.state().categories = Some(categories);
    }

    /// Watches a loop: the process is not live any more when it takes longer than this for a
    /// turn, [`LONGEST_TURN`] as a rule.
    #[must_use]
    pub fn pulse(&self, name: impl Into<String>, longest: Duration) -> Pulse {
        self.pulses.begin(name.into(), longest)
    }

    /// Whether the loops of the process turn.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        self.pulses.liveness()
    }

    /// Says that the process is shutting down: from now on it is not ready.
    pub fn drain(&self) {
        self.state().draining = true;
    }

    /// The state of the process and of every component.
    #[must_use]
    pub fn report(&self) -> Report {
        let state = self.state();
        let is_down = |component: &ComponentState| component.required && component.down.is_some();
        let down = state.components.values().any(is_down);
        Report {
            status: if down { Status::Down } else { Status::Up },
            draining: state.draining,
            components: state
                .components
                .iter()
                .map(|(name, component)| (name.clone(), component.report()))
                .collect(),
            categories: state.categories.clone(),
        }
    }

    /// Whether new work may be sent to this process.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let report = self.report();
        report.status == Status::Up && !report.draining
    }

    fn register(&self, name: String, required: bool) -> Component {
        let component = ComponentState {
            required,
            down: Some("starting".to_owned()),
            changed: Instant::now(),
        };
        self.state().components.insert(name.clone(), component);
        Component {
            health: self.clone(),
            name,
        }
    }

    /// No code panics while it holds the lock, and the state is valid at every point anyway.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Component {
    /// Says that the component works.
    pub fn up(&self) {
        if self.set(None) {
            tracing::info!(component = %self.name, "up");
        }
    }

    /// Says that the component does not work, and why, in words for an operator and without
    /// secrets.
    pub fn down(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.set(Some(reason.clone())) {
            // What goes down while the process ends is no fault.
            if self.health.state().draining {
                tracing::info!(component = %self.name, reason, "down");
            } else {
                tracing::warn!(component = %self.name, reason, "down");
            }
        }
    }

    /// Whether the status changed; a new reason alone does not count.
    fn set(&self, down: Option<String>) -> bool {
        let mut state = self.health.state();
        let Some(component) = state.components.get_mut(&self.name) else {
            return false;
        };
        let changed = component.down.is_some() != down.is_some();
        if changed {
            component.changed = Instant::now();
        }
        component.down = down;
        changed
    }
}

impl ComponentState {
    fn report(&self) -> ComponentReport {
        ComponentReport {
            status: if self.down.is_some() {
                Status::Down
            } else {
                Status::Up
            },
            required: self.required,
            reason: self.down.clone(),
            for_seconds: self.changed.elapsed().as_secs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_down_until_it_is_up() {
        let health = Health::default();
        let broker = health.component("broker");
        assert_eq!(
            health.report().components["broker"].reason.as_deref(),
            Some("starting")
        );
        assert!(!health.is_ready());
        broker.up();
        assert!(health.is_ready());
    }

    #[test]
    fn a_required_component_decides_and_an_optional_one_does_not() {
        let health = Health::default();
        let broker = health.component("broker");
        let receiver = health.optional_component("icmp");
        broker.up();
        receiver.down("no capability");
        assert_eq!(health.report().status, Status::Up);
        broker.down("connection refused");
        assert_eq!(health.report().status, Status::Down);
    }

    #[test]
    fn a_draining_process_is_up_and_not_ready() {
        let health = Health::default();
        health.drain();
        assert_eq!(health.report().status, Status::Up);
        assert!(!health.is_ready());
    }

    #[test]
    fn the_report_has_status_reason_and_time() {
        let health = Health::default();
        health.component("broker").down("connection refused");
        let report = serde_json::to_string(&health.report()).unwrap();
        assert_eq!(
            report,
            r#"{"status":"down","draining":false,"components":{"broker":{"status":"down","required":true,"reason":"connection refused","for_seconds":0}}}"#
        );
    }
}
