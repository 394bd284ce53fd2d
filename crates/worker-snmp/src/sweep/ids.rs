//! By which identifier each address is asked.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

/// An identifier for each address, drawn at random: whoever knows the one that it was asked with
/// cannot say what any other address answers.
#[derive(Debug)]
pub(super) struct Ids {
    ids: Vec<i32>,
    index_of: HashMap<i32, usize>,
}

impl Ids {
    /// Identifiers of 31 bits for this many addresses, each of them once.
    pub(super) fn draw(n_addresses: usize) -> Self {
        let mut drawn = Self {
            ids: Vec::with_capacity(n_addresses + 1),
            index_of: HashMap::with_capacity(n_addresses + 1),
        };
        while drawn.ids.len() < n_addresses {
            // The bits that are not random are the lowest of the first half and the highest two of
            // the second (RFC 9562, section 5.4).
            let (first, second) = Uuid::new_v4().as_u64_pair();
            for random in [first >> 33, (second << 2) >> 33] {
                drawn.add(i32::try_from(random).unwrap_or_default());
            }
        }
        drawn
    }

    fn add(&mut self, id: i32) {
        if let Entry::Vacant(place) = self.index_of.entry(id) {
            place.insert(self.ids.len());
            self.ids.push(id);
        }
    }

    /// The identifier of the address of this number.
    pub(super) fn of(&self, index: usize) -> Option<i32> {
        self.ids.get(index).copied()
    }

    /// The number of the address that was asked with this identifier.
    pub(super) fn index(&self, id: i32) -> Option<usize> {
        self.index_of.get(&id).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_identifier_follows_from_another() {
        let ids = Ids::draw(65_536);
        let all: Vec<i32> = (0..65_536).map(|index| ids.of(index).unwrap()).collect();
        assert!(all.iter().all(|id| *id >= 0));
        assert!((0..65_536).all(|index| ids.index(all[index]) == Some(index)));
        let steps: HashSet<i32> = all
            .windows(2)
            .map(|pair| pair[1].wrapping_sub(pair[0]))
            .collect();
        assert!(steps.len() > 60_000, "{}", steps.len());
    }
}
