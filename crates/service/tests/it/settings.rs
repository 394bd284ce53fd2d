//! Properties that every setting has.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use proptest::prelude::*;
use service::settings::{
    AmqpUrl, ExchangeName, Host, LogFilter, Milliseconds, OtlpEndpoint, QueuePrefix, Scope,
    Seconds, SessionTtl, Site, Transports, WhenNoWorker, WhoisServers,
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

    #[test]
    fn an_address_never_prints_its_password(password in "[a-zA-Z0-9]{6,20}", tls in any::<bool>()) {
        let scheme = if tls { "amqps" } else { "amqp" };
        let text = format!("{scheme}://user:{password}@broker");
        let url: AmqpUrl = text.parse().unwrap();
        prop_assert_eq!(url.to_string(), format!("{scheme}://user:***@broker"));
        prop_assert_eq!(url.expose(), text);
    }
}
