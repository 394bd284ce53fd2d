use std::io;
use std::net::IpAddr;
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use thiserror::Error as ThisError;

/// Why a network tool could not do what it was asked.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// No socket to the kernel's routing tables.
    #[error("cannot open a netlink socket")]
    NetlinkSocket(#[source] io::Error),
    /// The kernel refused a question, or its answer could not be read.
    #[error("cannot read {what} from the kernel")]
    Netlink {
        /// What was asked for.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: rtnetlink::Error,
    },
    /// The netlink socket was closed before the answer.
    #[error("the kernel closed the netlink socket")]
    NetlinkClosed,
    /// No answer from the kernel.
    #[error("the kernel did not answer within {0:?}")]
    KernelSilent(Duration),
    /// A table under `/proc` could not be read.
    #[error("cannot read {what} under /proc")]
    Proc {
        /// Which table.
        what: &'static str,
        /// Why.
        #[source]
        source: procfs::ProcError,
    },
    /// The thread that read `/proc` did not finish.
    #[error("reading /proc was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
    /// There is no such interface.
    #[error("no interface {name:?} on {worker_host}; there are: {known}")]
    NoInterface {
        /// The name asked for.
        name: String,
        /// The host that was looked at.
        worker_host: String,
        /// The names there are, comma separated.
        known: String,
    },
    /// The kernel has no way to an address.
    #[error("{worker_host} has no route to {address}: {why}")]
    NoRoute {
        /// The address asked for.
        address: IpAddr,
        /// The host that was asked.
        worker_host: String,
        /// The kernel's reason.
        why: &'static str,
    },
    /// A link-local address means another neighbour on every interface.
    #[error("{address} is a link-local address, and {found}")]
    LinkLocal {
        /// The address asked for.
        address: IpAddr,
        /// Which interfaces it could be meant on.
        found: String,
    },
    /// Neither kind of ICMP socket may be opened.
    #[error(
        "no permission to open an ICMP socket: the process has no capability NET_RAW, and its group is not in net.ipv4.ping_group_range"
    )]
    IcmpPermission(#[source] io::Error),
    /// An ICMP socket cannot be opened for another reason.
    #[error("cannot open an ICMP socket")]
    IcmpSocket(#[source] io::Error),
    /// A setting names a scan target that is none.
    #[error(transparent)]
    Scope(#[from] worker::ScopeError),
    /// The setting `WHOIS_SERVERS` names a server that is none.
    #[error(transparent)]
    WhoisServers(#[from] crate::tools::whois::ServersError),
    /// The kernel does not let this process send to an address.
    #[error("cannot send to {address}")]
    Send {
        /// The address.
        address: IpAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What the caller or the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoInterface { .. } => "take one of the names listed, or leave `interface` out",
            Self::NoRoute { .. } => {
                "`route` without arguments lists the routes there are; the operator may have to add one"
            }
            Self::LinkLocal { .. } => {
                "use an address of a wider scope, or run a worker that has only the interface you mean"
            }
            Self::IcmpPermission(_) => {
                "the operator gives the worker the capability NET_RAW (containers: cap_add NET_RAW; else setcap cap_net_raw+ep on the binary), or sets the sysctl net.ipv4.ping_group_range to \"0 2147483647\""
            }
            Self::Send { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "it is a broadcast address, or a firewall or `prohibit` route on the worker's host forbids it"
            }
            Self::NetlinkSocket(_) | Self::Proc { .. } => {
                "the worker needs /proc mounted and netlink sockets allowed (seccomp, AppArmor)"
            }
            Self::IcmpSocket(_) => "check the worker's limit of open files and its seccomp profile",
            _ => return None,
        })
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::NoInterface { .. } => ErrorCode::NotFound,
            Self::NoRoute { .. } => ErrorCode::Unreachable,
            Self::LinkLocal { .. } => ErrorCode::Unsupported,
            Self::IcmpPermission(_) => ErrorCode::PermissionDenied,
            Self::Send { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
                io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkDown => ErrorCode::Unreachable,
                _ => ErrorCode::Internal,
            },
            _ => ErrorCode::Internal,
        }
    }
}

impl From<Error> for ToolError {
    /// The one mapping to what a caller sees; the source chain goes to the log only.
    fn from(error: Error) -> Self {
        let code = error.code();
        if code == ErrorCode::Internal {
            tracing::error!(error = &error as &dyn std::error::Error, "tool failed");
        }
        // The operating system's words carry no secret and often are the whole diagnosis.
        let message = match &error {
            Error::Send { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        let tool_error = Self::new(code, message);
        match error.hint() {
            Some(hint) => tool_error.hint(hint),
            None => tool_error,
        }
    }
}
