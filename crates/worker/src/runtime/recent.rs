use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Entries by name that are forgotten after some time, or when too many newer ones come.
#[derive(Debug)]
pub(super) struct Recent<V> {
    capacity: usize,
    keep: Duration,
    entries: HashMap<String, V>,
    order: VecDeque<(Instant, String)>,
}

impl<V> Recent<V> {
    pub(super) fn new(capacity: usize, keep: Duration) -> Self {
        Self {
            capacity,
            keep,
            entries: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The entry of a name, made now if there is none. Its age counts from when it was made.
    pub(super) fn entry(&mut self, name: &str, make: impl FnOnce() -> V) -> &mut V {
        self.forget();
        if !self.entries.contains_key(name) {
            if self.order.len() == self.capacity
                && let Some((_, oldest)) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
            self.order.push_back((Instant::now(), name.to_owned()));
        }
        self.entries.entry(name.to_owned()).or_insert_with(make)
    }

    pub(super) fn get(&mut self, name: &str) -> Option<&V> {
        self.forget();
        self.entries.get(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn forget(&mut self) {
        while self
            .order
            .front()
            .is_some_and(|(made, _)| made.elapsed() > self.keep)
        {
            if let Some((_, name)) = self.order.pop_front() {
                self.entries.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn entries_are_forgotten_after_their_time() {
        let mut recent = Recent::new(10, Duration::from_mins(1));
        recent.entry("a", || 1);
        tokio::time::advance(Duration::from_secs(40)).await;
        *recent.entry("a", || 9) += 1;
        recent.entry("b", || 2);
        assert_eq!(recent.get("a"), Some(&2));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(recent.get("a"), None);
        assert_eq!(recent.get("b"), Some(&2));
    }

    #[tokio::test]
    async fn the_oldest_entry_makes_room() {
        let mut recent = Recent::new(2, Duration::from_mins(1));
        for name in ["a", "b", "a", "c"] {
            recent.entry(name, || ());
        }
        assert_eq!(recent.get("a"), None);
        assert!(recent.get("b").is_some() && recent.get("c").is_some());
        assert_eq!(recent.order.len(), recent.entries.len());
    }
}
