//! `snmp_discover`: who in a network answers to SNMP.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use ipnet::IpNet;
use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use worker::{Context, Summary, Tool};

use crate::client::{Secret, Version};
use crate::sweep::{self, Found, Plan, Probe, Tally};
use crate::{markdown, mib};

/// Most addresses of one sweep: those of a /16.
const MOST_BITS: u8 = 16;
/// Beginning of every cursor; the first address of the page follows.
const CURSOR: &str = "from-";
/// What is left of the deadline when a sweep gives what it has.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Which network, and how to ask.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    /// Network in CIDR notation, up to 65,536 addresses (IPv4 /16, IPv6 /112), or one address.
    #[schemars(length(min = 1, max = 64))]
    target_range: String,
    /// Community of version 1 or 2c. Without it `public`.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(min = 1, max = 255), extend("writeOnly" = true))]
    community: Option<Secret>,
    /// Version of the protocol. With 3 no user is needed: agents tell their engine id, and nothing
    /// else of themselves.
    #[serde(default)]
    version: Version,
    /// UDP port of the agents.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    port: NonZeroU16,
    /// Milliseconds to wait for answers after the last request of a round.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 50, max = 30000))]
    timeout: u64,
    /// Further rounds for addresses that have not answered.
    #[serde(default = "default_retries")]
    #[schemars(range(min = 0, max = 5))]
    retries: u32,
    /// Requests per second; less spares slow networks.
    #[serde(default = "default_rate")]
    #[schemars(range(min = 10, max = 100_000))]
    rate: u32,
    /// Which site's workers sweep: this one's.
    #[serde(default)]
    federation_mode: FederationMode,
    /// At most this many devices.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 5000))]
    limit: usize,
    /// `nextCursor` of the page before; the first page has none. The next page is a sweep of the
    /// rest of the network.
    #[serde(default)]
    #[schemars(length(max = 64))]
    cursor: Option<String>,
}

/// Which sites take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum FederationMode {
    /// The site that the call came to.
    #[default]
    Local,
}

/// Agents that answered, in the order of their addresses.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Discovered {
    /// The network that was swept.
    target_range: String,
    /// The agents of this page.
    devices: Vec<Device>,
    /// What was sent and what came back.
    statistics: Statistics,
    /// Whether agents may be missing: there are more than `limit`, or the deadline came before all
    /// addresses had been asked as often, and waited for as long, as was said.
    truncated: bool,
    /// Where the next page begins; absent where all addresses have been asked. A result that is
    /// truncated without it needs a later deadline, a higher `rate` or fewer `retries`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// An agent that answered.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Device {
    /// Address that was asked.
    address: IpAddr,
    /// Address that the answer came from, where that is another one of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_from: Option<IpAddr>,
    /// Name of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    sys_name: Option<String>,
    /// Description of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    sys_descr: Option<String>,
    /// The maker's identifier of the kind of device, by name where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    sys_object_id: Option<String>,
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    sys_location: Option<String>,
    /// Who to ask about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sys_contact: Option<String>,
    /// Seconds since its agent started.
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    /// Identifier of its SNMP engine in hexadecimal (version 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    engine_id: Option<String>,
    /// Error status with which it answered, if it did not give the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Milliseconds from the last request to the answer.
    rtt_ms: f64,
    /// Requests it took.
    attempts: u32,
}

/// What was sent and what came back.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    /// Addresses that were to be asked: of hosts, in the scan scope.
    addresses: usize,
    /// Addresses that were left out because they are outside the scan scope.
    out_of_scope: usize,
    /// Requests sent, repeated ones included.
    sent: usize,
    /// Requests that were repeated because no answer had come.
    retried: usize,
    /// Addresses that answered.
    answered: usize,
    /// Addresses that the worker's host cannot send to.
    unreachable: usize,
    /// Addresses that were not asked because the deadline came.
    not_asked: usize,
    /// Milliseconds that the sweep took.
    elapsed_ms: u64,
    /// Bytes of answers that the worker's kernel keeps. Below 4 MiB answers of large networks may
    /// be lost and asked for again; the operator can raise `net.core.rmem_max`.
    receive_buffer_bytes: usize,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    Tool::new("snmp_discover", run)
        .title("SNMP discovery")
        .description(
            "Finds the devices of a network that answer to SNMP: asks every address of up to a /16 \
             with one small request, at a pace, and again those that are silent, and gives name, \
             description and kind of each that answers, with what was sent, answered and \
             repeated. Silent are hosts without an agent, and those with another community. \
             Addresses outside the scan scope are left out and counted.",
        )
        .read_only()
        .deadline(Duration::from_mins(2), Duration::from_mins(10))
}

async fn run(context: Context, arguments: Arguments) -> Result<Discovered, ToolError> {
    let network = network(&arguments.target_range)?;
    let probe = arguments.probe()?;
    let from = arguments
        .cursor
        .as_deref()
        .map(|cursor| start(cursor, network));
    let from = from.transpose()?;
    let (addresses, out_of_scope) = hosts(&context, network, from)?;
    let plan = Plan {
        addresses,
        port: arguments.port.get(),
        probe,
        timeout: Duration::from_millis(arguments.timeout),
        retries: arguments.retries,
        rate: arguments.rate,
        end: context.deadline() - LAST_WORDS,
    };
    let started = Instant::now();
    let n_all = plan.addresses.len();
    let (mut found, tally) = sweep::sweep(&plan, |tally| tell(&context, n_all, tally)).await?;
    found.sort_by_key(|device| device.address);
    // Who answers has been asked, so what is beyond the limit comes before what was not asked.
    let beyond = found.get(arguments.limit).map(|device| device.address);
    let rest = beyond.or(tally.first_unasked);
    found.truncate(arguments.limit);
    Ok(Discovered {
        target_range: network.to_string(),
        truncated: rest.is_some() || tally.is_cut,
        next_cursor: rest.map(|address| format!("{CURSOR}{address}")),
        devices: found.into_iter().map(Device::from).collect(),
        statistics: Statistics {
            addresses: n_all,
            out_of_scope,
            sent: tally.n_sent,
            retried: tally.n_retried,
            answered: tally.n_answered,
            unreachable: tally.n_unreachable,
            not_asked: tally.n_unasked,
            elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            receive_buffer_bytes: tally.receive_buffer,
        },
    })
}

fn tell(context: &Context, n_all: usize, tally: &Tally) {
    let n_first = tally.n_sent - tally.n_retried;
    // Answers count too, so that there is progress while repeated requests are on their way.
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let message = format!(
        "{n_first} of {n_all} addresses asked, {} answered, {} asked again",
        tally.n_answered, tally.n_retried
    );
    context.progress(count(tally.n_sent + tally.n_answered), None, message);
}

impl Arguments {
    fn probe(&self) -> Result<Probe, ToolError> {
        let FederationMode::Local = self.federation_mode;
        let community = || self.community.clone().unwrap_or_else(|| "public".into());
        match self.version {
            Version::V1 => Ok(Probe::v1(community())),
            Version::V2c => Ok(Probe::v2c(community())),
            Version::V3 if self.community.is_some() => {
                let error =
                    "argument community is for versions \"1\" and \"2c\"; version 3 has none";
                Err(ToolError::invalid(error).hint("leave community out: no user is needed either"))
            }
            Version::V3 => Ok(Probe::v3()),
        }
    }
}

/// Reads the network.
fn network(text: &str) -> Result<IpNet, ToolError> {
    sweep::network("targetRange", text, MOST_BITS, "sweep it in several calls")
}

/// The first address of a page.
fn start(cursor: &str, network: IpNet) -> Result<IpAddr, ToolError> {
    let address = cursor.strip_prefix(CURSOR).and_then(|it| it.parse().ok());
    let no_cursor = || {
        ToolError::invalid("argument cursor is none that a page of this sweep ended with")
            .hint("take nextCursor of the page before, or leave cursor out for the first page")
    };
    address
        .filter(|address| network.contains(address))
        .ok_or_else(no_cursor)
}

/// The addresses of hosts that may be asked, and how many may not.
fn hosts(
    context: &Context,
    network: IpNet,
    from: Option<IpAddr>,
) -> Result<(Vec<IpAddr>, usize), ToolError> {
    let mut refusal = None;
    let mut n_refused = 0;
    let mut addresses = Vec::new();
    for address in network
        .hosts()
        .filter(|it| from.is_none_or(|from| *it >= from))
    {
        match context.scope().check(address) {
            Ok(()) => addresses.push(address),
            Err(error) => {
                n_refused += 1;
                refusal.get_or_insert(error);
            }
        }
    }
    match refusal {
        Some(refusal) if addresses.is_empty() => Err(refusal),
        _ => Ok((addresses, n_refused)),
    }
}

impl From<Found> for Device {
    fn from(found: Found) -> Self {
        let answer = found.answer;
        Self {
            address: found.address,
            answered_from: Some(found.source).filter(|source| *source != found.address),
            sys_name: answer.name,
            sys_descr: answer.description,
            sys_object_id: answer.object_id.as_ref().map(mib::name_or_number),
            sys_location: answer.location,
            sys_contact: answer.contact,
            uptime_seconds: answer.up_time.map(|time| time.as_secs()),
            engine_id: answer.engine_id.as_deref().map(mib::hex),
            error: answer.error,
            rtt_ms: (found.rtt.as_secs_f64() * 1_000_000.0).round() / 1000.0,
            attempts: found.n_asked,
        }
    }
}

fn default_port() -> NonZeroU16 {
    NonZeroU16::MIN.saturating_add(160)
}

fn default_timeout() -> u64 {
    1000
}

fn default_retries() -> u32 {
    1
}

fn default_rate() -> u32 {
    20_000
}

fn default_limit() -> usize {
    1000
}

impl Summary for Discovered {
    fn summary(&self) -> String {
        let heads = ["address", "name", "description", "ms"];
        let table = markdown::table(&heads, &self.devices, |device| {
            let what = device.sys_descr.as_ref().or(device.engine_id.as_ref());
            vec![
                device.address.to_string(),
                markdown::or_dash(device.sys_name.as_ref()),
                markdown::or_dash(what.or(device.error.as_ref())),
                device.rtt_ms.to_string(),
            ]
        });
        let done = &self.statistics;
        format!(
            "{} in {}: {} addresses, {} requests ({} repeated), {} left out by the scan scope, \
             {} ms\n\n{table}{}{}",
            markdown::count(self.devices.len(), "agent"),
            self.target_range,
            done.addresses,
            done.sent,
            done.retried,
            done.out_of_scope,
            done.elapsed_ms,
            markdown::more(self.next_cursor.as_ref()),
            if self.truncated && self.next_cursor.is_none() {
                "\nNot complete: the deadline came before all silent addresses had been asked again.\n"
            } else {
                ""
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_outside_the_scope_are_left_out() {
        let scope = |deny: &str| worker::Scope::new(&[], &[deny.to_owned()]).unwrap();
        let check = |text: &str, deny: &str, expected: Option<(usize, usize)>| {
            let context = Context::for_test(scope(deny));
            let hosts = hosts(&context, network(text).unwrap(), None);
            let counts = hosts
                .ok()
                .map(|(hosts, n_refused)| (hosts.len(), n_refused));
            assert_eq!(counts, expected, "{text} without {deny}");
        };
        check("10.0.0.0/24", "10.0.0.128/25", Some((127, 127)));
        check("10.0.0.0/24", "10.0.0.0/8", None);
        check("8.8.8.0/24", "10.0.0.0/8", None);
        check("fd00:ec2::254/128", "10.0.0.0/8", None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_that_the_deadline_cuts_goes_on_where_it_ended() {
        let mut cursor = None;
        let mut n_sent = 0;
        for page in 1.. {
            // Nobody answers there, and of 510 addresses at most 300 are asked in 30 seconds.
            let arguments = serde_json::json!({ "targetRange": "127.9.0.0/23", "port": 9,
                "rate": 10, "retries": 0, "cursor": cursor });
            let context = Context::for_test(worker::Scope::default());
            let arguments = serde_json::from_value(arguments).unwrap();
            let page_of = run(context, arguments).await.unwrap();
            n_sent += page_of.statistics.sent;
            assert_eq!(page_of.truncated, page_of.next_cursor.is_some());
            cursor = page_of.next_cursor;
            if cursor.is_none() {
                assert_eq!(page, 2);
                break;
            }
        }
        assert_eq!(n_sent, 510);
    }
}
