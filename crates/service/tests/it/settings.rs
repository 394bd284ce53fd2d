//! Properties that every setting has.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use proptest::prelude::*;
use service::settings::{
    AmqpUrl, ExchangeName, Host, LogFilter, Milliseconds, OtlpEndpoint, QueuePrefix, Scope,
    Seconds, SessionKeys, SessionTtl, Site, Transports, WhenNoWorker, WhoisServers,
};

/// What a setting prints is what it reads.
fn check<T: FromStr + Display + Debug + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse::<T>().ok(), Some(value), "{text}");
    }
}

/// Texts that are often nearly a setting.
fn nearly() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[0-9]{1,12}(ms|s|m|h|d|)",
        "(amqp|amqps|http)://[a-z0-9.:@%/\\[\\]-]{0,20}",
        "[a-z0-9*_.:=/,\\[\\] -]{0,40}",
        "(stdio|http|amqp|all|[a-z]{1,3}=queue|[a-z]{1,3}=refuse|,| ){0,6}",
        "([0-9]{1,3}\\.){3}[0-9]{1,3}(/[0-9]{1,3}|)",
    ]
}

/// Texts that are often session keys.
fn nearly_keys() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        "[0-9a-fA-F]{64}",
        "[A-Za-z0-9+/]{42}[048AEIMQUYcgkosw]=?",
        "[A-Za-z0-9_-]{42}[048AEIMQUYcgkosw]=?",
        "[A-Za-z0-9_+-]{42}[0-9A-Za-z]=?",
        "[0-9a-g]{62,66}",
        " ?",
    ];
    proptest::collection::vec(key, 1..4).prop_map(|keys| keys.join(", "))
}

proptest! {
    #[test]
    fn no_text_makes_a_setting_panic_and_what_it_prints_it_reads(text in nearly()) {
        check::<ExchangeName>(&text);
        check::<Host>(&text);
        check::<LogFilter>(&text);
        check::<Milliseconds>(&text);
        check::<OtlpEndpoint>(&text);
        check::<QueuePrefix>(&text);
        check::<Scope>(&text);
        check::<Seconds>(&text);
        check::<SessionTtl>(&text);
        check::<Site>(&text);
        check::<Transports>(&text);
        check::<WhenNoWorker>(&text);
        check::<WhoisServers>(&text);
    }

    /// What starts here never fails there.
    #[test]
    fn session_keys_are_exactly_those_that_seal(text in nearly_keys()) {
        let checked = text.parse::<SessionKeys>();
        let sealing = seal::Keyring::parse(&text);
        prop_assert_eq!(checked.is_ok(), sealing.is_ok(), "{:?} {:?}", checked, sealing);
        if let Ok(keys) = checked {
            let read = seal::Keyring::parse(keys.expose()).unwrap();
            prop_assert_eq!(read.ids(), sealing.unwrap().ids());
        }
    }

    #[test]
    fn an_address_never_prints_its_password(password in "[a-zA-Z0-9]{6,20}", tls in any::<bool>()) {
        let scheme = if tls { "amqps" } else { "amqp" };
        let text = format!("{scheme}://user:{password}@broker");
        let url: AmqpUrl = text.parse().unwrap();
        prop_assert_eq!(url.to_string(), format!("{scheme}://user:***@broker"));
        prop_assert_eq!(url.expose(), text);
    }
}
