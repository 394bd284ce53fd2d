//! Claims of both ends, put together.

use std::collections::{BTreeSet, HashMap};

use super::claims::Claim;
use super::graph::{Evidence, EvidenceKind};

/// One end of a cable: a machine, and its interface as far as it is known.
pub(super) type End = (usize, Option<String>);

/// A cable and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cable {
    pub(super) a: End,
    pub(super) b: End,
    pub(super) evidence: BTreeSet<(EvidenceKind, usize)>,
}

/// The cables that the claims are about.
///
/// A claim that names both interfaces as their machines do is about that cable. Another one is
/// about the cable from the same interface to the same machine, if there is one: a neighbour's
/// words for its port need not be those that its own tables have.
pub(super) fn cables(claims: Vec<Claim>) -> Vec<Cable> {
    let mut cables = Cables::default();
    let (exact, vague): (Vec<Claim>, Vec<Claim>) = claims.into_iter().partition(|it| it.is_exact);
    for claim in exact {
        let near = (claim.from, Some(claim.interface.clone()));
        let far = (claim.to, claim.to_interface.clone());
        let same = cables.by_ends.get(&(near, far)).copied();
        cables.hear(same, &claim);
    }
    for claim in vague {
        let near = (claim.from, Some(claim.interface.clone()));
        let same = cables.by_far_machine.get(&(near, claim.to)).copied();
        cables.hear(same, &claim);
    }
    cables.all
}

/// Cables, and which of them are known by what, from either end.
#[derive(Debug, Default)]
struct Cables {
    all: Vec<Cable>,
    by_ends: HashMap<(End, End), usize>,
    /// The first one from an end to a machine.
    by_far_machine: HashMap<(End, usize), usize>,
}

impl Cables {
    /// Adds what a claim says to a cable, or a new cable.
    fn hear(&mut self, cable: Option<usize>, claim: &Claim) {
        if let Some(cable) = cable.and_then(|number| self.all.get_mut(number)) {
            cable.hear(claim);
            return;
        }
        let (number, cable) = (self.all.len(), Cable::of(claim));
        for (near, far) in [(&cable.a, &cable.b), (&cable.b, &cable.a)] {
            let ends = (near.clone(), far.clone());
            self.by_ends.entry(ends).or_insert(number);
            let to_machine = (near.clone(), far.0);
            self.by_far_machine.entry(to_machine).or_insert(number);
        }
        self.all.push(cable);
    }
}

impl Cable {
    fn of(claim: &Claim) -> Self {
        Self {
            a: (claim.from, Some(claim.interface.clone())),
            b: (claim.to, claim.to_interface.clone()),
            evidence: BTreeSet::from([(claim.evidence, claim.from)]),
        }
    }

    fn hear(&mut self, claim: &Claim) {
        self.evidence.insert((claim.evidence, claim.from));
    }

    /// How sure it is, from 0 to 1.
    pub(super) fn confidence(&self) -> f64 {
        let says = |end: usize| {
            let spoken = [EvidenceKind::Lldp, EvidenceKind::Cdp];
            spoken
                .iter()
                .any(|kind| self.evidence.contains(&(*kind, end)))
        };
        let is_forwarded = || {
            self.evidence
                .iter()
                .any(|(kind, _)| *kind == EvidenceKind::Forwarding)
        };
        match (says(self.a.0), says(self.b.0)) {
            (true, true) => 1.0,
            (true, false) | (false, true) => 0.8,
            (false, false) if is_forwarded() => 0.5,
            (false, false) => 0.2,
        }
    }

    pub(super) fn told(&self, id: impl Fn(usize) -> String) -> Vec<Evidence> {
        let evidence = self.evidence.iter().map(|(kind, from)| Evidence {
            kind: *kind,
            seen_by: id(*from),
        });
        evidence.collect()
    }
}
