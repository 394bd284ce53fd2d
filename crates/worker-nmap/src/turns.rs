//! Whose turn it is: so many scans at a time in this worker, and one at a time for each address.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::addresses::AddressSet;

/// The scans that run or wait.
///
/// Scans of the same address take turns, in the order in which they came: several callers who
/// scan one host burden it no more than one caller does. What is bounded is the number of calls a
/// worker takes, and each has one entry.
#[derive(Debug)]
pub(crate) struct Turns {
    queue: Mutex<Queue>,
    changed: Notify,
    places: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    /// In the order in which they came.
    scans: Vec<(u64, AddressSet)>,
}

/// The right to scan, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _place: Option<OwnedSemaphorePermit>,
    _entry: Entry,
}

#[derive(Debug)]
struct Entry {
    turns: Arc<Turns>,
    number: u64,
}

impl Turns {
    /// At most `places` scans at a time.
    pub(crate) fn new(places: usize) -> Self {
        Self {
            queue: Mutex::default(),
            changed: Notify::new(),
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// Waits until no earlier scan has an address in common with this one, and a place is free.
    /// Cancel-safe: who goes away leaves the queue.
    pub(crate) async fn wait(self: &Arc<Self>, addresses: &AddressSet) -> Turn {
        let entry = self.enter(addresses);
        loop {
            let changed = self.changed.notified();
            if self.lock().is_free(entry.number, addresses) {
                break;
            }
            changed.await;
        }
        // Who waits here for a place keeps nobody from one; it keeps its addresses, and those who
        // want them come later anyway.
        let place = Arc::clone(&self.places).acquire_owned().await;
        Turn {
            // Nobody closes the semaphore.
            _place: place.ok(),
            _entry: entry,
        }
    }

    /// Whether a scan of these addresses would have to wait for another one of them now.
    pub(crate) fn are_taken(&self, addresses: &AddressSet) -> bool {
        !self.lock().is_free(u64::MAX, addresses)
    }

    fn enter(self: &Arc<Self>, addresses: &AddressSet) -> Entry {
        let mut queue = self.lock();
        let number = queue.next;
        queue.next += 1;
        queue.scans.push((number, addresses.clone()));
        Entry {
            turns: Arc::clone(self),
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while the lock is held, so the queue is whole even then.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_free(&self, number: u64, addresses: &AddressSet) -> bool {
        let mut earlier = self.scans.iter().take_while(|(other, _)| *other < number);
        !earlier.any(|(_, other)| other.overlaps(addresses))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.turns
            .lock()
            .scans
            .retain(|(number, _)| *number != self.number);
        self.turns.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn set(network: &str) -> AddressSet {
        AddressSet::of([network.parse().unwrap()])
    }

    #[tokio::test]
    async fn scans_of_one_address_take_turns_in_the_order_they_came() {
        let turns = Arc::new(Turns::new(8));
        let (whole, host, other) = (set("10.0.0.0/24"), set("10.0.0.7/32"), set("10.0.1.7/32"));
        let first = turns.wait(&host).await;
        let mut second = Box::pin(turns.wait(&whole));
        assert!(second.as_mut().now_or_never().is_none());
        let mut third = Box::pin(turns.wait(&host));
        assert!(third.as_mut().now_or_never().is_none());
        let free = turns.wait(&other).now_or_never();
        assert!(free.is_some(), "another host need not wait");
        assert!(turns.are_taken(&host) && !turns.are_taken(&set("10.0.2.0/24")));
        drop(first);
        assert!(
            third.as_mut().now_or_never().is_none(),
            "the second was there before"
        );
        let second = second.now_or_never().unwrap();
        drop(second);
        assert!(third.now_or_never().is_some());
        drop(free);
        assert!(turns.lock().scans.is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_lets_the_next_one_go() {
        let turns = Arc::new(Turns::new(8));
        let host = set("10.0.0.7/32");
        let first = turns.wait(&host).await;
        let mut second = Box::pin(turns.wait(&host));
        let mut third = Box::pin(turns.wait(&host));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop((first, second));
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn there_are_so_many_places() {
        let turns = Arc::new(Turns::new(1));
        let (one, other) = (set("10.0.0.1/32"), set("10.0.0.2/32"));
        let first = turns.wait(&one).await;
        let mut second = Box::pin(turns.wait(&other));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert!(second.now_or_never().is_some());
    }
}
