//! Settings of the process itself: its site and its log.

use std::fmt;
use std::str::FromStr;

use tracing_subscriber::filter::Targets;

use super::text::setting;

/// Name of the data centre or place that this process belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Site(String);

/// Which events are logged, by level and target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl Site {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl LogFilter {
    /// The filter.
    #[must_use]
    pub fn filter(&self) -> Targets {
        // The AMQP client reports every lost connection as an error of its own, and every returned
        // message with its body; the bus says what matters of both. A directive of the user's wins.
        let text = format!("lapin=off,{}", self.0);
        text.parse().unwrap_or_default()
    }
}

impl Default for Site {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for Site {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 63 || !text.bytes().all(is_word) {
            return Err("not a name of a site".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Names of targets are such, and the levels too: anything else would never match.
        if !text.is_ascii() {
            return Err("a directive has ASCII characters only".to_owned());
        }
        if text.contains('[') {
            return Err("spans and their fields cannot be chosen, only targets".to_owned());
        }
        let directives: Vec<&str> = text.split(',').map(str::trim).collect();
        let text = directives.join(",");
        text.parse::<Targets>().map_err(|error| error.to_string())?;
        Ok(Self(text))
    }
}

impl fmt::Display for Site {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

setting!(Site, allowed: "1 to 63 lower-case letters, digits and `-`");
setting!(LogFilter,
    allowed: "`error`, `warn`, `info`, `debug`, `trace`, `off`, or a comma list of `target=level`");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_directives() {
        for text in ["info", "warn,bus=debug", "gateway::http=trace", "off"] {
            assert!(text.parse::<LogFilter>().is_ok(), "{text}");
        }
        let spans = "gateway[call]=trace";
        for text in [
            "info,bus=loud",
            "a=b=c",
            " \u{e02}\u{16eba}=",
            "é=info",
            spans,
        ] {
            assert!(text.parse::<LogFilter>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_the_amqp_client_logs_is_left_out_unless_it_is_asked_for() {
        let shows = |text: &str, target: &str| {
            let filter = text.parse::<LogFilter>().unwrap().filter();
            filter.would_enable(target, &tracing::Level::INFO)
        };
        assert!(shows("info", "bus") && !shows("info", "lapin::channel"));
        assert!(shows("warn,lapin=info", "lapin::channel") && !shows("warn", "bus"));
    }

    #[test]
    fn blanks_around_a_directive_do_not_count() {
        let filter: LogFilter = " warn, bus=debug ".parse().unwrap();
        assert_eq!(filter.to_string(), "warn,bus=debug");
    }

    #[test]
    fn a_site_is_one_word() {
        assert!("dc-1".parse::<Site>().is_ok());
        for text in ["", "DC1", "dc 1", "dc.1", &"a".repeat(64)] {
            assert!(text.parse::<Site>().is_err(), "{text}");
        }
    }
}
