use std::fmt;
use std::str::FromStr;

use crate::{Category, Error};

/// The queue prefix of a site, `mcp.discovery` unless configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prefix(String);

impl Prefix {
    /// The longest prefix; leaves room for the rest in a routing key of 255 bytes.
    pub const MAX_BYTES: usize = 100;

    /// The prefix itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self("mcp.discovery".to_owned())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Prefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let word_is_good = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        if text.len() <= Self::MAX_BYTES && text.split('.').all(word_is_good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Prefix(text.to_owned()))
        }
    }
}

/// Every exchange, queue and routing key of one site.
///
/// A routing key is at most 255 bytes (AMQP 0-9-1 section 4.2.5.3, short string), so a
/// tool whose name does not fit travels under the key `…tools.{category}.-` and is named
/// by the header alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    prefix: Prefix,
    events: String,
}

impl Names {
    /// Topic exchange for requests.
    pub const REQUESTS: &str = "mcp.discovery.routing";
    /// Topic exchange for announcements, cancels and messages between gateways.
    pub const CONTROL: &str = "mcp.discovery.control";
    /// Topic exchange for events, unless configured.
    pub const EVENTS: &str = "mcp.notifications";

    /// Names under a site's prefix; `events` is the exchange for events.
    #[must_use]
    pub fn new(prefix: Prefix, events: impl Into<String>) -> Self {
        Self {
            prefix,
            events: events.into(),
        }
    }

    /// The site's prefix.
    #[must_use]
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The exchange for events.
    #[must_use]
    pub fn events_exchange(&self) -> &str {
        &self.events
    }

    /// The work queue of a category.
    #[must_use]
    pub fn work_queue(&self, category: &Category) -> String {
        format!("{}.tools.{category}", self.prefix)
    }

    /// The binding of a category's work queue.
    #[must_use]
    pub fn work_binding(&self, category: &Category) -> String {
        format!("{}.tools.{category}.#", self.prefix)
    }

    /// The routing key of a tool call.
    #[must_use]
    pub fn tool_key(&self, category: &Category, tool: &str) -> String {
        let key = format!("{}.tools.{category}.{tool}", self.prefix);
        let fits = tool
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'*' && b != b'#');
        if fits && !tool.is_empty() && key.len() <= 255 {
            key
        } else {
            format!("{}.tools.{category}.-", self.prefix)
        }
    }

    /// The category in a tool call's routing key, if it is one of this site.
    #[must_use]
    pub fn category_of(&self, routing_key: &str) -> Option<Category> {
        let rest = routing_key
            .strip_prefix(self.prefix.as_str())?
            .strip_prefix(".tools.")?;
        rest.split('.').next()?.parse().ok()
    }

    /// The category that a request of this site was sent to: by the exchange that routes requests,
    /// or straight to the work queue.
    #[must_use]
    pub fn category_addressed(&self, exchange: &str, routing_key: &str) -> Option<Category> {
        let category = self.category_of(routing_key)?;
        let is_straight = exchange.is_empty() && routing_key == self.work_queue(&category);
        (exchange == Self::REQUESTS || is_straight).then_some(category)
    }

    /// A requester's reply queue; the generation grows with every connection, because the
    /// broker may still hold the last one's exclusive queue.
    #[must_use]
    pub fn reply_queue(&self, instance: &str, generation: u64) -> String {
        format!("{}.client.{instance}.{generation}.responses", self.prefix)
    }

    /// An instance's own queue for control messages.
    #[must_use]
    pub fn control_queue(&self, instance: &str, generation: u64) -> String {
        format!("{}.client.{instance}.{generation}.control", self.prefix)
    }

    /// The key of worker announcements.
    #[must_use]
    pub fn announce_key(&self) -> String {
        format!("{}.announce", self.prefix)
    }

    /// The key on which gateways ask workers to announce themselves.
    #[must_use]
    pub fn discover_key(&self) -> String {
        format!("{}.discover", self.prefix)
    }

    /// The key of cancels for a category's workers.
    #[must_use]
    pub fn cancel_key(&self, category: &Category) -> String {
        format!("{}.cancel.{category}", self.prefix)
    }

    /// The key on which the workers of a category tell each other why calls go back.
    #[must_use]
    pub fn faults_key(&self, category: &Category) -> String {
        format!("{}.faults.{category}", self.prefix)
    }

    /// The key on which a category's workers tell each other what they answer to calls that
    /// their callers gave a key.
    #[must_use]
    pub fn answers_key(&self, category: &Category) -> String {
        format!("{}.answers.{category}", self.prefix)
    }

    /// The key on which gateways tell each other what concerns all of them.
    #[must_use]
    pub fn gateways_key(&self) -> String {
        format!("{}.gateways", self.prefix)
    }

    /// The key of messages for one gateway.
    #[must_use]
    pub fn gateway_key(&self, instance: &str) -> String {
        format!("{}.gateway.{instance}", self.prefix)
    }

    /// The key of an event, on the exchange for events; see [`crate::Change::kind`].
    #[must_use]
    pub fn event_key(&self, kind: &str) -> String {
        format!("{}.events.{kind}", self.prefix)
    }

    /// The queue of dead letters.
    #[must_use]
    pub fn dead_queue(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    /// The exclusive queue that says who works on the dead letters; nothing is sent to it.
    #[must_use]
    pub fn dead_lock(&self) -> String {
        format!("{}.dead.operator", self.prefix)
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::new(Prefix::default(), Self::EVENTS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_prefix_is_dot_separated_words() {
        for good in ["mcp.discovery", "discovery.dc1", "a"] {
            assert!(good.parse::<Prefix>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".a",
            "a.",
            "a..b",
            "a.#",
            "a.*",
            "a b",
            &"p".repeat(101),
        ] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_tool_key_fits_the_wire_and_leads_back_to_its_category(
            prefix in "[a-z]{1,20}(\\.[a-z0-9_-]{1,20}){0,3}",
            category in "[a-z][a-z0-9_]{0,31}",
            tool in "\\PC{0,300}",
        ) {
            let names = Names::new(prefix.parse().unwrap(), "events");
            let category: Category = category.parse().unwrap();
            let key = names.tool_key(&category, &tool);
            prop_assert!(key.len() <= 255);
            prop_assert!(!key.contains(['*', '#']));
            prop_assert_eq!(names.category_of(&key), Some(category.clone()));
            let work = names.work_queue(&category);
            prop_assert!(key.starts_with(&work));
        }
    }
}
