//! One TCP connection, or the class of its failure.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Class, Failure};
use crate::{Error, target};

/// Connects to one address within a time.
///
/// # Errors
/// Only for what says nothing about the target: see [`Error`]. Everything else is an outcome.
pub(super) async fn connect(
    address: IpAddr,
    port: u16,
    limit: Duration,
) -> Result<Result<TcpStream, Failure>, Error> {
    let target = match target::socket_address(address, port).await {
        Ok(target) => target,
        Err(error @ Error::LinkLocal { .. }) => {
            return Ok(Err(failure(Class::Unreachable, error.to_string())));
        }
        Err(error) => return Err(error),
    };
    match timeout(limit, TcpStream::connect(target)).await {
        Err(_) => {
            let message = format!("no answer within {:.1} s", limit.as_secs_f64());
            Ok(Err(failure(Class::Timeout, message)))
        }
        Ok(Ok(stream)) if is_own_end(&stream) => {
            // It must not stay behind as TIME_WAIT on the port that was asked about.
            let _ = stream.set_zero_linger();
            let message = "nothing listens there: the connection met its own end (TCP \
                           simultaneous open on this host)";
            Ok(Err(failure(Class::Refused, message.to_owned())))
        }
        Ok(Ok(stream)) => Ok(Ok(stream)),
        Ok(Err(source)) => match class(&source) {
            Some(class) => Ok(Err(failure(class, source.to_string()))),
            None => Err(Error::Send { address, source }),
        },
    }
}

/// Whether both ends are one: the kernel may choose the port asked about as the source port of
/// a connection to this host, and then TCP connects the socket to itself.
fn is_own_end(stream: &TcpStream) -> bool {
    match (stream.local_addr(), stream.peer_addr()) {
        (Ok(local), Ok(peer)) => local == peer,
        _ => false,
    }
}

/// What the kernel says about the target; `None` for faults of this host.
fn class(error: &io::Error) -> Option<Class> {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Some(Class::Refused),
        ErrorKind::TimedOut => Some(Class::Timeout),
        // Linux reports ICMPv6 "administratively prohibited" and routes of type `prohibit` as
        // lack of permission.
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::PermissionDenied => Some(Class::Unreachable),
        _ => None,
    }
}

fn failure(error_class: Class, error_message: String) -> Failure {
    Failure {
        error_class,
        error_message,
    }
}
