use serde_json::value::to_raw_value;
use tokio::time::advance;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

fn table() -> Table {
    Table::new(Limits {
        answers: 3,
        bytes: 10_000,
        keep: 24 * HOUR,
        claims: 3,
    })
}

fn kept(text: &str) -> Kept {
    Kept {
        fingerprint: "f".to_owned(),
        body: Ok(to_raw_value(text).unwrap()),
    }
}

fn claim(id: &str, correlation_id: &str, is_own: bool) -> Entry {
    Entry {
        id: id.to_owned(),
        fingerprint: "f".to_owned(),
        correlation_id: correlation_id.to_owned(),
        deadline: 0,
        until: Instant::now() + HOUR,
        begun: false,
        is_own,
        marked: false,
    }
}

/// What is kept under a key, as JSON text.
fn answer(table: &mut Table, key: &str) -> Option<String> {
    match table.look(key, "other", false) {
        Look::Answered(kept) => Some(match &kept.body {
            Ok(result) => result.get().to_owned(),
            Err(error) => error.code.to_string(),
        }),
        _ => None,
    }
}

fn is_free(table: &mut Table, key: &str) -> bool {
    matches!(table.look(key, "other", false), Look::Free)
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_counts_for_a_day() {
    let mut table = table();
    table.keep("a", kept("one"), Duration::ZERO);
    table.keep("a", kept("two"), Duration::ZERO);
    assert_eq!(answer(&mut table, "a").unwrap(), "\"one\"");
    advance(24 * HOUR).await;
    assert!(answer(&mut table, "a").is_some());
    advance(Duration::from_millis(1)).await;
    assert!(is_free(&mut table, "a"));
    assert_eq!((table.bytes, table.order.len()), (0, 0));
}

#[tokio::test]
async fn the_oldest_answers_make_room() {
    let mut table = table();
    for key in ["a", "b", "c", "d"] {
        table.keep(key, kept("x"), Duration::ZERO);
    }
    assert!(is_free(&mut table, "a"));
    assert!(answer(&mut table, "b").is_some());
    table.keep("e", kept(&"x".repeat(9_500)), Duration::ZERO);
    assert!(is_free(&mut table, "d"));
    assert!(answer(&mut table, "e").is_some());
    assert!(table.bytes <= 10_000);
    table.keep("f", kept(&"x".repeat(20_000)), Duration::ZERO);
    assert_eq!((table.answers.len(), table.bytes), (0, 0));
}

#[tokio::test]
async fn a_claim_goes_with_its_release_or_an_answer_and_does_not_come_back() {
    let mut table = table();
    table.claim("a", claim("1", "x", false));
    assert!(!is_free(&mut table, "a"));
    table.release("a", "1");
    assert!(is_free(&mut table, "a"));
    table.claim("a", claim("1", "x", false));
    assert!(is_free(&mut table, "a"));
    table.claim("a", claim("2", "x", false));
    table.keep("a", kept("one"), Duration::ZERO);
    table.claim("a", claim("2", "x", false));
    assert!(answer(&mut table, "a").is_some());
    assert!(table.claims.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_claim_of_another_worker_has_its_time() {
    let mut table = table();
    table.claim("a", claim("1", "x", false));
    table.claim("b", claim("2", "y", true));
    advance(HOUR).await;
    assert!(is_free(&mut table, "a"));
    assert!(!is_free(&mut table, "b"));
}

#[tokio::test(start_paused = true)]
async fn how_a_call_ended_that_must_not_run_twice_may_be_unknown() {
    let mut table = table();
    table.claim("a", claim("1", "x", false));
    let begun = Entry {
        begun: true,
        ..claim("1", "x", false)
    };
    table.claim("a", begun);
    advance(HOUR).await;
    assert_eq!(answer(&mut table, "a").unwrap(), "-31004");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_leaves_its_key_soon() {
    let mut table = table();
    table.claim("a", claim("1", "x", false));
    table.claim("b", claim("2", "y", false));
    table.cancelled("x");
    assert!(!is_free(&mut table, "a"));
    advance(STOP_TIME).await;
    assert!(is_free(&mut table, "a"));
    assert!(!is_free(&mut table, "b"));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_that_must_not_run_twice_and_has_begun_keeps_its_key() {
    let mut table = table();
    let begun = || Entry {
        begun: true,
        ..claim("1", "x", false)
    };
    table.claim("a", begun());
    table.cancelled("x");
    advance(STOP_TIME).await;
    assert!(matches!(table.look("a", "y", false), Look::Claimed { .. }));
    advance(HOUR).await;
    assert_eq!(answer(&mut table, "a").unwrap(), "-31004");
    // That it has begun may be heard after the cancel.
    table.claim("b", claim("1", "x", false));
    table.cancelled("x");
    table.claim("b", begun());
    advance(STOP_TIME).await;
    assert_eq!(answer(&mut table, "b").unwrap(), "-31004");
}

#[tokio::test]
async fn a_call_that_is_handed_out_again_was_taken_from_who_claimed_it() {
    let mut table = table();
    table.claim("a", claim("1", "x", false));
    assert!(matches!(table.look("a", "y", true), Look::Claimed { .. }));
    assert!(matches!(table.look("a", "x", false), Look::Claimed { .. }));
    assert!(matches!(table.look("a", "x", true), Look::Free));
    // This worker itself may still be about to stop it, and says when it has.
    table.claim("a", claim("2", "x", true));
    assert!(matches!(table.look("a", "x", true), Look::Claimed { .. }));
}

#[tokio::test]
async fn of_several_claims_the_first_stays() {
    let mut table = table();
    table.claim("a", claim("2", "x", true));
    assert_eq!(table.standing("a", "2"), Standing::Unmarked);
    table.mark("a", "2");
    assert_eq!(table.standing("a", "2"), Standing::Alone);
    table.claim("a", claim("3", "y", false));
    assert!(matches!(table.standing("a", "2"), Standing::First(_)));
    table.claim("a", claim("1", "z", false));
    assert_eq!(table.standing("a", "2"), Standing::Behind);
    table.release("a", "1");
    table.release("a", "3");
    assert_eq!(table.standing("a", "2"), Standing::Alone);
    table.keep("a", kept("one"), Duration::ZERO);
    assert_eq!(table.standing("a", "2"), Standing::Over);
}

#[tokio::test(start_paused = true)]
async fn others_cannot_make_it_grow() {
    let mut table = table();
    for key in ["a", "b", "c", "d"] {
        table.claim(key, claim(key, "x", false));
    }
    assert_eq!(table.claims.len(), 3);
    assert!(is_free(&mut table, "d"));
    table.claim("e", claim("e", "x", true));
    assert!(!is_free(&mut table, "e"));
    advance(HOUR).await;
    table.claim("f", claim("f", "x", false));
    assert!(!is_free(&mut table, "f"));
    assert_eq!(table.claims.len(), 2);
    for id in 0..2 * CLAIMS_OF_A_KEY {
        table.claim("f", claim(&id.to_string(), "x", false));
    }
    assert_eq!(table.claims["f"].len(), CLAIMS_OF_A_KEY);
}

#[tokio::test]
async fn after_an_outage_only_claims_count_whose_end_is_known_or_matters() {
    let mut table = table();
    table.claim("a", claim("1", "x", false));
    table.claim("a", claim("2", "y", true));
    table.claim("b", claim("3", "z", false));
    let begun = Entry {
        begun: true,
        ..claim("4", "z", false)
    };
    table.claim("c", begun);
    table.unheard();
    assert!(is_free(&mut table, "b"));
    assert!(!is_free(&mut table, "c"));
    table.mark("a", "2");
    assert_eq!(table.standing("a", "2"), Standing::Alone);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_to_others_is_as_old_as_it_is() {
    let (mut table, mut other) = (table(), table());
    table.keep("a", kept("one"), Duration::ZERO);
    advance(23 * HOUR).await;
    table.keep("b", kept("two"), Duration::ZERO);
    for (key, since, answer) in table.all_answers() {
        let answer = Kept {
            fingerprint: answer.fingerprint.clone(),
            body: answer.body.clone(),
        };
        other.keep(&key, answer, since.elapsed());
    }
    advance(2 * HOUR).await;
    assert!(is_free(&mut other, "a"));
    assert!(answer(&mut other, "b").is_some());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_heard_late_is_no_longer_kept_than_where_it_was_given() {
    let mut table = table();
    advance(48 * HOUR).await;
    table.keep("new", kept("one"), Duration::ZERO);
    table.keep("old", kept("two"), 23 * HOUR);
    advance(2 * HOUR).await;
    assert!(answer(&mut table, "old").is_none());
    assert!(answer(&mut table, "new").is_some());
}

#[test]
fn who_joins_is_told_what_runs_here_and_what_has_begun_elsewhere() {
    let mut table = table();
    table.claim("a", claim("1", "x", true));
    table.claim("b", claim("2", "y", false));
    let begun = Entry {
        begun: true,
        ..claim("3", "z", false)
    };
    table.claim("c", begun);
    let mut told: Vec<String> = table
        .claims_to_tell()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    told.sort();
    assert_eq!(told, ["a", "c"]);
}
