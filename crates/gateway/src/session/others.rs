use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service::health::Component;
use tracing::warn;

use super::clock::Moment;

/// Most gateways with other keys that are remembered.
const MAX_STRANGERS: usize = 1000;

/// Finds out which other gateways have other keys, and says so: their sessions are unknown here,
/// or those of this gateway there.
#[derive(Debug)]
pub(super) struct Others {
    instance: String,
    keys: Vec<String>,
    /// When a gateway with other keys was last heard.
    strangers: Mutex<HashMap<String, Moment>>,
    health: Option<Component>,
}

impl Others {
    pub(super) fn new(instance: String, keys: Vec<String>, health: Option<Component>) -> Self {
        if let Some(health) = &health {
            health.up();
        }
        Self {
            instance,
            keys,
            strangers: Mutex::default(),
            health,
        }
    }

    /// Identifiers of this gateway's keys, the sealing one first.
    pub(super) fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Notes the keys of another gateway.
    pub(super) fn note(&self, sender: &str, keys: &[String], now: Moment) {
        let knows = |keys: &[String], of: &[String]| of.first().is_some_and(|it| keys.contains(it));
        let mut strangers = self.strangers();
        let is_new = if knows(&self.keys, keys) && knows(keys, &self.keys) {
            strangers.remove(sender);
            false
        } else {
            let has_room = strangers.len() < MAX_STRANGERS || strangers.contains_key(sender);
            has_room && strangers.insert(sender.to_owned(), now).is_none()
        };
        if is_new {
            warn!(
                gateway = self.instance,
                other = sender,
                "the two gateways seal with keys that the other one does not have, so not each \
                 serves the sessions of the other: set the same SESSION_KEY at both"
            );
        }
        self.report(&strangers);
    }

    /// Forgets gateways that were not heard for so long.
    pub(super) fn expire(&self, now: Moment, silence: Duration) {
        let mut strangers = self.strangers();
        strangers.retain(|_, heard| heard.until(now) < silence);
        self.report(&strangers);
    }

    fn report(&self, strangers: &HashMap<String, Moment>) {
        let Some(health) = &self.health else { return };
        match strangers.keys().min() {
            None => health.up(),
            Some(first) => health.down(format!(
                "{} other gateways, {first} for one, have other keys: set the same SESSION_KEY at \
                 all",
                strangers.len()
            )),
        }
    }

    fn strangers(&self) -> MutexGuard<'_, HashMap<String, Moment>> {
        self.strangers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use service::Health;
    use service::health::Status;

    use super::super::clock::Clock;
    use super::*;

    fn keys(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_with_other_keys_is_reported_until_it_is_gone() {
        let clock = Clock::steady();
        let health = Health::default();
        let component = health.optional_component("session-keys");
        let others = Others::new("me".to_owned(), keys(&["a", "b"]), Some(component));
        let status = || health.report().components["session-keys"].clone();
        let check = |ids: &[&str], expected: Status| {
            others.note("other", &keys(ids), clock.now());
            assert_eq!(status().status, expected, "{ids:?}");
        };
        check(&["a", "b"], Status::Up);
        check(&["b", "a"], Status::Up);
        check(&["a"], Status::Up);
        // It could not open what is sealed here, or the other way round.
        for ids in [&["b"][..], &["c", "a"], &["c"], &[]] {
            check(ids, Status::Down);
            assert!(status().reason.unwrap().contains("SESSION_KEY"));
            assert!(health.is_ready(), "it serves its own sessions");
        }
        check(&["b", "a"], Status::Up);
        check(&["c"], Status::Down);
        tokio::time::advance(Duration::from_secs(10)).await;
        others.expire(clock.now(), Duration::from_secs(11));
        assert_eq!(status().status, Status::Down);
        others.expire(clock.now(), Duration::from_secs(10));
        assert_eq!(status().status, Status::Up);
    }
}
