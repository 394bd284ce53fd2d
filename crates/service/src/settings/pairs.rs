//! Settings that give a value to each of several names: `name=value,name=value`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::str::FromStr;

use protocol::Category;

use super::network::check_host_name;
use super::text::{items, setting};

/// What happens to a call whose category has had no worker for 10 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NoWorker {
    /// The caller is told at once.
    #[default]
    Refuse,
    /// The call waits in the queue until its deadline, for categories that scale from zero.
    Queue,
}

/// [`NoWorker`] by category; a category that is not listed refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhenNoWorker(BTreeMap<String, NoWorker>);

/// Whois servers, items of the form `name=host` or `name=host:port`.
///
/// The name is a top-level domain or a kind of query; the text of each item is kept and is known
/// to be well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhoisServers(Vec<String>);

impl WhenNoWorker {
    /// What happens to calls of this category.
    #[must_use]
    pub fn of(&self, category: &str) -> NoWorker {
        self.0.get(category).copied().unwrap_or_default()
    }

    /// The categories that were set, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, NoWorker)> {
        self.0
            .iter()
            .map(|(category, choice)| (category.as_str(), *choice))
    }
}

impl Deref for WhoisServers {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for WhenNoWorker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut choices = BTreeMap::new();
        for (category, choice) in pairs(text)? {
            let category: Category = category
                .parse()
                .map_err(|_| format!("`{category}` is not a category"))?;
            let choice = match choice {
                "refuse" => NoWorker::Refuse,
                "queue" => NoWorker::Queue,
                other => return Err(format!("`{other}` is neither `refuse` nor `queue`")),
            };
            choices.insert(category.into(), choice);
        }
        Ok(Self(choices))
    }
}

impl FromStr for WhoisServers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pairs = pairs(text)?;
        for (_, server) in &pairs {
            check_server(server)?;
        }
        let items = pairs
            .iter()
            .map(|(name, server)| format!("{name}={server}"));
        Ok(Self(items.collect()))
    }
}

impl fmt::Display for NoWorker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Refuse => "refuse",
            Self::Queue => "queue",
        })
    }
}

impl fmt::Display for WhenNoWorker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<String> = self
            .iter()
            .map(|(category, choice)| format!("{category}={choice}"))
            .collect();
        formatter.write_str(&items.join(","))
    }
}

impl fmt::Display for WhoisServers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(","))
    }
}

setting!(WhenNoWorker, allowed: "comma list of `category=refuse` and `category=queue`");
setting!(WhoisServers, allowed: "comma list of `name=host` and `name=host:port`");

/// Splits `name=value,name=value`; a name must not come twice.
fn pairs(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for item in items(text)? {
        let (name, value) = item
            .split_once('=')
            .ok_or_else(|| format!("`{item}` has no `=`"))?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return Err(format!("`{item}` has no name before the `=`"));
        }
        if pairs.iter().any(|(other, _)| *other == name) {
            return Err(format!("`{name}` is set twice"));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// Accepts `host`, `host:port`, an IPv6 address bare or as `[address]:port`.
fn check_server(server: &str) -> Result<(), String> {
    if server.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (server, None),
    };
    if let Some(port) = port
        && !matches!(port.parse::<u16>(), Ok(1..))
    {
        return Err(format!("`{port}` is not a port"));
    }
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(address) if address.parse::<std::net::Ipv6Addr>().is_ok() => Ok(()),
        _ if host.parse::<std::net::Ipv4Addr>().is_ok() => Ok(()),
        _ => check_host_name(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_that_is_not_listed_refuses() {
        let choices: WhenNoWorker = "nmap=queue, network=refuse".parse().unwrap();
        assert_eq!(choices.of("nmap"), NoWorker::Queue);
        assert_eq!(choices.of("network"), NoWorker::Refuse);
        assert_eq!(choices.of("snmp"), NoWorker::Refuse);
        assert_eq!(choices.to_string(), "network=refuse,nmap=queue");
    }

    #[test]
    fn a_malformed_choice_is_refused() {
        for text in [
            "nmap",
            "nmap=",
            "nmap=wait",
            "=queue",
            "a=queue,a=refuse",
            "A=queue",
            "a=queue,",
        ] {
            assert!(text.parse::<WhenNoWorker>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_whois_server_is_a_host_with_or_without_a_port() {
        let text = "com=127.0.0.1:4343,ip=whois.example.net,as=[::1]:43,net=::1,org=localhost:43";
        let servers: WhoisServers = text.parse().unwrap();
        assert_eq!(servers.len(), 5);
        assert_eq!(servers.to_string(), text);
        for text in [
            "com",
            "com=",
            "com=a b",
            "com=host:0",
            "com=host:x",
            "com=host:99999",
            "com=[::1",
        ] {
            assert!(text.parse::<WhoisServers>().is_err(), "{text}");
        }
    }
}
