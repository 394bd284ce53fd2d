//! ICMP echo (RFC 792, RFC 4443 section 4) over sockets that all calls share.
//!
//! One socket per IP version serves every call: a raw socket where the process has the
//! capability `NET_RAW`, otherwise a datagram socket, which Linux gives to the groups of
//! `net.ipv4.ping_group_range`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use socket2::Type;
use surge_ping::{
    Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, Pinger, SurgeError,
};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, sleep};

use crate::Error;
use crate::backlog::Backlog;

/// Tries to send an echo that no other call waits for and that no router redirects.
///
/// With a datagram socket the kernel sets the identifier, and only the 16 bits of the sequence
/// number tell echoes to one host apart.
const MAX_TRIES: u32 = 8;

/// Requests that may be under way at once before they count as late.
///
/// All replies, and on a raw socket all ICMP that the host receives, wait in one receive buffer,
/// whose usual size (`net.core.rmem_default`) holds about a hundred large packets. Without a
/// bound a few hundred calls at once overflowed it on a busy machine, and replies that had come
/// were reported as lost.
const WINDOW: usize = 16;
/// Age at which a request without an answer makes room for another, if the receive buffer has
/// room too.
const LATE: Duration = Duration::from_millis(10);
/// Bytes of unread packets above which nothing more is sent: a quarter of the usual buffer.
const MAX_BACKLOG: u64 = 53_248;

/// The shared sockets.
pub(crate) struct Icmp {
    v4: OnceCell<Shared>,
    v6: OnceCell<Shared>,
    next: Numbers,
    window: Semaphore,
}

/// One socket.
struct Shared {
    client: Client,
    backlog: Option<Backlog>,
}

/// What came of one echo request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The target answered.
    Reply {
        /// Hops that the reply had left; `None` where the socket does not tell.
        ttl: Option<u8>,
        /// From sending to receiving.
        rtt: Duration,
    },
    /// Somebody on the way says that the request cannot be delivered.
    Undelivered {
        /// What they say.
        reason: Reason,
        /// Who says so.
        from: IpAddr,
    },
    /// No answer in time.
    Timeout,
    /// This host did not send it.
    NotSent(io::Error),
}

/// Why a request was not delivered (ICMP type and code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    NetworkUnreachable,
    HostUnreachable,
    ProtocolUnreachable,
    PortUnreachable,
    Prohibited,
    PacketTooBig,
    TtlExceeded,
    Other,
}

impl Icmp {
    /// Sends one echo request of `payload`, as soon as there is room for it, and waits for what
    /// comes of it; the timeout counts from sending.
    ///
    /// # Errors
    /// [`Error::IcmpPermission`] when neither kind of socket may be opened,
    /// [`Error::IcmpSocket`] when it cannot be for another reason.
    pub(crate) async fn echo(
        &self,
        target: SocketAddr,
        payload: &[u8],
        timeout: Duration,
    ) -> Result<Outcome, Error> {
        let shared = self.shared(target.ip()).await?;
        let room = self.window.acquire().await;
        let mut echo = pin!(self.echo_now(&shared.client, target, payload, timeout));
        tokio::select! {
            biased;
            outcome = &mut echo => return outcome,
            () = shared.late() => drop(room),
        }
        echo.await
    }

    async fn echo_now(
        &self,
        client: &Client,
        target: SocketAddr,
        payload: &[u8],
        timeout: Duration,
    ) -> Result<Outcome, Error> {
        let end = Instant::now() + timeout;
        for _ in 0..MAX_TRIES {
            let (identifier, sequence) = self.next.take();
            let mut pinger = client.pinger(target.ip(), identifier).await;
            if let SocketAddr::V6(target) = target {
                pinger.scope_id(target.scope_id());
            }
            pinger.timeout(end.saturating_duration_since(Instant::now()));
            if let Some(outcome) = exchange(pinger, sequence, payload).await? {
                return Ok(outcome);
            }
        }
        Ok(Outcome::NotSent(io::Error::other(
            "routers keep redirecting it, or too many echoes to this host are under way",
        )))
    }

    /// Opens the socket for an address's IP version unless it is open already.
    ///
    /// # Errors
    /// As [`Icmp::echo`].
    pub(crate) async fn open(&self, address: IpAddr) -> Result<(), Error> {
        self.shared(address).await.map(|_| ())
    }

    async fn shared(&self, address: IpAddr) -> Result<&Shared, Error> {
        let (cell, kind) = match address {
            IpAddr::V4(_) => (&self.v4, ICMP::V4),
            IpAddr::V6(_) => (&self.v6, ICMP::V6),
        };
        cell.get_or_try_init(|| async move {
            // The library falls back to the other kind of socket by itself.
            let config = Config::builder()
                .kind(kind)
                .sock_type_hint(Type::RAW)
                .build();
            let client = Client::new(&config).map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => Error::IcmpPermission(error),
                _ => Error::IcmpSocket(error),
            })?;
            let backlog = Backlog::of(client.get_socket().get_native_sock());
            Ok(Shared { client, backlog })
        })
        .await
    }
}

impl Shared {
    /// Waits until a request that was just sent counts as late and what came meanwhile is read.
    async fn late(&self) {
        loop {
            sleep(LATE).await;
            let unread = self.backlog.as_ref().and_then(Backlog::bytes);
            if unread.unwrap_or_default() <= MAX_BACKLOG {
                return;
            }
        }
    }
}

/// `None` when the exchange has to be tried again with other numbers.
async fn exchange(
    mut pinger: Pinger,
    sequence: PingSequence,
    payload: &[u8],
) -> Result<Option<Outcome>, Error> {
    let sent = Instant::now();
    match pinger.ping(sequence, payload).await {
        Ok((packet, rtt)) => {
            // On a fast path the reply can be there before the library has looked at its
            // clock; our own measurement is the upper bound then.
            let rtt = if rtt.is_zero() { sent.elapsed() } else { rtt };
            Ok(outcome(&packet, rtt))
        }
        Err(SurgeError::Timeout { .. }) => Ok(Some(Outcome::Timeout)),
        Err(SurgeError::IOError(error)) => Ok(Some(Outcome::NotSent(error))),
        Err(SurgeError::IdenticalRequests { .. }) => Ok(None),
        Err(error) => Err(Error::IcmpSocket(io::Error::other(error))),
    }
}

/// `None` for a redirect (RFC 1122, section 3.2.2.2), which is advice to the kernel: the
/// request itself was passed on.
fn outcome(packet: &IcmpPacket, rtt: Duration) -> Option<Outcome> {
    let (kind, code, from, ttl) = match packet {
        IcmpPacket::V4(packet) => (
            packet.get_icmp_type().0,
            packet.get_icmp_code().0,
            packet.get_source().into(),
            packet.get_ttl(),
        ),
        IcmpPacket::V6(packet) => (
            packet.get_icmpv6_type().0,
            packet.get_icmpv6_code().0,
            packet.get_source().into(),
            None,
        ),
    };
    let reason = match packet {
        IcmpPacket::V4(_) => reason_v4(kind, code),
        IcmpPacket::V6(_) => reason_v6(kind, code),
    };
    match (packet, kind) {
        (IcmpPacket::V4(_), 0) | (IcmpPacket::V6(_), 129) => Some(Outcome::Reply { ttl, rtt }),
        (IcmpPacket::V4(_), 5) | (IcmpPacket::V6(_), 137) => None,
        _ => Some(Outcome::Undelivered { reason, from }),
    }
}

/// RFC 792 and RFC 1812, section 5.2.7.
fn reason_v4(kind: u8, code: u8) -> Reason {
    match (kind, code) {
        (3, 0 | 6 | 11) => Reason::NetworkUnreachable,
        (3, 1 | 7 | 8 | 12) => Reason::HostUnreachable,
        (3, 2) => Reason::ProtocolUnreachable,
        (3, 3) => Reason::PortUnreachable,
        (3, 4) => Reason::PacketTooBig,
        (3, 9 | 10 | 13..=15) => Reason::Prohibited,
        (11, _) => Reason::TtlExceeded,
        _ => Reason::Other,
    }
}

/// RFC 4443, section 3.
fn reason_v6(kind: u8, code: u8) -> Reason {
    match (kind, code) {
        (1, 0) => Reason::NetworkUnreachable,
        (1, 1 | 5 | 6) => Reason::Prohibited,
        (1, 2 | 3) => Reason::HostUnreachable,
        (1, 4) => Reason::PortUnreachable,
        (2, _) => Reason::PacketTooBig,
        (3, _) => Reason::TtlExceeded,
        (4, 1) => Reason::ProtocolUnreachable,
        _ => Reason::Other,
    }
}

/// Gives every echo request of this process its own identifier and sequence number.
///
/// The start is random, since a raw socket also receives the replies to other processes.
struct Numbers(AtomicU32);

impl Numbers {
    fn take(&self) -> (PingIdentifier, PingSequence) {
        let [a, b, c, d] = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        (
            PingIdentifier(u16::from_be_bytes([a, b])),
            PingSequence(u16::from_be_bytes([c, d])),
        )
    }
}

impl Default for Icmp {
    fn default() -> Self {
        Self {
            v4: OnceCell::new(),
            v6: OnceCell::new(),
            next: Numbers::default(),
            window: Semaphore::new(WINDOW),
        }
    }
}

impl Default for Numbers {
    fn default() -> Self {
        let [a, b, c, d, ..] = *uuid::Uuid::new_v4().as_bytes();
        Self(AtomicU32::new(u32::from_be_bytes([a, b, c, d])))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_echoes_have_the_same_numbers() {
        let numbers = Numbers(AtomicU32::new(u32::MAX - 70_000));
        let seen: HashSet<(u16, u16)> = (0..140_000)
            .map(|_| {
                let (identifier, sequence) = numbers.take();
                (identifier.0, sequence.0)
            })
            .collect();
        assert_eq!(seen.len(), 140_000);
    }

    #[test]
    fn unreachable_is_told_apart_by_type_and_code() {
        for (kind, code, reason) in [
            (3, 0, Reason::NetworkUnreachable),
            (3, 1, Reason::HostUnreachable),
            (3, 13, Reason::Prohibited),
            (11, 0, Reason::TtlExceeded),
            (12, 0, Reason::Other),
        ] {
            assert_eq!(reason_v4(kind, code), reason, "IPv4 {kind}/{code}");
        }
        for (kind, code, reason) in [
            (1, 0, Reason::NetworkUnreachable),
            (1, 3, Reason::HostUnreachable),
            (1, 1, Reason::Prohibited),
            (3, 0, Reason::TtlExceeded),
            (4, 0, Reason::Other),
        ] {
            assert_eq!(reason_v6(kind, code), reason, "IPv6 {kind}/{code}");
        }
    }
}
