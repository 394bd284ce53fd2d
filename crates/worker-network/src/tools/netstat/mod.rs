//! `netstat`: the TCP and UDP sockets of the worker's host.

mod owners;
mod tables;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use worker::{Context, HostIdentity, Page, Summary, Tool, markdown, paginate};

use crate::Error;
use owners::Owners;

/// Which sockets to list.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// List only sockets that wait for others: TCP in state `LISTEN` and UDP without a peer.
    #[serde(default)]
    listening: bool,
    /// Transport protocol, over IPv4 and IPv6.
    #[serde(default)]
    protocol: Transport,
    /// Also find the process of each socket. Processes of other users need the capability
    /// `SYS_PTRACE`; `notes` in the result says when some could not be looked into.
    #[serde(default)]
    programs: bool,
    #[serde(flatten)]
    page: Page,
}

/// Transport protocols to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Transport {
    Tcp,
    Udp,
    #[default]
    All,
}

/// The sockets of the worker's host.
#[derive(Debug, Serialize, JsonSchema)]
struct SocketList {
    #[serde(flatten)]
    host: HostIdentity,
    /// By protocol, local port, local address and peer.
    sockets: Vec<Socket>,
    /// Cursor of the next page; absent on the last one.
    #[serde(rename = "nextCursor", skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Whether there are more sockets than this page holds.
    truncated: bool,
    /// What is missing in the list, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct Socket {
    /// Protocol and IP version.
    proto: Protocol,
    /// Its own end.
    local: Endpoint,
    /// The other end; absent while there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<Endpoint>,
    /// State of the connection.
    state: SocketState,
    /// Process that holds it, the lowest number if there are several; only with `programs`, and
    /// absent for sockets that belong to no process any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    /// Name of that process, at most 15 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    program: Option<String>,
    /// User that made the socket.
    uid: u32,
    /// Bytes received that the program has not read; for listening TCP sockets, connections
    /// that it has not accepted.
    receive_queue: u32,
    /// Bytes sent that the peer has not acknowledged.
    send_queue: u32,
    #[serde(skip)]
    inode: u64,
}

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
struct Endpoint {
    /// Address; `0.0.0.0` and `::` stand for every address of the host.
    address: IpAddr,
    /// Port.
    port: u16,
}

/// Protocol and IP version of a socket; a socket of `tcp6` or `udp6` may serve IPv4 as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    Tcp,
    Tcp6,
    Udp,
    Udp6,
}

/// State of a socket as netstat(8) names it; UDP has `UNCONNECTED` and `ESTABLISHED` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum SocketState {
    Established,
    SynSent,
    SynRecv,
    #[serde(rename = "FIN_WAIT1")]
    FinWait1,
    #[serde(rename = "FIN_WAIT2")]
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    Unconnected,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    Tool::new("netstat", run)
        .title("Sockets")
        .description(
            "List the TCP and UDP sockets of the worker's host, IPv4 and IPv6: both ends, state, \
             user, queues and, with `programs`, process. Set `listening` to see which services \
             wait for connections. It reads the kernel's tables and sends nothing; the result \
             names the worker host and site it speaks for.",
        )
        .read_only()
        .closed_world()
        .deadline(Duration::from_secs(30), Duration::from_mins(2))
}

async fn run(context: Context, arguments: Arguments) -> Result<SocketList, ToolError> {
    let (transport, listening) = (arguments.protocol, arguments.listening);
    let mut sockets = blocking(move |_| {
        let mut sockets = tables::read(transport)?;
        sockets.retain(|socket| !listening || socket.is_listening());
        Ok(sockets)
    })
    .await?;
    sockets.sort_by_key(Socket::order);
    let mut page = paginate(&arguments.page, sockets)?;
    let mut notes = Vec::new();
    if arguments.programs {
        let owners = blocking(Owners::read).await?;
        notes.extend(owners.name(&mut page.items));
    }
    Ok(SocketList {
        host: context.host().clone(),
        sockets: page.items,
        next_cursor: page.next_cursor,
        truncated: page.truncated,
        notes,
    })
}

/// Runs work that reads files on a thread of its own, and tells it when nobody waits any more.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&CancellationToken) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let abandoned = CancellationToken::new();
    let _guard = abandoned.clone().drop_guard();
    tokio::task::spawn_blocking(move || work(&abandoned))
        .await
        .map_err(Error::Interrupted)?
}

impl Socket {
    fn is_listening(&self) -> bool {
        matches!(self.state, SocketState::Listen | SocketState::Unconnected)
    }

    fn order(&self) -> (Protocol, u16, IpAddr, Option<Endpoint>, u64) {
        (
            self.proto,
            self.local.port,
            self.local.address,
            self.remote,
            self.inode,
        )
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            address: address.ip(),
            port: address.port(),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

impl Summary for SocketList {
    fn summary(&self) -> String {
        let table = markdown::table(
            ["proto", "local", "remote", "state", "process", "uid"],
            &self.sockets,
            |socket| {
                let process = match (&socket.program, socket.pid) {
                    (Some(program), Some(pid)) => format!("{program} ({pid})"),
                    _ => "-".to_owned(),
                };
                [
                    format!("{:?}", socket.proto).to_lowercase(),
                    socket.local.to_string(),
                    markdown::or_dash(socket.remote.as_ref()),
                    socket.state.name(),
                    process,
                    socket.uid.to_string(),
                ]
            },
        );
        let notes: Vec<String> = self
            .notes
            .iter()
            .map(|note| format!("\nNote: {note}\n"))
            .collect();
        format!(
            "{} of {} (site {})\n\n{table}{}{}",
            markdown::count(self.sockets.len(), "socket"),
            self.host.worker_host,
            self.host.site,
            markdown::more(self.next_cursor.as_ref()),
            notes.concat(),
        )
    }
}

impl SocketState {
    /// As it stands in the structured result.
    fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(name)) => name,
            _ => format!("{self:?}"),
        }
    }
}
