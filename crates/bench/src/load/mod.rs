//! Load: a process that makes calls, and the handle by which it is led.
//!
//! The generator runs in a process and on a thread of its own, so that its processor time is known
//! and is nobody else's. It obeys lines on its standard input: [`control`] has both ends.

mod amqp;
mod calls;
mod client;
mod control;
mod generator;
mod http;
mod record;
mod stdio;

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

pub(crate) use calls::PAYLOAD;
pub(crate) use control::Load;
pub(crate) use generator::generate;
pub(crate) use record::Window;

/// Which calls a generator makes, and to whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Whom it calls.
    pub(crate) target: Target,
    /// Most calls at a time.
    pub(crate) clients: usize,
}

/// Whom a generator calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Target {
    /// A server behind Streamable HTTP, a connection for each client.
    Http { address: SocketAddr, ask: Ask },
    /// A gateway that is started for it, over its standard input and output.
    Stdio(Command),
    /// The tool `echo` of a worker, past all gateways; one connection for all clients.
    Worker { url: String, category: String },
    /// The other end of a bare loop over the broker, one connection for all clients.
    Bare { url: String },
}

/// What is asked over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// A call of the tool `echo` in the stateless revision.
    Call,
    /// The same in a session of an older revision, one for each client.
    CallInSession,
    /// The first page of the list of tools.
    List,
}

/// A program and what it is started with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Command {
    pub(crate) path: String,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Where it runs.
    pub(crate) folder: String,
}

/// How calls follow each other.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Pace {
    /// Closed loop: so many clients, each of which calls again as soon as it has its answer.
    InFlight(usize),
    /// Open loop: so many calls a second, whenever the answers come. The time of a call begins
    /// when it should have been sent.
    PerSecond(u32),
}
