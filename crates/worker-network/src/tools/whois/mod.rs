//! `whois`: asks registries who holds a domain, an address block or an autonomous system.

mod exchange;
mod fields;
mod output;
mod query;
mod reach;
mod referral;
mod registry;
mod servers;

use std::sync::Arc;
use std::time::Duration;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;
use worker::{Context, Tool};

use self::exchange::{Answer, ask};
use self::fields::Fields;
use self::output::{Answered, Output, Referred};
use self::query::{Kind, Query};
use self::reach::addresses;
use self::referral::Referral;
use self::registry::{AutonomousSystem, Domain, Network, says_absent, speaks_of};
pub use self::servers::ServersError;
use self::servers::{Servers, Standing, same};
use super::milliseconds::milliseconds;
use super::server::Server;

/// Most servers of one call: root, registry, registrar, and one to spare.
const MAX_ANSWERS: usize = 4;
/// Longest run of a call that asks for no other deadline.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(45);
/// Longest run of a call.
const MAX_DEADLINE: Duration = Duration::from_mins(1);
/// Left of the deadline for writing the answer.
const RESERVE: Duration = Duration::from_millis(500);

/// Which servers are asked, and how long.
#[derive(Debug, Clone)]
pub struct Config {
    /// Items of the setting `WHOIS_SERVERS`: `domain`, `ip`, `asn` or a domain such as `com`,
    /// then `=host` or `=host:port`.
    pub servers: Vec<String>,
    /// Longest wait for one server.
    pub patience: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            patience: Duration::from_secs(10),
        }
    }
}

/// The tool, with the servers of the setting `WHOIS_SERVERS`.
///
/// # Errors
/// Names the item that is not usable.
pub fn tool(servers: &[String]) -> Result<Tool, ServersError> {
    tool_with(&Config {
        servers: servers.to_vec(),
        ..Config::default()
    })
}

/// The tool with another patience too.
///
/// # Errors
/// Names the item that is not usable.
pub fn tool_with(config: &Config) -> Result<Tool, ServersError> {
    let servers = Arc::new(Servers::new(&config.servers)?);
    let patience = config.patience;
    let run = move |context, arguments| {
        let servers = Arc::clone(&servers);
        async move { run(&context, arguments, &servers, patience).await }
    };
    Ok(Tool::new("whois", run)
        .title("Registry lookup")
        .description(
            "Asks the public registries about a domain, an IP address or network, or an AS \
             number, and returns holder, registrar, dates, name servers or address range, \
             together with the text of each answer. It starts at the registry of the kind (IANA \
             unless configured) and follows referrals to the servers that know more; servers \
             inside private networks are asked only if the operator configured them or they lie \
             in the scan scope. An object that is not registered is a result with \"found\": \
             false, not an error.",
        )
        .read_only()
        .deadline(DEFAULT_DEADLINE, MAX_DEADLINE))
}

/// Arguments of `whois`.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Domain (`example.com`), IP address (`192.0.2.1`), network (`2001:db8::/32`) or AS number
    /// (`AS64496`).
    #[schemars(length(min = 1, max = 254))]
    query: String,
    /// Server to ask in place of the registry, optionally with a port (default 43): one of the
    /// operator's `WHOIS_SERVERS`, a regional registry such as `whois.ripe.net`, or one in scan
    /// scope. Its referrals are reported but not followed.
    server: Option<Server>,
}

async fn run(
    context: &Context,
    arguments: Arguments,
    servers: &Servers,
    patience: Duration,
) -> Result<Output, ToolError> {
    let query: Query = arguments.query.parse()?;
    let end = context.deadline();
    let call = Call {
        context,
        query: &query,
        servers,
        patience,
        end: end.checked_sub(RESERVE).unwrap_or(end),
    };
    let links = match arguments.server {
        Some(server) => vec![call.ask_only(server).await?],
        None => call.follow().await?,
    };
    Ok(result(&query, links))
}

/// One call, with what each of its steps needs.
struct Call<'a> {
    context: &'a Context,
    query: &'a Query,
    servers: &'a Servers,
    patience: Duration,
    end: Instant,
}

/// One answer and what became of its referral.
struct Link {
    server: Server,
    answer: Answer,
    fields: Vec<fields::Field>,
    referral: Option<Referral>,
    /// Why the referral was not followed; `None` if it was.
    stopped: Option<String>,
}

impl Call<'_> {
    async fn ask_only(&self, server: Server) -> Result<Link, ToolError> {
        let standing = self.servers.standing_of_argument(&server);
        let mut link = self.ask(server, standing, 0).await?;
        link.stopped = Some("the caller named the server to ask".to_owned());
        Ok(link)
    }

    /// Asks the first server and those that the answers refer to. Only the first must answer.
    async fn follow(&self) -> Result<Vec<Link>, ToolError> {
        let (server, standing) = self.servers.first(self.query);
        let mut links = vec![self.ask(server, standing, 0).await?];
        loop {
            let next = self.next(&links).await;
            let Some(last) = links.last_mut() else {
                return Ok(links);
            };
            match next {
                Ok(link) => links.push(link),
                Err(why) => {
                    last.stopped = Some(why);
                    return Ok(links);
                }
            }
        }
    }

    /// The answer that the last one refers to, or why it is not had.
    async fn next(&self, links: &[Link]) -> Result<Link, String> {
        let referral = links.last().and_then(|link| link.referral.as_ref());
        let referral = referral.ok_or("no referral")?;
        let server = referral.server.as_ref();
        let server = server.ok_or("it is not the address of a whois server")?;
        if links.iter().any(|link| same(&link.server, server)) {
            return Err("it was asked already".to_owned());
        }
        if links.len() >= MAX_ANSWERS {
            return Err(format!("{MAX_ANSWERS} servers were asked already"));
        }
        let standing = self.servers.standing_of_referral(server);
        self.ask(server.clone(), standing, links.len())
            .await
            .map_err(|error| error.message)
    }

    async fn ask(
        &self,
        server: Server,
        standing: Standing,
        n_asked: usize,
    ) -> Result<Link, ToolError> {
        let n_asked = u32::try_from(n_asked).unwrap_or(u32::MAX);
        self.context
            .progress(f64::from(n_asked), None, format!("asking {server}"));
        let addresses = addresses(&server, standing, self.context.scope()).await?;
        let left = self.end.saturating_duration_since(Instant::now());
        let answer = ask(&server, &addresses, self.query, self.patience.min(left)).await?;
        let fields = fields::read(&answer.text);
        let referral = referral::find(Fields::new(&fields), self.query);
        Ok(Link {
            server,
            answer,
            fields,
            referral,
            stopped: None,
        })
    }
}

fn result(query: &Query, links: Vec<Link>) -> Output {
    let mut output = Output {
        query: query.to_string(),
        kind: query.kind(),
        found: true,
        domain: None,
        network: None,
        autonomous_system: None,
        note: None,
        answers: Vec::new(),
    };
    let about: Vec<&Link> = links
        .iter()
        .filter(|link| speaks_of_subject(link, query))
        .collect();
    for link in &about {
        output.read(link);
    }
    let understood =
        output.domain.is_some() || output.network.is_some() || output.autonomous_system.is_some();
    output.found = understood || !about.iter().any(|link| says_absent(&link.answer.text));
    output.note = match (links.last(), understood) {
        (Some(last), false) if about.is_empty() => Some(format!(
            "the registry in charge was not asked: {}",
            last.stopped
                .as_deref()
                .filter(|_| last.referral.is_some())
                .unwrap_or("no whois server of it is named")
        )),
        (_, false) if output.found => {
            Some("no answer has fields that are understood; read the text".to_owned())
        }
        _ => None,
    };
    output.answers = links.into_iter().map(Answered::from).collect();
    output
}

/// False for an answer about a wider object that only says where to ask.
fn speaks_of_subject(link: &Link, query: &Query) -> bool {
    let referral = link.referral.as_ref();
    let delegates = referral.is_some_and(|referral| referral.delegates);
    let speaks = match query {
        Query::Domain(name) => speaks_of(Fields::new(&link.fields), name),
        Query::Address(_) | Query::Network(_) | Query::Asn(_) => true,
    };
    speaks && !delegates
}

impl Output {
    /// Adds what an answer says; a registry comes before the registrar it refers to, and its
    /// word counts.
    fn read(&mut self, link: &Link) {
        let (fields, text) = (Fields::new(&link.fields), link.answer.text.as_str());
        match self.kind {
            Kind::Domain => match (&mut self.domain, Domain::read(fields)) {
                (Some(domain), Some(more)) => domain.complete(more),
                (domain, more) => *domain = domain.take().or(more),
            },
            Kind::Ip => {
                self.network = self.network.take().or_else(|| Network::read(fields, text));
            }
            Kind::Asn => {
                let system = self.autonomous_system.take();
                self.autonomous_system = system.or_else(|| AutonomousSystem::read(fields, text));
            }
        }
    }
}

impl From<Link> for Answered {
    fn from(link: Link) -> Self {
        let stopped = link.stopped;
        Self {
            server: link.server.to_string(),
            address: link.answer.address.to_string(),
            elapsed_ms: milliseconds(link.answer.elapsed),
            bytes: link.answer.n_bytes,
            truncated: link.answer.truncated,
            text: link.answer.text,
            refers_to: link.referral.map(|referral| Referred {
                server: referral.named,
                followed: stopped.is_none(),
                reason: stopped,
            }),
        }
    }
}
