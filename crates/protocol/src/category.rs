use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A tool category: the unit of deployment, and one word of every routing key.
///
/// Any lower-case word of 1 to 32 characters (`[a-z][a-z0-9_]*`) is one, so a new
/// category needs no change here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Category(String);

/// The categories whose tool names begin with their own name.
const PREFIXED: [&str; 7] = [
    "nmap",
    "snmp",
    "proxmox",
    "zabbix",
    "memory",
    "credentials",
    "registry",
];

/// The tools of the network category, which carry no prefix.
const NETWORK: [&str; 9] = [
    "ping", "telnet", "wget", "nslookup", "netstat", "arp", "route", "ifconfig", "whois",
];

impl Category {
    /// The category of the native network tools.
    #[must_use]
    pub fn network() -> Self {
        Self("network".to_owned())
    }

    /// The category of scans by nmap.
    #[must_use]
    pub fn nmap() -> Self {
        Self("nmap".to_owned())
    }

    /// The category of the tools that ask devices over SNMP.
    #[must_use]
    pub fn snmp() -> Self {
        Self("snmp".to_owned())
    }

    /// The word itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The category that provides a core tool, whether or not a worker announced it.
    ///
    /// Lets a refusal name the worker to start. `None` for a name that is not of the
    /// core set.
    #[must_use]
    pub fn of_core_tool(tool: &str) -> Option<Self> {
        if NETWORK.contains(&tool) {
            return Some(Self::network());
        }
        let (first, _) = tool.split_once('_')?;
        PREFIXED.contains(&first).then(|| Self(first.to_owned()))
    }
}

impl FromStr for Category {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        let mut bytes = word.bytes();
        let starts_well = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
        let goes_on_well =
            bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if starts_well && goes_on_well && word.len() <= 32 {
            Ok(Self(word.to_owned()))
        } else {
            Err(Error::Category(word.to_owned()))
        }
    }
}

impl TryFrom<String> for Category {
    type Error = Error;

    fn try_from(word: String) -> Result<Self, Error> {
        word.parse()
    }
}

impl From<Category> for String {
    fn from(category: Category) -> Self {
        category.0
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_words_are_categories() {
        for good in ["network", "n", "my_lab2"] {
            assert!(good.parse::<Category>().is_ok(), "{good}");
        }
        for bad in ["", "Network", "2nd", "a.b", "a#", "a b", &"x".repeat(33)] {
            assert!(bad.parse::<Category>().is_err(), "{bad}");
        }
    }

    #[test]
    fn core_tools_name_their_category() {
        assert_eq!(Category::of_core_tool("ping"), Some(Category::network()));
        assert_eq!(
            Category::of_core_tool("snmp_walk").unwrap().as_str(),
            "snmp"
        );
        assert_eq!(Category::of_core_tool("reboot"), None);
        assert_eq!(Category::of_core_tool("other_tool"), None);
    }
}
