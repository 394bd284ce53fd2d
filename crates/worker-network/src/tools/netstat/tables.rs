//! The kernel's socket tables, `/proc/net/{tcp,tcp6,udp,udp6}` (`proc_pid_net(5)`).

use procfs::ProcError;
use procfs::net::{self, TcpNetEntry, TcpState, UdpNetEntry, UdpState};

use super::{Endpoint, Protocol, Socket, SocketState, Transport};
use crate::Error;

/// Every socket of the protocols asked for.
///
/// A kernel without IPv6 has no tables for it, which is no error.
pub(super) fn read(transport: Transport) -> Result<Vec<Socket>, Error> {
    let mut sockets = Vec::new();
    if transport != Transport::Udp {
        for (proto, entries) in [
            (Protocol::Tcp, present(net::tcp(), "the TCP sockets")?),
            (Protocol::Tcp6, present(net::tcp6(), "the TCP sockets")?),
        ] {
            sockets.extend(entries.iter().map(|entry| tcp(proto, entry)));
        }
    }
    if transport != Transport::Tcp {
        for (proto, entries) in [
            (Protocol::Udp, present(net::udp(), "the UDP sockets")?),
            (Protocol::Udp6, present(net::udp6(), "the UDP sockets")?),
        ] {
            sockets.extend(entries.iter().map(|entry| udp(proto, entry)));
        }
    }
    Ok(sockets)
}

fn present<T>(table: Result<Vec<T>, ProcError>, what: &'static str) -> Result<Vec<T>, Error> {
    match table {
        Err(ProcError::NotFound(Some(path))) if path.to_string_lossy().ends_with('6') => {
            Ok(Vec::new())
        }
        table => table.map_err(|source| Error::Proc { what, source }),
    }
}

fn tcp(proto: Protocol, entry: &TcpNetEntry) -> Socket {
    let state = match entry.state {
        TcpState::Established => SocketState::Established,
        TcpState::SynSent => SocketState::SynSent,
        TcpState::SynRecv | TcpState::NewSynRecv => SocketState::SynRecv,
        TcpState::FinWait1 => SocketState::FinWait1,
        TcpState::FinWait2 => SocketState::FinWait2,
        TcpState::TimeWait => SocketState::TimeWait,
        TcpState::Close => SocketState::Close,
        TcpState::CloseWait => SocketState::CloseWait,
        TcpState::LastAck => SocketState::LastAck,
        TcpState::Listen => SocketState::Listen,
        TcpState::Closing => SocketState::Closing,
    };
    Socket {
        proto,
        local: entry.local_address.into(),
        remote: peer(entry.remote_address.into()),
        state,
        pid: None,
        program: None,
        uid: entry.uid,
        receive_queue: entry.rx_queue,
        send_queue: entry.tx_queue,
        inode: entry.inode,
    }
}

fn udp(proto: Protocol, entry: &UdpNetEntry) -> Socket {
    let state = match entry.state {
        UdpState::Established => SocketState::Established,
        UdpState::Close => SocketState::Unconnected,
    };
    Socket {
        proto,
        local: entry.local_address.into(),
        remote: peer(entry.remote_address.into()),
        state,
        pid: None,
        program: None,
        uid: entry.uid,
        receive_queue: entry.rx_queue,
        send_queue: entry.tx_queue,
        inode: entry.inode,
    }
}

/// The tables write the unspecified address and port 0 where there is no peer.
fn peer(endpoint: Endpoint) -> Option<Endpoint> {
    (endpoint.port != 0 || !endpoint.address.is_unspecified()).then_some(endpoint)
}
