use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use worker::Summary;
use worker::markdown::plain;

use super::query::Kind;
use super::registry::{AutonomousSystem, Domain, Network};

/// Characters of a text that the summary shows where no field of it was understood.
const SHOWN: usize = 1000;

/// What the registries know.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    /// What was asked about: names in lower case, networks and AS numbers as registries write them.
    pub(super) query: String,
    /// What the query is.
    pub(super) kind: Kind,
    /// False where the registry says that there is no such object.
    pub(super) found: bool,
    /// Registration of a domain; absent where no answer has fields that are understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Domain")]
    pub(super) domain: Option<Domain>,
    /// Address block; absent where no answer has fields that are understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Network")]
    pub(super) network: Option<Network>,
    /// Autonomous system; absent where no answer has fields that are understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AutonomousSystem")]
    pub(super) autonomous_system: Option<AutonomousSystem>,
    /// Why something is missing from the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) note: Option<String>,
    /// The answers in the order in which the servers were asked; each but the last refers to
    /// the next.
    pub(super) answers: Vec<Answered>,
}

/// The answer of one server.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Answered {
    /// Server, with its port if that is not 43.
    pub(super) server: String,
    /// Address and port that answered.
    pub(super) address: String,
    /// Milliseconds from connecting to the end of the answer.
    pub(super) elapsed_ms: f64,
    /// Bytes of the answer that were kept.
    pub(super) bytes: usize,
    /// Whether the answer was cut: at 64 KiB, or because the server did not come to an end.
    pub(super) truncated: bool,
    /// The answer as it came.
    pub(super) text: String,
    /// Server that the answer refers to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Referred")]
    pub(super) refers_to: Option<Referred>,
}

/// A referral to another server.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Referred {
    /// Server as the answer names it.
    pub(super) server: String,
    /// Whether it was asked and answered.
    pub(super) followed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) reason: Option<String>,
}

impl Summary for Output {
    fn summary(&self) -> String {
        let mut text = format!("**{}**", plain(&self.query));
        if !self.found {
            text.push_str(" is not registered");
        }
        text.push('\n');
        let mut line = |name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                let _ = write!(text, "\n- {name}: {}", plain(value));
            }
        };
        if let Some(domain) = &self.domain {
            line("registrar", domain.registrar.as_deref());
            line("registrant", domain.registrant.as_deref());
            line("organization", domain.organization.as_deref());
            line("country", domain.country.as_deref());
            line("created", domain.created.as_deref());
            line("updated", domain.updated.as_deref());
            line("expires", domain.expires.as_deref());
            line("name servers", Some(&domain.name_servers.join(", ")));
            line("status", Some(&domain.status.join(", ")));
        }
        if let Some(network) = &self.network {
            line("range", network.range.as_deref());
            line("name", network.name.as_deref());
            line("organization", network.organization.as_deref());
            line("country", network.country.as_deref());
            line("abuse contact", network.abuse_contact.as_deref());
        }
        if let Some(system) = &self.autonomous_system {
            line("number", system.number.as_deref());
            line("name", system.name.as_deref());
            line("organization", system.organization.as_deref());
            line("country", system.country.as_deref());
            line("abuse contact", system.abuse_contact.as_deref());
        }
        line("note", self.note.as_deref());
        let servers: Vec<&str> = self.answers.iter().map(|answer| &*answer.server).collect();
        line("asked", Some(&servers.join(", ")));
        self.add_text(&mut text);
        text.push('\n');
        text
    }
}

impl Output {
    /// The beginning of the last text, where nothing in it was understood.
    fn add_text(&self, text: &mut String) {
        let understood =
            self.domain.is_some() || self.network.is_some() || self.autonomous_system.is_some();
        if let Some(answer) = self.answers.last().filter(|_| self.found && !understood) {
            text.push('\n');
            for line in answer.text.chars().take(SHOWN).collect::<String>().lines() {
                let _ = write!(text, "\n    {}", plain(line));
            }
        }
    }
}
