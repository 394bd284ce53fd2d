//! `snmp_network_topology`: which machines there are, and which interface is wired to which.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use protocol::{ErrorCode, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, Host, Summary, Tool};

use crate::markdown;
use crate::options::AccessOptions;
use crate::sweep;
use crate::topology::crawl::{Plan, Visited, crawl};
use crate::topology::{Graph, Link, LinkEnd, Node, render};

/// Most addresses of a range: 4,096.
const MOST_BITS: u8 = 12;

/// Where to begin, how far to go, and how to speak with the agents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    /// Network whose addresses are searched for agents, such as 10.0.0.0/24; up to 4,096
    /// addresses. Each is waited for as long as `timeout` says, but a second at most; one that a
    /// neighbour names is waited for as long as `timeout` says. This or `seeds` must be given.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    network_range: Option<String>,
    /// Devices to begin with. This or `networkRange` must be given.
    #[serde(default)]
    #[schemars(length(max = 64))]
    seeds: Vec<Host>,
    /// Whether neighbours outside `networkRange` are asked too, as far as the scan scope allows
    /// them; by default so only where no `networkRange` is given.
    #[serde(default)]
    follow_neighbours: Option<bool>,
    /// Most devices to read. Machines of which others speak come on top, up to 5,000 in all.
    #[serde(default = "default_max_devices")]
    #[schemars(range(min = 1, max = 1000))]
    max_devices: usize,
    /// Whether the result also has a `diagram`, and in which language.
    #[serde(default)]
    format: Format,
    /// How to speak with the agents; the same for all of them.
    #[serde(flatten)]
    access: AccessOptions,
}

/// Language of the diagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// No diagram.
    #[default]
    Graph,
    /// A flowchart of Mermaid.
    Mermaid,
    /// The language of Graphviz.
    Dot,
}

/// Machines and how they are wired.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Topology {
    /// The machines.
    nodes: Vec<Node>,
    /// The connections between them; at most 10,000, the surest.
    links: Vec<Link>,
    /// Both as text for a program that draws, where `format` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagram: Option<String>,
    /// Addresses that were asked.
    asked: usize,
    /// Addresses that answered; a machine may have several.
    answered: usize,
    /// Agents that refused, or fell silent before they had said who they are; at most 100. What
    /// one fails to say after that is in its `notes`.
    failed: Vec<Failure>,
    /// Addresses that were not asked, because the scan scope does not allow them; at most 100.
    out_of_scope: Vec<IpAddr>,
    /// Whether machines or links may be missing because a limit was reached: the deadline, the
    /// time for one device, `maxDevices`, or the number of machines or links.
    truncated: bool,
    /// Which limit, the first that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// An agent that could not be read.
#[derive(Debug, Serialize, JsonSchema)]
struct Failure {
    /// Its address.
    address: IpAddr,
    /// What went wrong.
    why: String,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    Tool::new("snmp_network_topology", run)
        .title("Network topology by SNMP")
        .description(
            "Find out which devices there are and which interface is wired to which: asks the \
             agents of a network range or of seed devices for their neighbours (LLDP-MIB, \
             CISCO-CDP-MIB), and completes that with forwarding tables (BRIDGE-MIB, \
             Q-BRIDGE-MIB) and resolved addresses (IP-MIB). A device with several addresses is \
             one node. Each link has both interface names as far as anybody tells them, its \
             evidence and a confidence. With `format` the result also has a Mermaid or Graphviz \
             diagram. Only reads.",
        )
        .read_only()
        .deadline(Duration::from_mins(2), Duration::from_mins(15))
}

async fn run(context: Context, arguments: Arguments) -> Result<Topology, ToolError> {
    let plan = plan(&context, &arguments).await?;
    let n_seeds = plan.seeds.len();
    let mut visited = crawl(&context, plan).await;
    if visited.n_answered == 0 {
        refuse_silence(&mut visited, arguments.network_range.is_some(), n_seeds)?;
    }
    let graph = Graph::build(std::mem::take(&mut visited.devices));
    Ok(Topology::of(graph, visited, arguments.format))
}

async fn plan(context: &Context, arguments: &Arguments) -> Result<Plan, ToolError> {
    let range = arguments
        .network_range
        .as_deref()
        .map(network)
        .transpose()?;
    if range.is_none() && arguments.seeds.is_empty() {
        let error = "neither argument networkRange nor argument seeds is given";
        return Err(
            ToolError::invalid(error).hint("give a network to search, or devices to begin with")
        );
    }
    let mut seeds = Vec::new();
    for seed in &arguments.seeds {
        seeds.extend(context.scope().resolve(seed).await?);
    }
    let access = arguments.access.access()?;
    let follows = arguments.follow_neighbours.unwrap_or(range.is_none());
    let allowed = range.map(|range| allowed(context, range)).transpose()?;
    Ok(Plan {
        access,
        port: arguments.access.port.get(),
        seeds,
        range: allowed.unwrap_or_default(),
        within: range.filter(|_| !follows).into_iter().collect(),
        max_devices: arguments.max_devices,
    })
}

/// The addresses of a network that may be asked. One of which none may is refused, as a single
/// host would be.
fn allowed(context: &Context, range: IpNet) -> Result<Vec<IpAddr>, ToolError> {
    let is_allowed = |address: &IpAddr| context.scope().check(*address).is_ok();
    let allowed: Vec<IpAddr> = range.hosts().filter(is_allowed).collect();
    match range.hosts().next().filter(|_| allowed.is_empty()) {
        Some(first) => context.scope().check(first).map(|()| allowed),
        None => Ok(allowed),
    }
}

/// Of a network without agents the topology is empty. Of devices that the caller named, and of
/// agents that refuse the credentials, it is unknown.
fn refuse_silence(visited: &mut Visited, is_range: bool, n_seeds: usize) -> Result<(), ToolError> {
    if let Some(error) = visited.first_failure.take() {
        return Err(error.into());
    }
    if is_range {
        return Ok(());
    }
    let error = format!("none of the {n_seeds} addresses of the seeds answers SNMP");
    Err(ToolError::new(ErrorCode::Unreachable, error)
        .hint("check `port`, `version` and `community`; agents do not answer a wrong community"))
}

/// Reads the network.
fn network(text: &str) -> Result<IpNet, ToolError> {
    let too_large =
        "search a part of it, or find its agents with snmp_discover and give them as seeds";
    sweep::network("networkRange", text, MOST_BITS, too_large)
}

fn default_max_devices() -> usize {
    200
}

impl Topology {
    fn of(graph: Graph, visited: Visited, format: Format) -> Self {
        let diagram = match format {
            Format::Graph => None,
            Format::Mermaid => Some(render::mermaid(&graph)),
            Format::Dot => Some(render::dot(&graph)),
        };
        let note = visited.cut_short.or(graph.left_out);
        let failed = visited.failed.into_iter();
        Self {
            nodes: graph.nodes,
            links: graph.links,
            diagram,
            asked: visited.n_asked,
            answered: visited.n_answered,
            failed: failed
                .map(|(address, why)| Failure { address, why })
                .collect(),
            out_of_scope: visited.out_of_scope.into_iter().collect(),
            truncated: note.is_some(),
            note: note.map(str::to_owned),
        }
    }
}

impl Summary for Topology {
    fn summary(&self) -> String {
        let names = self.nodes.iter().map(|node| (&node.id, &node.name));
        let names: HashMap<&String, &String> = names.collect();
        let name = |id: &String| {
            names
                .get(id)
                .map_or_else(|| id.clone(), ToString::to_string)
        };
        let end = |end: &LinkEnd| {
            format!(
                "{} {}",
                name(&end.node),
                markdown::or_dash(end.interface.as_ref())
            )
        };
        let table = markdown::table(&["from", "to", "confidence"], &self.links, |link| {
            vec![
                end(&link.a),
                end(&link.b),
                format!("{:.1}", link.confidence),
            ]
        });
        let diagram = self
            .diagram
            .as_ref()
            .map(|diagram| format!("\n```\n{diagram}```\n"));
        let note = self
            .note
            .as_ref()
            .map(|note| format!("\nNot complete: {note}.\n"));
        format!(
            "{} and {}; {} of {} addresses answered\n\n{table}{}{}",
            markdown::count(self.nodes.len(), "node"),
            markdown::count(self.links.len(), "link"),
            self.answered,
            self.asked,
            diagram.unwrap_or_default(),
            note.unwrap_or_default(),
        )
    }
}
