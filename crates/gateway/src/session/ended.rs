use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::clock::Moment;

/// Most sessions that are remembered as ended; about 100 MB.
const MAX_MARKS: usize = 1_000_000;

/// The sessions that their clients ended, until their tokens expire.
///
/// Beyond a million the mark goes whose token would expire first: that session is open again
/// until then, for whoever has its token.
#[derive(Debug)]
pub(super) struct Ended {
    marks: HashMap<Uuid, Mark>,
    by_expiry: BTreeSet<(u64, Uuid)>,
    most: usize,
}

#[derive(Debug)]
struct Mark {
    /// In milliseconds since the Unix epoch.
    expires: u64,
    learnt: Moment,
}

impl Default for Ended {
    fn default() -> Self {
        Self {
            marks: HashMap::new(),
            by_expiry: BTreeSet::new(),
            most: MAX_MARKS,
        }
    }
}

impl Ended {
    pub(super) fn contains(&self, id: Uuid) -> bool {
        self.marks.contains_key(&id)
    }

    /// Remembers a session; false when it was remembered already.
    pub(super) fn insert(&mut self, id: Uuid, expires: u64, learnt: Moment) -> bool {
        if self.contains(id) {
            return false;
        }
        self.marks.insert(id, Mark { expires, learnt });
        self.by_expiry.insert((expires, id));
        while self.by_expiry.len() > self.most {
            self.forget_first();
        }
        true
    }

    /// Forgets the sessions whose tokens have expired.
    pub(super) fn prune(&mut self, unix_ms: u64) {
        while self
            .by_expiry
            .first()
            .is_some_and(|(expires, _)| *expires <= unix_ms)
        {
            self.forget_first();
        }
    }

    /// What was learnt since a moment, with the expiry of the tokens.
    pub(super) fn since(&self, moment: Option<Moment>) -> impl Iterator<Item = (Uuid, u64)> {
        self.marks
            .iter()
            .filter(move |(_, mark)| moment.is_none_or(|moment| mark.learnt >= moment))
            .map(|(id, mark)| (*id, mark.expires))
    }

    fn forget_first(&mut self) {
        if let Some((_, id)) = self.by_expiry.pop_first() {
            self.marks.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::Clock;
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[tokio::test]
    async fn a_mark_is_kept_until_its_token_expires() {
        let now = Clock::steady().now();
        let mut ended = Ended::default();
        assert!(ended.insert(id(1), 100, now));
        assert!(!ended.insert(id(1), 200, now), "once is enough");
        ended.insert(id(2), 300, now);
        ended.prune(99);
        assert!(ended.contains(id(1)) && ended.contains(id(2)));
        ended.prune(100);
        assert!(!ended.contains(id(1)) && ended.contains(id(2)));
        assert_eq!(ended.since(None).collect::<Vec<_>>(), [(id(2), 300)]);
    }

    #[tokio::test]
    async fn beyond_the_bound_the_mark_goes_that_expires_first() {
        let now = Clock::steady().now();
        let mut ended = Ended {
            most: 2,
            ..Ended::default()
        };
        for (number, expires) in [(1, 300), (2, 100), (3, 200)] {
            ended.insert(id(number), expires, now);
        }
        let left: BTreeSet<u64> = ended.since(None).map(|(_, expires)| expires).collect();
        assert_eq!(left, BTreeSet::from([200, 300]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_learnt_before_is_left_out() {
        let clock = Clock::steady();
        let mut ended = Ended::default();
        ended.insert(id(1), 100, clock.now());
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        ended.insert(id(2), 200, clock.now());
        let recent: Vec<_> = ended.since(Some(clock.now())).collect();
        assert_eq!(recent, [(id(2), 200)]);
    }
}
