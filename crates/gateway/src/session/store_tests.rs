use protocol::LogLevel;
use serde_json::value::RawValue;
use service::Health;
use tokio::time::{Instant, advance};

use super::super::session_for_test;
use super::super::talk::Letter;
use super::*;

const TTL: Duration = Duration::from_mins(30);
const PERIOD: Duration = Duration::from_secs(30);
/// From here on a session is idle for too long.
const OVER: Duration = Duration::from_millis(30 * 60 * 1000 + 30 * 1000 + 1);
const KEY: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";

fn replica(instance: &str, clock: Clock) -> Sessions {
    bounded(instance, clock, Keyring::parse(KEY).unwrap(), 10, 100)
}

fn bounded(instance: &str, clock: Clock, keys: Keyring, held: usize, known: usize) -> Sessions {
    let options = Options {
        keys: Arc::new(keys),
        site: "test".to_owned(),
        instance: instance.to_owned(),
        ttl: TTL,
        health: Some(Health::default().optional_component("session-keys")),
    };
    let sessions = Sessions::with(options, clock, held, known);
    sessions.caught_up.send_replace(true);
    sessions
}

/// All parts of a letter from one replica to another.
fn post(mut letter: Letter, from: &Sessions, to: &Sessions) -> usize {
    let mut parts = 0;
    loop {
        let told = from.next_part(&mut letter);
        let json = serde_json::to_vec(&told).unwrap();
        assert!(json.len() < 256 * 1024, "{}", json.len());
        to.learn("peer", serde_json::from_slice(&json).unwrap());
        from.was_told(&told);
        parts += 1;
        if letter.is_empty() {
            return parts;
        }
    }
}

/// What a replica says from time to time.
fn report(from: &Sessions, to: &Sessions) {
    from.sweep();
    post(from.unsent(true).0, from, to);
}

/// What a replica says to one that starts.
fn answer(from: &Sessions, to: &Sessions) -> usize {
    post(from.all_since(None), from, to)
}

async fn gone(sessions: &Sessions, token: &str) -> Gone {
    sessions.find(token).await.unwrap_err()
}

fn begin(session: &Session) -> crate::session::Begun {
    let id: Box<RawValue> = serde_json::from_str("1").unwrap();
    session.running().begin(&id).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_replica_with_the_key_serves_a_session() {
    let clock = Clock::steady();
    let (one, two) = (replica("one", clock), replica("two", clock));
    let token = one.open(session_for_test()).unwrap();
    let here = one.find(&token).await.unwrap();
    let there = two.find(&token).await.unwrap();
    assert_eq!(here.id(), there.id());
    assert_eq!(here.meta(), there.meta());
    assert_eq!(here.version, there.version);
    assert!(Arc::ptr_eq(&there, &two.find(&token).await.unwrap()));
    let stranger = bounded("stranger", clock, Keyring::random(), 10, 100);
    assert_eq!(gone(&stranger, &token).await, Gone::OtherKey);
    assert_eq!(gone(&stranger, "nonsense").await, Gone::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_when_it_is_idle_for_too_long() {
    let sessions = replica("one", Clock::steady());
    let token = sessions.open(session_for_test()).unwrap();
    advance(TTL).await;
    let session = sessions.find(&token).await.unwrap();
    advance(TTL).await;
    assert!(sessions.find(&token).await.is_ok(), "use keeps it open");
    advance(OVER).await;
    sessions.sweep();
    assert!(session.ended().is_cancelled());
    assert_eq!(sessions.len(), 0);
    assert_eq!(gone(&sessions, &token).await, Gone::Idle);
    let unswept = sessions.open(session_for_test()).unwrap();
    advance(OVER).await;
    assert_eq!(gone(&sessions, &unswept).await, Gone::Idle);
}

#[tokio::test(start_paused = true)]
async fn what_is_open_counts_as_use() {
    let sessions = replica("one", Clock::steady());
    let token = sessions.open(session_for_test()).unwrap();
    let session = sessions.find(&token).await.unwrap();
    let begun = begin(&session);
    advance(2 * OVER).await;
    sessions.sweep();
    drop(begun);
    let hold = session.hold();
    advance(2 * OVER).await;
    sessions.sweep();
    drop(hold);
    advance(TTL).await;
    sessions.sweep();
    assert!(!session.ended().is_cancelled());
    advance(OVER).await;
    sessions.sweep();
    assert!(session.ended().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn no_session_is_older_than_a_day() {
    let sessions = replica("one", Clock::steady());
    let token = sessions.open(session_for_test()).unwrap();
    let session = sessions.find(&token).await.unwrap();
    let _hold = session.hold();
    advance(Duration::from_hours(24) - Duration::from_millis(1)).await;
    sessions.sweep();
    assert!(sessions.find(&token).await.is_ok());
    advance(Duration::from_millis(1)).await;
    sessions.sweep();
    assert_eq!(gone(&sessions, &token).await, Gone::Expired);
    assert!(session.ended().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn use_at_one_replica_keeps_a_session_open_at_all() {
    let clock = Clock::steady();
    let (one, two) = (replica("one", clock), replica("two", clock));
    let used = one.open(session_for_test()).unwrap();
    let other = one.open(session_for_test()).unwrap();
    report(&one, &two);
    for _ in 0..100 {
        advance(PERIOD).await;
        one.find(&used).await.unwrap();
        report(&one, &two);
    }
    assert!(two.find(&used).await.is_ok());
    assert_eq!(gone(&two, &other).await, Gone::Idle);
}

#[tokio::test(start_paused = true)]
async fn an_ended_session_is_over_everywhere_and_its_calls_stop() {
    let clock = Clock::steady();
    let (one, two) = (replica("one", clock), replica("two", clock));
    let token = one.open(session_for_test()).unwrap();
    let session = two.find(&token).await.unwrap();
    let begun = begin(&session);
    // Nobody tells in this test, so it is known elsewhere later.
    assert_eq!(one.end(&token).await, Ok(()));
    assert_eq!(gone(&one, &token).await, Gone::Ended);
    assert_eq!(one.end(&token).await, Err(Gone::Ended));
    assert!(two.find(&token).await.is_ok());
    report(&one, &two);
    begun.cancelled().await;
    assert!(session.ended().is_cancelled());
    assert_eq!(gone(&two, &token).await, Gone::Ended);
    // Older news do not bring it back.
    two.learn(
        "peer",
        serde_json::from_str(&format!(
            r#"{{"keys":[],"sessions":[{{"id":"{}","idleMs":0}}]}}"#,
            session.id()
        ))
        .unwrap(),
    );
    assert_eq!(gone(&two, &token).await, Gone::Ended);
    let late = replica("late", clock);
    answer(&two, &late);
    assert_eq!(gone(&late, &token).await, Gone::Ended);
    advance(Duration::from_hours(24)).await;
    late.sweep();
    assert_eq!(late.table().ended.since(None).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_known_at_other_replicas() {
    let clock = Clock::steady();
    let (one, two) = (replica("one", clock), replica("two", clock));
    let token = one.open(session_for_test()).unwrap();
    let here = one.find(&token).await.unwrap();
    here.set_level(LogLevel::Error);
    here.subscribe("x:y").unwrap();
    report(&one, &two);
    let there = two.find(&token).await.unwrap();
    assert_eq!(there.level(), LogLevel::Error);
    assert!(there.is_subscribed("x:y"));
    there.unsubscribe("x:y");
    there.subscribe("x:z").unwrap();
    report(&two, &one);
    assert_eq!(here.subscriptions(), ["x:z"]);
    let late = replica("late", clock);
    answer(&one, &late);
    let latest = late.find(&token).await.unwrap();
    assert_eq!(latest.level(), LogLevel::Error);
    assert_eq!(latest.subscriptions(), ["x:z"]);
    let told = |sessions: &Sessions| {
        let (changed, ended, _) = sessions.outbox.contents();
        changed.is_empty() && ended.is_empty()
    };
    assert!(told(&one) && told(&two) && told(&late));
}

#[tokio::test(start_paused = true)]
async fn a_restart_ends_no_session_and_revives_none_that_others_know_to_be_idle() {
    let clock = Clock::steady();
    let one = replica("one", clock);
    let token = one.open(session_for_test()).unwrap();
    advance(2 * OVER).await;
    one.sweep();
    // Alone, it cannot know when the session was last used.
    let alone = replica("alone", clock);
    assert!(alone.find(&token).await.is_ok());
    let late = replica("late", clock);
    answer(&one, &late);
    assert_eq!(gone(&late, &token).await, Gone::Idle);
    // What another one that has just started does not know says nothing.
    let young = replica("young", clock);
    answer(&replica("younger", clock), &young);
    assert!(young.find(&token).await.is_ok());
    advance(OVER).await;
    assert_eq!(gone(&young, &token).await, Gone::Idle);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bounds_only_what_is_known_of_idle_sessions_goes() {
    let clock = Clock::steady();
    let sessions = bounded("one", clock, Keyring::random(), 3, 6);
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(sessions.open(session_for_test()).unwrap());
        advance(Duration::from_secs(1)).await;
    }
    let running = sessions.find(&tokens[0]).await.unwrap();
    running.set_level(LogLevel::Error);
    let begun = begin(&running);
    drop(running);
    let idle = sessions.find(&tokens[1]).await.unwrap();
    idle.set_level(LogLevel::Debug);
    drop(idle);
    advance(Duration::from_secs(1)).await;
    for _ in 0..3 {
        sessions.open(session_for_test()).unwrap();
        assert!(sessions.len() <= 3);
        advance(Duration::from_secs(1)).await;
    }
    let still = sessions.find(&tokens[0]).await.unwrap();
    sessions.end(&tokens[0]).await.unwrap();
    begun.cancelled().await;
    drop(still);
    let back = sessions.find(&tokens[1]).await.unwrap();
    assert_eq!(
        back.level(),
        LogLevel::Debug,
        "no more than the place was lost"
    );
    for _ in 0..20 {
        sessions.open(session_for_test()).unwrap();
        assert!(sessions.table().used_since(None).len() <= 6);
    }
    assert!(sessions.find(&tokens[2]).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_in_parts_of_bounded_size() {
    let clock = Clock::steady();
    let keys = Keyring::parse(KEY).unwrap();
    let (one, two) = (
        bounded("one", clock, keys.clone(), 10_000, 10_000),
        bounded("two", clock, keys, 10_000, 10_000),
    );
    let mut tokens = Vec::new();
    for number in 0..3000 {
        let token = one.open(session_for_test()).unwrap();
        if number % 500 == 0 {
            let session = one.find(&token).await.unwrap();
            for uri in 0..1000 {
                session.subscribe(&format!("\u{1}:{uri}")).unwrap();
            }
            tokens.push(token);
        }
    }
    for _ in 0..3000 {
        let now = clock.now();
        one.table().end(Uuid::new_v4(), clock.unix_ms() + 1000, now);
    }
    assert!(answer(&one, &two) >= 3);
    assert_eq!(two.table().used_since(None).len(), 3000);
    assert_eq!(two.table().ended.since(None).count(), 3000);
    for token in tokens {
        let session = two.find(&token).await.unwrap();
        assert_eq!(session.subscriptions().len(), 1000);
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_session_that_is_not_held_waits_for_the_other_replicas() {
    let clock = Clock::steady();
    let (one, two) = (replica("one", clock), replica("two", clock));
    two.caught_up.send_replace(false);
    let own = two.open(session_for_test()).unwrap();
    let before = Instant::now();
    two.find(&own).await.unwrap();
    assert_eq!(gone(&two, "nonsense").await, Gone::Unknown);
    assert_eq!(before.elapsed(), Duration::ZERO);
    let token = one.open(session_for_test()).unwrap();
    two.find(&token).await.unwrap();
    assert_eq!(before.elapsed(), CATCH_UP_LIMIT);
    let other = one.open(session_for_test()).unwrap();
    one.end(&other).await.unwrap();
    let (found, ()) = tokio::join!(two.find(&other), async {
        answer(&one, &two);
    });
    assert_eq!(found.unwrap_err(), Gone::Ended);
}

#[tokio::test]
async fn what_a_token_cannot_hold_is_refused() {
    let sessions = replica("one", Clock::steady());
    let mut session = session_for_test();
    let large = format!(r#"{{"experimental":{{"x":"{}"}}}}"#, "x".repeat(6000));
    session.capabilities = serde_json::from_str(&large).unwrap();
    let error = sessions.open(session).unwrap_err();
    assert!(error.message.contains("params.capabilities"), "{error:?}");
    assert_eq!(sessions.len(), 0);
}
