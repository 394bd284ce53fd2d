use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::BusState;

/// The states of all publishers, and what they make together.
#[derive(Debug)]
pub(super) struct States {
    each: Mutex<Vec<BusState>>,
    together: watch::Sender<BusState>,
}

impl States {
    /// So many publishers, none of which is connected.
    pub(super) fn of(publishers: usize) -> Self {
        Self {
            each: Mutex::new(vec![BusState::Disconnected; publishers]),
            together: watch::Sender::default(),
        }
    }

    pub(super) fn together(&self) -> watch::Receiver<BusState> {
        self.together.subscribe()
    }

    /// The broker's reason, while it is blocked. An alarm is the broker's, or the whole cluster's,
    /// so what one publisher has been told is true for all.
    pub(super) fn blocked(&self) -> Option<String> {
        match &*self.together.borrow() {
            BusState::Blocked(reason) => Some(reason.to_string()),
            _ => None,
        }
    }

    pub(super) fn set(&self, publisher: usize, state: BusState) {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = each.get_mut(publisher) {
            *old = state;
        }
        let together = worst(&each);
        self.together.send_if_modified(|old| {
            let is_new = *old != together;
            *old = together;
            is_new
        });
    }
}

/// A blocked publisher says more of the broker than one that is connecting.
fn worst(each: &[BusState]) -> BusState {
    let rank = |state: &&BusState| match state {
        BusState::Connected => 0,
        BusState::Disconnected => 1,
        BusState::Blocked(_) => 2,
    };
    each.iter().max_by_key(rank).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_is_as_well_as_the_worst_of_its_publishers() {
        let blocked = || BusState::Blocked("low on memory".into());
        let states = States::of(2);
        let together = states.together();
        let check = |publisher, state, expected: BusState| {
            states.set(publisher, state);
            assert_eq!(*together.borrow(), expected);
        };
        check(0, BusState::Connected, BusState::Disconnected);
        check(1, BusState::Connected, BusState::Connected);
        check(0, blocked(), blocked());
        check(1, BusState::Disconnected, blocked());
        assert_eq!(states.blocked().as_deref(), Some("low on memory"));
        check(0, BusState::Connected, BusState::Disconnected);
        assert_eq!(states.blocked(), None);
    }
}
