//! How many calls a category and a client may have under way here, so that neither takes the
//! places of others: a flood of slow scans must not delay a ping.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::Category;
use protocol::response::RpcError;

use crate::busy::Busy;
use crate::caller_scope::CallerScope;

/// Most calls of one gateway that are under way at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one category.
    pub per_category: NonZeroU32,
    /// Of one client: of its session, its credentials or its address.
    pub per_client: NonZeroU32,
}

/// Counts the calls that are under way.
#[derive(Debug)]
pub(crate) struct Bulkhead {
    limits: Limits,
    hasher: RandomState,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    categories: HashMap<Category, u32>,
    clients: HashMap<u64, u32>,
}

/// The right of one call to be under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    bulkhead: Arc<Bulkhead>,
    category: Category,
    client: u64,
    is_with_client: bool,
}

impl Bulkhead {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            hasher: RandomState::new(),
            held: Mutex::default(),
        }
    }

    /// Takes a place for a call of this category by this client.
    ///
    /// # Errors
    /// Busy when the category or the client has as many as it may have.
    pub(crate) fn enter(
        self: &Arc<Self>,
        category: &Category,
        caller: &CallerScope<'_>,
        remote: Option<IpAddr>,
    ) -> Result<Place, RpcError> {
        let client = caller.client(remote, &self.hasher);
        let Limits {
            per_category,
            per_client,
        } = self.limits;
        let mut held = self.held();
        // The client first: one that is over its own limit is told so, whatever others do.
        if held.clients.get(&client) >= Some(&per_client.get()) {
            return Err(client_full(category, per_client));
        }
        if held.categories.get(category) >= Some(&per_category.get()) {
            return Err(category_full(category, per_category));
        }
        *held.clients.entry(client).or_default() += 1;
        *held.categories.entry(category.clone()).or_default() += 1;
        drop(held);
        Ok(Place {
            bulkhead: Arc::clone(self),
            category: category.clone(),
            client,
            is_with_client: false,
        })
    }

    /// No code panics while it holds the lock, and the counts are right at every point.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Gives the category's place back while the client is asked for input: people take their
    /// time, and no worker is at work. The client's own place stays taken.
    pub(crate) fn wait_for_client(&mut self) {
        if !std::mem::replace(&mut self.is_with_client, true) {
            leave(&mut self.bulkhead.held().categories, &self.category);
        }
    }

    /// Takes the category's place again, even beyond its limit: what people have answered must
    /// not be lost. How many such calls there are is bounded by the limits of clients.
    pub(crate) fn go_on(&mut self) {
        if std::mem::replace(&mut self.is_with_client, false) {
            let mut held = self.bulkhead.held();
            *held.categories.entry(self.category.clone()).or_default() += 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.bulkhead.held();
        leave(&mut held.clients, &self.client);
        if !self.is_with_client {
            leave(&mut held.categories, &self.category);
        }
    }
}

/// Counts one less; nothing is kept of who has none.
fn leave<K: Eq + Hash, S: BuildHasher>(counts: &mut HashMap<K, u32, S>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn category_full(category: &Category, most: NonZeroU32) -> RpcError {
    let message = format!(
        "this gateway has {most} calls of category {category} under way, which is its limit \
         (MAX_CALLS_PER_CATEGORY); try again when some have ended"
    );
    Busy::Category.error_of(category, message)
}

fn client_full(category: &Category, most: NonZeroU32) -> RpcError {
    let message = format!(
        "this client has {most} calls under way at this gateway, which is its limit \
         (MAX_CALLS_PER_CLIENT); wait for answers before calling again"
    );
    Busy::Client.error_of(category, message)
}

#[cfg(test)]
impl Default for Limits {
    fn default() -> Self {
        let settings = service::Settings::default();
        Self {
            per_category: settings.max_calls_per_category,
            per_client: settings.max_calls_per_client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::busy;

    fn bulkhead(per_category: u32, per_client: u32) -> Arc<Bulkhead> {
        let limit = |most| NonZeroU32::new(most).unwrap();
        Arc::new(Bulkhead::new(Limits {
            per_category: limit(per_category),
            per_client: limit(per_client),
        }))
    }

    /// Tries to take a place; the word of a refusal is its error.
    fn enter(bulkhead: &Arc<Bulkhead>, category: &str, client: &str) -> Result<Place, String> {
        let caller = CallerScope::Credentials(client.as_bytes());
        let place = bulkhead.enter(&category.parse().unwrap(), &caller, None);
        place.map_err(|error| busy::reason(&error).unwrap().to_owned())
    }

    fn is_empty(bulkhead: &Bulkhead) -> bool {
        let held = bulkhead.held();
        held.categories.is_empty() && held.clients.is_empty()
    }

    #[test]
    fn a_full_category_leaves_room_for_others() {
        let bulkhead = bulkhead(2, 9);
        let nmap = ["a", "b"].map(|client| enter(&bulkhead, "nmap", client).unwrap());
        assert_eq!(enter(&bulkhead, "nmap", "c").unwrap_err(), "category_limit");
        let ping = enter(&bulkhead, "network", "c").unwrap();
        drop(nmap);
        let again = enter(&bulkhead, "nmap", "c").unwrap();
        drop((ping, again));
        assert!(is_empty(&bulkhead));
    }

    #[test]
    fn one_client_cannot_take_everything() {
        let bulkhead = bulkhead(9, 2);
        let greedy = ["nmap", "network"].map(|name| enter(&bulkhead, name, "a").unwrap());
        assert_eq!(enter(&bulkhead, "snmp", "a").unwrap_err(), "client_limit");
        let modest = enter(&bulkhead, "snmp", "b").unwrap();
        drop(greedy);
        let again = enter(&bulkhead, "snmp", "a").unwrap();
        drop((modest, again));
        assert!(is_empty(&bulkhead));
    }

    #[test]
    fn a_call_that_waits_for_its_client_holds_the_clients_place_alone() {
        let bulkhead = bulkhead(1, 1);
        let mut first = enter(&bulkhead, "nmap", "a").unwrap();
        first.wait_for_client();
        first.wait_for_client();
        assert_eq!(enter(&bulkhead, "nmap", "a").unwrap_err(), "client_limit");
        let second = enter(&bulkhead, "nmap", "b").unwrap();
        // Its client has answered: that must not be lost.
        first.go_on();
        drop(second);
        assert_eq!(enter(&bulkhead, "nmap", "b").unwrap_err(), "category_limit");
        first.wait_for_client();
        drop(first);
        assert!(is_empty(&bulkhead));
    }
}
