//! A token that a client shows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seal::{Keyring, OpenError, Purpose};

const PURPOSES: [Purpose; 2] = [Purpose::Session, Purpose::RequestState];
const MS: Duration = Duration::from_millis(1);

/// The first line is a context, and the rest is read as a token, as a payload and as keys.
///
/// Any token is opened or refused, and opened for one purpose in one context and spelling; any
/// payload comes back, and from nothing but its own token.
pub(crate) fn check(bytes: &[u8]) {
    let ring = ring();
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let context = parts.next().unwrap_or_default();
    let rest = parts.next().unwrap_or_default();
    if let Ok(token) = str::from_utf8(rest) {
        check_token(&ring, context, token);
        check_keys(token);
    }
    for purpose in PURPOSES {
        check_payload(&ring, purpose, context, rest);
    }
}

/// `ab…` and `cd…`, of which one has sealed the tokens among the seeds.
fn ring() -> Keyring {
    let keys = format!("{},{}", "ab".repeat(32), "cd".repeat(32));
    Keyring::parse(&keys).expect("two keys")
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn check_token(ring: &Keyring, context: &[u8], token: &str) {
    let opened = PURPOSES.map(|purpose| ring.open(purpose, context, token, now()));
    let n_opened = opened.iter().filter(|opened| opened.is_ok()).count();
    assert!(n_opened <= 1, "{token} is good for two purposes");
    if n_opened == 1 {
        let other = [context, b"."].concat();
        for purpose in PURPOSES {
            let elsewhere = ring.open(purpose, &other, token, now());
            assert_eq!(elsewhere, Err(OpenError::Forged));
            let respelled = ring.open(purpose, context, &format!("{token}="), now());
            assert_eq!(respelled, Err(OpenError::Malformed));
        }
    }
}

fn check_payload(ring: &Keyring, purpose: Purpose, context: &[u8], payload: &[u8]) {
    let token = ring.seal(purpose, context, payload, now() + MS);
    let open = |token: &str, now| ring.open(purpose, context, token, now);
    assert_eq!(open(&token, now()).as_deref(), Ok(payload));
    assert_eq!(open(&token, now() + MS), Err(OpenError::Expired));
    check_token(ring, context, &token);
    assert!(open(&token[1..], now()).is_err());
    assert!(open(&token[..token.len() - 1], now()).is_err());
    // Another character of the alphabet, somewhere.
    let index = context.len() % token.len();
    let other = if token[index..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    let changed = format!("{}{other}{}", &token[..index], &token[index + 1..]);
    assert!(open(&changed, now()).is_err(), "{token} and {changed}");
}

fn check_keys(text: &str) {
    if let Ok(ring) = Keyring::parse(text) {
        assert_eq!(ring.ids().len(), text.split(',').count());
    }
}
