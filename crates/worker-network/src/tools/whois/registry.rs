//! What registries say of domains, networks and autonomous systems, in common terms.

mod domain;
mod numbers;
#[cfg(test)]
mod tests;

pub(super) use domain::{Domain, speaks_of};
pub(super) use numbers::{AutonomousSystem, Network};

/// Most values of one list.
const MAX_VALUES: usize = 50;
/// Longest value in characters.
const MAX_VALUE: usize = 300;

const CREATED: [&str; 12] = [
    "creation date",
    "created",
    "created on",
    "created date",
    "registered on",
    "registered date",
    "registration date",
    "registration time",
    "domain registration date",
    "domain record activated",
    "registered",
    "regdate",
];
const UPDATED: [&str; 11] = [
    "updated date",
    "updated",
    "last updated",
    "last updated on",
    "last-update",
    "last modified",
    "last-modified",
    "last updated date",
    "modified",
    "changed",
    "domain record last updated",
];
const ABUSE: [&str; 5] = [
    "orgabuseemail",
    "abuse-mailbox",
    "registrar abuse contact email",
    "abuse contact email",
    "abuse contact",
];
/// Whether an answer says that nothing of that name is registered.
pub(super) fn says_absent(text: &str) -> bool {
    const PHRASES: [&str; 16] = [
        "no match",
        "not found",
        "no entries found",
        "no data found",
        "no object found",
        "no matching record",
        "nothing found",
        "not registered",
        "does not exist",
        "is available for registration",
        "is free",
        "no information available",
        "no such domain",
        "object not found",
        "status: free",
        "status: available",
    ];
    text.lines()
        .map(|line| {
            line.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .to_lowercase()
        })
        .any(|line| PHRASES.iter().any(|phrase| line.contains(phrase)))
}

fn bounded(value: &str) -> String {
    value.chars().take(MAX_VALUE).collect()
}
