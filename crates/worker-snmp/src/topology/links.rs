//! Claims of both ends, put together.

use std::collections::BTreeSet;

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
    let mut cables: Vec<Cable> = Vec::new();
    let (exact, vague): (Vec<Claim>, Vec<Claim>) = claims.into_iter().partition(|it| it.is_exact);
    for claim in exact {
        let near = (claim.from, Some(claim.interface.clone()));
        let far = (claim.to, claim.to_interface.clone());
        let same = |it: &&mut Cable| it.joins(&near, &far);
        match cables.iter_mut().find(same) {
            Some(cable) => cable.hear(&claim),
            None => cables.push(Cable::of(&claim)),
        }
    }
    for claim in vague {
        let near = (claim.from, Some(claim.interface.clone()));
        let same = |it: &&mut Cable| it.other_end(&near).is_some_and(|far| far.0 == claim.to);
        match cables.iter_mut().find(same) {
            Some(cable) => cable.hear(&claim),
            None => cables.push(Cable::of(&claim)),
        }
    }
    cables
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

    fn joins(&self, one: &End, other: &End) -> bool {
        (&self.a, &self.b) == (one, other) || (&self.a, &self.b) == (other, one)
    }

    fn other_end(&self, end: &End) -> Option<&End> {
        match (&self.a == end, &self.b == end) {
            (true, _) => Some(&self.b),
            (_, true) => Some(&self.a),
            _ => None,
        }
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
