use std::collections::{HashSet, VecDeque};

use protocol::Change;

use super::{Heard, News};

/// What one listener wants to be told of.
pub(super) trait Interest: Sync {
    fn wants(&self, change: &Change) -> bool;

    /// Every change that it may have missed.
    fn everything(&self) -> Vec<Change>;
}

/// News on their way to one listener: what waits together is told once, in the order in which
/// it came.
///
/// At most what the hub holds back and what the listener is interested in waits here, because
/// nothing more is taken from the hub before all of it is told.
#[derive(Debug)]
pub(super) struct Inbox {
    news: News,
    order: VecDeque<Change>,
    waiting: HashSet<Change>,
}

impl Inbox {
    pub(super) fn new(news: News) -> Self {
        Self {
            news,
            order: VecDeque::new(),
            waiting: HashSet::new(),
        }
    }

    /// Takes note that anything may have changed before.
    pub(super) fn missed(&mut self, interest: &impl Interest) {
        self.take(Heard::Missed, interest);
    }

    /// The next change to be told; `None` when there will be no more. Cancel safe.
    pub(super) async fn next(&mut self, interest: &impl Interest) -> Option<Change> {
        loop {
            while let Some(change) = self.order.pop_front() {
                self.waiting.remove(&change);
                // A session may have lost its interest meanwhile.
                if interest.wants(&change) {
                    return Some(change);
                }
            }
            let first = self.news.next().await?;
            self.take(first, interest);
            while let Some(heard) = self.news.ready() {
                self.take(heard, interest);
            }
        }
    }

    fn take(&mut self, heard: Heard, interest: &impl Interest) {
        match heard {
            Heard::Change(change) if interest.wants(&change) => self.add(change),
            Heard::Change(_) => {}
            Heard::Missed => interest
                .everything()
                .into_iter()
                .for_each(|change| self.add(change)),
        }
    }

    fn add(&mut self, change: Change) {
        if self.waiting.insert(change.clone()) {
            self.order.push_back(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hub;
    use super::*;

    struct Resources(Vec<&'static str>);

    impl Interest for Resources {
        fn wants(&self, change: &Change) -> bool {
            self.everything().contains(change)
        }

        fn everything(&self) -> Vec<Change> {
            self.0.iter().map(|uri| updated(uri)).collect()
        }
    }

    fn updated(uri: &str) -> Change {
        Change::ResourceUpdated {
            uri: uri.to_owned(),
        }
    }

    /// What is told of these changes; the hub is gone afterwards.
    async fn told(interest: &Resources, changes: impl IntoIterator<Item = Change>) -> Vec<Change> {
        let hub = Hub::new();
        let mut inbox = Inbox::new(hub.listen());
        changes.into_iter().for_each(|change| hub.tell(change));
        drop(hub);
        let mut told = Vec::new();
        while let Some(change) = inbox.next(interest).await {
            told.push(change);
        }
        assert!(inbox.waiting.is_empty());
        told
    }

    #[tokio::test]
    async fn a_burst_is_told_once_in_its_order_without_what_nobody_asked_for() {
        let interest = Resources(vec!["a", "b"]);
        let burst = ["b", "a", "c", "b", "b", "a"].map(updated);
        assert_eq!(told(&interest, burst).await, ["b", "a"].map(updated));
        assert_eq!(told(&interest, [Change::ToolsListChanged]).await, []);
    }

    #[tokio::test]
    async fn who_was_too_slow_is_told_of_everything_it_asked_for() {
        let interest = Resources(vec!["a", "b"]);
        let flood = (0..5_000).map(|number| updated(&number.to_string()));
        assert_eq!(told(&interest, flood).await, ["a", "b"].map(updated));
    }

    #[tokio::test]
    async fn a_change_after_the_telling_is_told_again() {
        let hub = Hub::new();
        let interest = Resources(vec!["a"]);
        let mut inbox = Inbox::new(hub.listen());
        for _ in 0..2 {
            hub.tell(updated("a"));
            assert_eq!(inbox.next(&interest).await, Some(updated("a")));
        }
        hub.begin();
        assert_eq!(inbox.next(&interest).await, Some(updated("a")));
    }
}
