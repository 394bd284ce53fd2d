//! A bounded number of inputs for the check.

use std::{fs, path::Path};

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::checks::token;

/// The inputs with which fuzzing of a target begins.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let files = fs::read_dir(folder.join(target)).unwrap();
    let seeds: Vec<Vec<u8>> = files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds
}

/// Arbitrary bytes, any text, and seeds with up to 8 bytes removed, inserted or overwritten.
fn inputs(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let edit = (
        any::<Index>(),
        0..2usize,
        prop_oneof![any::<u8>(), b' '..=b'~'],
    );
    let edits = proptest::collection::vec((edit, any::<bool>()), 0..=8);
    let near = (select(seeds(target)), edits).prop_map(|(mut input, edits)| {
        for ((index, n_removed, byte), is_inserted) in edits {
            let start = index.index(input.len() + 1);
            let end = (start + n_removed).min(input.len());
            input.splice(start..end, is_inserted.then_some(byte));
        }
        input
    });
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => any::<String>().prop_map(String::into_bytes),
        4 => near,
    ]
}

#[test]
fn every_seed_passes() {
    for seed in seeds("token") {
        token::check(&seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_token_is_opened_as_it_was_sealed_or_refused(input in inputs("token")) {
        token::check(&input);
    }
}
