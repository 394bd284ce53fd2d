use proptest::prelude::*;

use super::*;

/// When the tokens of these tests are opened.
const NOW: Duration = Duration::from_secs(1_700_000_000);
const MS: Duration = Duration::from_millis(1);

fn at(since: Duration) -> SystemTime {
    UNIX_EPOCH + since
}

/// The ring of keys that are one byte over and over, in this order.
fn ring(bytes: &[u8]) -> Keyring {
    let key = |byte: &u8| format!("{byte:02x}").repeat(32);
    let keys: Vec<String> = bytes.iter().map(key).collect();
    Keyring::parse(&keys.join(",")).unwrap()
}

fn seal(ring: &Keyring, payload: &[u8]) -> String {
    ring.seal(Purpose::Session, b"context", payload, at(NOW + MS))
}

fn check(ring: &Keyring, token: &str, expected: Result<&[u8], OpenError>) {
    let opened = ring.open(Purpose::Session, b"context", token, at(NOW));
    assert_eq!(
        opened.as_deref().map_err(|error| *error),
        expected,
        "{token}"
    );
}

#[test]
fn a_token_gives_back_its_payload_and_tells_its_length_only() {
    let ring = ring(&[1]);
    for payload in [&b""[..], b"p", b"a session", &[0xff; 1000]] {
        let token = seal(&ring, payload);
        check(&ring, &token, Ok(payload));
        // 53 bytes are added, and 3 bytes become 4 characters.
        assert_eq!(token.len(), ((payload.len() + 53) * 4).div_ceil(3));
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        assert!(token.bytes().all(is_safe), "{token}");
    }
}

/// Made by another implementation: replicas of different versions open each other's tokens.
#[test]
fn the_form_of_a_token_does_not_change() {
    // Fuzzing begins with it.
    let seed = include_str!("../../fuzz/seeds/token/session");
    let token = seed.strip_prefix("context\n").unwrap();
    check(&ring(&[0xab]), token, Ok(b"payload"));
}

#[test]
fn a_token_of_another_purpose_is_refused() {
    let ring = ring(&[1]);
    let token = ring.seal(Purpose::RequestState, b"context", b"p", at(NOW + MS));
    check(&ring, &token, Err(OpenError::Forged));
}

#[test]
fn a_token_of_another_context_is_refused() {
    let ring = ring(&[1]);
    for context in [&b""[..], b"contex", b"context ", b"Context", b"\0context"] {
        let token = ring.seal(Purpose::Session, context, b"p", at(NOW + MS));
        check(&ring, &token, Err(OpenError::Forged));
    }
}

#[test]
fn a_context_cannot_stand_for_a_purpose() {
    let ring = ring(&[1]);
    let token = ring.seal(Purpose::Session, b"-state\0c", b"p", at(NOW + MS));
    let opened = ring.open(Purpose::RequestState, b"c", &token, at(NOW));
    assert_eq!(opened, Err(OpenError::Forged));
}

#[test]
fn a_token_with_any_byte_changed_is_refused() {
    // The second key sees to it that a changed identifier cannot lead to another key.
    let ring = ring(&[1, 2]);
    let token = URL_SAFE_NO_PAD.decode(seal(&ring, b"payload")).unwrap();
    for index in 0..token.len() {
        for bit in 0..8 {
            let mut changed = token.clone();
            changed[index] ^= 1 << bit;
            let expected = match index {
                0 => OpenError::Malformed,
                1..=ID => OpenError::UnknownKey,
                _ => OpenError::Forged,
            };
            check(&ring, &URL_SAFE_NO_PAD.encode(changed), Err(expected));
        }
    }
}

#[test]
fn a_token_has_one_spelling_only() {
    let ring = ring(&[1]);
    // 54 and 55 bytes end in a character with bits that mean nothing.
    for payload in [&b"p"[..], b"pp"] {
        let token = seal(&ring, payload);
        let last = token.chars().last().unwrap();
        let others = ('0'..='z').filter(|c| *c != last);
        for other in others {
            let respelled = format!("{}{other}", &token[..token.len() - 1]);
            let opened = ring.open(Purpose::Session, b"context", &respelled, at(NOW));
            assert!(opened.is_err(), "{token} is also {respelled}");
        }
        for respelled in [
            format!("{token}="),
            format!(" {token}"),
            format!("{token}\n"),
        ] {
            check(&ring, &respelled, Err(OpenError::Malformed));
        }
    }
}

#[test]
fn a_token_cut_short_or_drawn_out_is_refused() {
    let ring = ring(&[1]);
    let token = URL_SAFE_NO_PAD.decode(seal(&ring, b"payload")).unwrap();
    let shortest = 1 + ID + NONCE + EXPIRY + TAG;
    for length in 0..token.len() {
        let expected = if length < shortest {
            OpenError::Malformed
        } else {
            OpenError::Forged
        };
        check(
            &ring,
            &URL_SAFE_NO_PAD.encode(&token[..length]),
            Err(expected),
        );
    }
    let longer = [&token[..], b"\0"].concat();
    check(
        &ring,
        &URL_SAFE_NO_PAD.encode(longer),
        Err(OpenError::Forged),
    );
}

#[test]
fn a_token_expires_at_its_millisecond() {
    let ring = ring(&[1]);
    let token = ring.seal(Purpose::Session, b"context", b"p", at(NOW));
    let open = |now| ring.open(Purpose::Session, b"context", &token, at(now));
    assert_eq!(open(NOW.checked_sub(MS).unwrap()), Ok(b"p".to_vec()));
    assert_eq!(open(NOW), Err(OpenError::Expired));
    assert_eq!(open(NOW + MS), Err(OpenError::Expired));
    // A clock that is set before 1970 reads as 1970.
    let early = UNIX_EPOCH - Duration::from_secs(1);
    let open = ring.open(Purpose::Session, b"context", &token, early);
    assert_eq!(open, Ok(b"p".to_vec()));
    let token = ring.seal(Purpose::Session, b"context", b"p", early);
    let open = ring.open(Purpose::Session, b"context", &token, early);
    assert_eq!(open, Err(OpenError::Expired));
}

#[test]
fn keys_change_one_after_another_and_no_token_is_lost() {
    let (old, new) = (1, 2);
    let both_open = ring(&[old, new]);
    let new_seals = ring(&[new, old]);
    let new_only = ring(&[new]);
    let token = seal(&ring(&[old]), b"p");
    check(&both_open, &token, Ok(b"p"));
    check(&new_seals, &token, Ok(b"p"));
    check(&new_only, &token, Err(OpenError::UnknownKey));
    let token = seal(&new_seals, b"p");
    check(&both_open, &token, Ok(b"p"));
    check(&new_only, &token, Ok(b"p"));
    check(&ring(&[old]), &token, Err(OpenError::UnknownKey));
}

#[test]
fn a_random_key_is_known_to_its_own_ring_only() {
    let (one, other) = (Keyring::random(), Keyring::random());
    let token = seal(&one, b"p");
    check(&one, &token, Ok(b"p"));
    check(&one.clone(), &token, Ok(b"p"));
    check(&other, &token, Err(OpenError::UnknownKey));
}

#[test]
fn what_never_was_a_token_is_malformed() {
    let ring = ring(&[1]);
    let other_form = URL_SAFE_NO_PAD.encode([FORM + 1; 100]);
    let uuid = "6f1c0b8e-9d2b-4a61-8b0e-2f5b1e7f3c11";
    for text in ["", "=", "AQ", uuid, "ä", "a b", "AA/+", &other_form] {
        check(&ring, text, Err(OpenError::Malformed));
    }
}

#[test]
fn identifiers_are_stable_and_debug_shows_nothing_else() {
    let ring = ring(&[0xab, 0xcd]);
    // Replicas of different versions compare these.
    assert_eq!(ring.ids(), ["2f67c527", "7a198063"]);
    let shown = format!("{ring:?}");
    assert_eq!(shown, format!("Keyring({:?})", ring.ids()));
    assert!(
        !shown.contains("abab") && !shown.contains("cdcd"),
        "{shown}"
    );
}

#[test]
fn a_ring_is_of_keys_and_nothing_else() {
    let key = "5e".repeat(32);
    let check = |text: &str, expected| {
        let error = Keyring::parse(text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!error.to_string().contains("5e5e"), "{error}");
    };
    for text in ["", " "] {
        check(text, KeyError::Empty);
    }
    for text in [",", &format!("{key},"), &format!(",{key}"), &key[1..]] {
        check(text, KeyError::Format);
    }
    let two = Keyring::parse(&format!(" {key} , {} ", "07".repeat(32))).unwrap();
    assert_eq!(two.ids().len(), 2);
}

fn purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![Just(Purpose::Session), Just(Purpose::RequestState)]
}

fn bytes(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..longest)
}

proptest! {
    #[test]
    fn any_text_is_opened_or_refused(text in any::<String>(), token in "[A-Za-z0-9_=-]{0,200}") {
        let ring = ring(&[1]);
        for text in [text, token] {
            prop_assert!(ring.open(Purpose::Session, b"", &text, at(NOW)).is_err());
        }
    }

    #[test]
    fn any_bytes_behind_a_known_key_are_refused(rest in bytes(200)) {
        let ring = ring(&[1]);
        let token = [&[FORM], &ring.sealing.id()[..], &rest].concat();
        let token = URL_SAFE_NO_PAD.encode(token);
        prop_assert!(ring.open(Purpose::Session, b"", &token, at(NOW)).is_err());
    }

    #[test]
    fn what_is_sealed_is_opened_and_nothing_near_it_is(
        purpose in purpose(),
        context in bytes(50),
        payload in bytes(300),
        index in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let ring = ring(&[1]);
        let token = ring.seal(purpose, &context, &payload, at(NOW + MS));
        let opened = ring.open(purpose, &context, &token, at(NOW));
        prop_assert_eq!(opened, Ok(payload));
        let mut changed = token.clone().into_bytes();
        let index = index.index(changed.len());
        changed[index] = byte;
        let changed = String::from_utf8_lossy(&changed);
        if changed != token {
            prop_assert!(ring.open(purpose, &context, &changed, at(NOW)).is_err());
        }
    }

    #[test]
    fn any_text_is_a_ring_or_refused(text in any::<String>(), keys in "[0-9a-fA-F, =+/_-]{0,140}") {
        for text in [text, keys] {
            let _ = Keyring::parse(&text);
        }
    }
}
