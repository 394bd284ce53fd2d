//! `nslookup`: asks name servers and shows what they answered, good or bad.

mod exchange;
mod output;
mod question;
mod record;
mod system;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RecordType};
use protocol::{ErrorCode, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;
use worker::{Context, Tool};

use self::exchange::{Reply, ask};
use self::output::Output;
use self::question::{QueryType, Question};
pub use self::system::Config;
use self::system::System;
use super::server::Server;
use crate::target;

/// Port of DNS (RFC 1035 section 4.2).
const PORT: u16 = 53;
/// Longest run of a call that asks for no other deadline.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
/// Longest run of a call.
const MAX_DEADLINE: Duration = Duration::from_mins(1);
/// Left of the deadline for writing the answer.
const RESERVE: Duration = Duration::from_millis(500);

/// The tool, with the host's own resolver as default server.
#[must_use]
pub fn tool() -> Tool {
    tool_with(Config::default())
}

/// The tool with another idea of where the default servers are found.
#[must_use]
pub fn tool_with(config: Config) -> Tool {
    let config = Arc::new(config);
    Tool::new("nslookup", move |context, arguments| {
        let config = Arc::clone(&config);
        async move { run(&context, arguments, &config).await }
    })
    .title("DNS lookup")
    .description(
        "Asks a DNS server for records and returns every record of the answer with its TTL and \
         its data in typed fields, the response code, and whether the server validated the answer \
         by DNSSEC. By default it asks the resolver of the worker's host; \"server\" asks another \
         one, which must lie in the scan scope. A name that does not exist (NXDOMAIN) or has no \
         such records (NOERROR without answers) is a result, not an error.",
    )
    .read_only()
    .deadline(DEFAULT_DEADLINE, MAX_DEADLINE)
}

/// Arguments of `nslookup`.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Name to look up, such as `example.com` or `_sip._tcp.example.com`, or an IPv4 or IPv6
    /// address, whose names (PTR) are looked up. A final dot keeps the search list of the
    /// resolver from completing a short name.
    #[schemars(length(min = 1, max = 254))]
    host: String,
    /// Record type to ask for. An address is always asked for its names (PTR).
    #[serde(rename = "type")]
    #[schemars(extend("default" = "A"))]
    query_type: Option<QueryType>,
    /// DNS server to ask in place of the resolver of the worker's host: a name or address,
    /// optionally with a port (`192.0.2.1:5353`, `[2001:db8::1]:5353`; default port 53).
    server: Option<Server>,
}

async fn run(
    context: &Context,
    arguments: Arguments,
    config: &Config,
) -> Result<Output, ToolError> {
    let question = Question::new(&arguments.host, arguments.query_type)?;
    let (servers, names) = if let Some(server) = &arguments.server {
        let port = server.port.unwrap_or(PORT);
        let mut servers = Vec::new();
        for address in context.scope().resolve(&server.host).await? {
            servers.push(target::socket_address(address, port).await?);
        }
        (servers, vec![question.name.clone()])
    } else {
        let system = System::read(config).await?;
        let names = question.candidates(&system.search, system.ndots);
        (system.servers, names)
    };
    let end = context.deadline();
    let lookup = Lookup {
        context,
        servers,
        query_type: question.query_type,
        patience: config.patience,
        end: end.checked_sub(RESERVE).unwrap_or(end),
    };
    lookup.first_with_data(names, &question.name).await
}

/// One call, with what each of its steps needs.
struct Lookup<'a> {
    context: &'a Context,
    servers: Vec<SocketAddr>,
    query_type: RecordType,
    patience: Duration,
    end: Instant,
}

impl Lookup<'_> {
    /// Asks for each name until one has records; otherwise the answer is that of the name as
    /// the caller wrote it.
    async fn first_with_data(
        &self,
        names: Vec<Name>,
        as_written: &Name,
    ) -> Result<Output, ToolError> {
        let n_names = names.len();
        let mut without_data = None;
        for (position, name) in names.into_iter().enumerate() {
            let message = format!("asking for {name}");
            self.context
                .progress(to_f64(position), Some(to_f64(n_names)), message);
            let is_as_written = name == *as_written;
            let query = Query::query(name, self.query_type);
            let (server, reply) = self.ask_in_turn(&query).await?;
            let output = Output::new(&query, server, &reply);
            if !reply.message.answers.is_empty() {
                return Ok(output);
            }
            if is_as_written || without_data.is_none() {
                without_data = Some(output);
            }
        }
        without_data.ok_or_else(|| ToolError::new(ErrorCode::Internal, "no name was asked for"))
    }

    /// Asks one server after the other until one gives an answer that settles the question.
    ///
    /// SERVFAIL, REFUSED and the like say nothing of the name, so the next server is asked;
    /// where no server does better, that answer is the result.
    async fn ask_in_turn(&self, query: &Query) -> Result<(SocketAddr, Reply), ToolError> {
        let mut unsettled = None;
        let mut failures = Vec::new();
        for (position, &server) in self.servers.iter().enumerate() {
            let left = self.end.saturating_duration_since(Instant::now());
            let n_left = u32::try_from(self.servers.len() - position).unwrap_or(u32::MAX);
            match ask(server, query, self.patience.min(left / n_left)).await {
                Ok(reply) if settles(reply.message.metadata.response_code) => {
                    return Ok((server, reply));
                }
                Ok(reply) => unsettled = Some((server, reply)),
                Err(failure) => failures.push((server, failure)),
            }
        }
        unsettled.ok_or_else(|| output::no_answer(query, &failures))
    }
}

fn settles(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

#[expect(clippy::cast_precision_loss, reason = "a handful of names")]
fn to_f64(count: usize) -> f64 {
    count as f64
}
