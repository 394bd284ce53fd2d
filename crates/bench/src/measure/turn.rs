//! One turn of one contestant: a few seconds of load, and what they cost.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::usage;
use crate::load::{Load, Pace, Window};

/// Time under load before a turn counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// Whose processor time belongs to a contestant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Processes {
    /// The node of the broker, with all that it has started.
    pub(crate) broker: Option<u32>,
    /// What is measured.
    pub(crate) own: Vec<u32>,
    /// What makes the calls and is not measured.
    pub(crate) generator: Option<u32>,
}

/// Processor time so far.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    broker: Duration,
    own: Duration,
    generator: Duration,
}

/// What a turn showed, and the failures while it warmed up; processor time in microseconds per
/// call.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) window: Window,
    pub(crate) broker: f64,
    pub(crate) own: f64,
    pub(crate) generator: f64,
}

impl Processes {
    fn used(&self) -> Result<Used> {
        let mut used = Used::default();
        if let Some(pid) = self.broker {
            used.broker = usage::cpu_of_tree(pid)?;
        }
        for &pid in &self.own {
            used.own += usage::cpu(pid)?;
        }
        if let Some(pid) = self.generator {
            used.generator = usage::cpu(pid)?;
        }
        Ok(used)
    }
}

impl Turn {
    /// Puts load on a contestant and lets it rest afterwards.
    pub(crate) async fn take(
        load: &mut Load,
        pace: Pace,
        length: Duration,
        processes: &Processes,
    ) -> Result<Self> {
        load.begin(pace).await?;
        sleep(WARM_UP).await;
        let before = processes.used()?;
        let warm_up = load.mark().await?;
        sleep(length).await;
        let after = processes.used()?;
        let mut window = load.mark().await?;
        window.errors += warm_up.errors;
        window.first_error = warm_up.first_error.or(window.first_error);
        load.pause().await?;
        let per_call = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() / window.rate() / window.length.as_secs_f64()
                * 1e6
        };
        Ok(Self {
            broker: per_call(before.broker, after.broker),
            own: per_call(before.own, after.own),
            generator: per_call(before.generator, after.generator),
            window,
        })
    }

    /// The same, where every call has to succeed.
    pub(crate) async fn take_clean(
        load: &mut Load,
        pace: Pace,
        length: Duration,
        processes: &Processes,
    ) -> Result<Self> {
        let turn = Self::take(load, pace, length, processes).await?;
        let Window {
            calls,
            errors,
            first_error,
            ..
        } = &turn.window;
        ensure!(
            *errors == 0 && *calls > 0,
            "{errors} calls failed, {calls} did not: {}",
            first_error.as_deref().unwrap_or("no call ended")
        );
        Ok(turn)
    }
}
