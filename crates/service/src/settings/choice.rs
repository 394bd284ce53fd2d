//! Settings that are one or several of a few words.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::text::{items, setting};

/// A way in for MCP clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Newline-delimited JSON-RPC on standard input and output.
    Stdio,
    /// Streamable HTTP.
    Http,
    /// JSON-RPC on a queue of the broker.
    Amqp,
}

/// The transports that a process offers; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transports(BTreeSet<Transport>);

/// The form of the log on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One readable line per event.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// How the broker shares calls among the workers of a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LoadBalance {
    /// Each free consumer in its turn, which is what a broker's competing consumers do.
    #[default]
    RoundRobin,
}

/// How a call finds the queue of its category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CallRouting {
    /// By the queue's name.
    #[default]
    Queue,
    /// By the exchange for requests.
    Topic,
}

impl Transports {
    /// Whether this transport is wanted.
    #[must_use]
    pub fn contains(&self, transport: Transport) -> bool {
        self.0.contains(&transport)
    }

    /// The transports in the order stdio, http, amqp.
    pub fn iter(&self) -> impl Iterator<Item = Transport> + '_ {
        self.0.iter().copied()
    }
}

impl Default for Transports {
    fn default() -> Self {
        Self(BTreeSet::from([Transport::Http]))
    }
}

impl FromIterator<Transport> for Transports {
    /// An empty iterator gives the default, HTTP.
    fn from_iter<I: IntoIterator<Item = Transport>>(transports: I) -> Self {
        let transports: BTreeSet<Transport> = transports.into_iter().collect();
        if transports.is_empty() {
            return Self::default();
        }
        Self(transports)
    }
}

impl FromStr for Transports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut transports = BTreeSet::new();
        for item in items(text)? {
            match item {
                "stdio" => _ = transports.insert(Transport::Stdio),
                "http" => _ = transports.insert(Transport::Http),
                "amqp" => _ = transports.insert(Transport::Amqp),
                "all" => transports.extend([Transport::Stdio, Transport::Http, Transport::Amqp]),
                other => return Err(format!("`{other}` is not a transport")),
            }
        }
        if transports.is_empty() {
            return Err("at least one transport is needed".to_owned());
        }
        Ok(Self(transports))
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            other => Err(format!("`{other}` is not a log format")),
        }
    }
}

impl FromStr for LoadBalance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "round_robin" => Ok(Self::RoundRobin),
            other => Err(format!("`{other}` is not a way to share calls")),
        }
    }
}

impl FromStr for CallRouting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "queue" => Ok(Self::Queue),
            "topic" => Ok(Self::Topic),
            other => Err(format!("`{other}` is not a way to a queue")),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::Amqp => "amqp",
        })
    }
}

impl fmt::Display for Transports {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.iter().map(|transport| transport.to_string()).collect();
        formatter.write_str(&names.join(","))
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Human => "human",
            Self::Json => "json",
        })
    }
}

impl fmt::Display for LoadBalance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("round_robin")
    }
}

impl fmt::Display for CallRouting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Queue => "queue",
            Self::Topic => "topic",
        })
    }
}

setting!(Transports, allowed: "comma list of `stdio`, `http`, `amqp`; or `all`");
setting!(LogFormat, allowed: "`human` or `json`");
setting!(LoadBalance, allowed: "`round_robin`");
setting!(CallRouting, allowed: "`queue` or `topic`");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stands_for_every_transport() {
        let transports: Transports = "all".parse().unwrap();
        assert_eq!(transports.to_string(), "stdio,http,amqp");
    }

    #[test]
    fn transports_may_be_listed_in_any_order() {
        let transports: Transports = " amqp , stdio".parse().unwrap();
        assert_eq!(transports.to_string(), "stdio,amqp");
        assert!(!transports.contains(Transport::Http));
    }

    #[test]
    fn unknown_or_missing_words_are_refused() {
        for text in ["", "HTTP", "http,", "http;stdio", "sse"] {
            assert!(text.parse::<Transports>().is_err(), "{text}");
        }
        assert!("JSON".parse::<LogFormat>().is_err());
        assert!("random".parse::<LoadBalance>().is_err());
        assert!("direct".parse::<CallRouting>().is_err());
    }
}
