//! `ping`: is a host there, and how long is the way to it?

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};
use worker::{Context, Host, Summary, Tool, markdown};

use crate::icmp::{Icmp, Outcome, Reason};
use crate::{Error, target};

/// Time between two echo requests of one call: what ping(8) lets every user ask for.
const INTERVAL: Duration = Duration::from_millis(200);

/// Whom to ping, and how.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    /// Host to ping. Of a name with several addresses the first one is pinged that this host
    /// has a route to.
    host: Host,
    /// Echo requests to send, 200 ms apart.
    #[serde(default = "default_count")]
    #[schemars(range(min = 1, max = 10))]
    count: u16,
    /// Seconds to wait for each reply.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 30))]
    timeout: u64,
    /// Bytes of data in each request, without the 8 bytes of the ICMP header.
    #[serde(default = "default_size")]
    #[schemars(range(min = 56, max = 1024))]
    size: u16,
}

/// What came back.
#[derive(Debug, Serialize, JsonSchema)]
struct Pinged {
    /// Host as it was asked for.
    host: Host,
    /// Address that was pinged.
    address: IpAddr,
    /// Bytes of data in each request.
    size_bytes: u16,
    /// Echo requests sent.
    sent: u16,
    /// Replies received in time.
    received: u16,
    /// Share of requests without a reply, in percent.
    #[schemars(range(min = 0, max = 100))]
    loss_percent: f64,
    /// Round-trip times in milliseconds; absent when nothing came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_ms: Option<RoundTrip>,
    /// The replies in the order of the requests.
    replies: Vec<Reply>,
    /// The requests without a reply, in their order.
    lost: Vec<Lost>,
}

/// Statistics of round-trip times in milliseconds, to the microsecond.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct RoundTrip {
    /// Shortest.
    min: f64,
    /// Mean.
    avg: f64,
    /// Longest.
    max: f64,
    /// Standard deviation over all replies.
    stddev: f64,
}

/// One reply.
#[derive(Debug, Serialize, JsonSchema)]
struct Reply {
    /// Number of the request, from 1.
    seq: u16,
    /// Hops (IPv4 time to live) that the reply had left; absent for IPv6, and where the worker
    /// may not open a raw socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u8>,
    /// Round-trip time in milliseconds, to the microsecond.
    rtt_ms: f64,
}

/// One request without a reply.
#[derive(Debug, Serialize, JsonSchema)]
struct Lost {
    /// Number of the request, from 1.
    seq: u16,
    /// What is known about it.
    reason: LossReason,
    /// Router or host that reported the loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<IpAddr>,
    /// The operating system's words, for `not_sent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The same, to be reported in place of a result when nothing at all could be sent.
    #[serde(skip)]
    not_sent: Option<io::Error>,
}

/// Why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum LossReason {
    /// Nothing came back in time.
    Timeout,
    /// A router has no route to the network.
    NetworkUnreachable,
    /// The last router, or this host itself, gets no answer on the link (ARP, NDP).
    HostUnreachable,
    /// The host does not know the protocol.
    ProtocolUnreachable,
    /// The host has nothing at that port.
    PortUnreachable,
    /// A firewall or router forbids it.
    Prohibited,
    /// The request was too big for a link on the way.
    PacketTooBig,
    /// It went around too long: a routing loop.
    TtlExceeded,
    /// Another ICMP error was reported.
    OtherError,
    /// The worker's host did not send it.
    NotSent,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    let icmp = Arc::new(Icmp::default());
    Tool::new("ping", move |context, arguments| {
        let icmp = Arc::clone(&icmp);
        async move { run(&icmp, context, arguments).await }
    })
    .title("Ping")
    .description(
        "Send ICMP echo requests to a host, IPv4 or IPv6, and report packet loss and round-trip \
         times. A host that does not answer is a result with a loss of 100 %, not an error; many \
         hosts drop ICMP, so try `telnet` to a known port before calling one down.",
    )
    .read_only()
    .deadline(Duration::from_secs(45), Duration::from_mins(1))
}

async fn run(icmp: &Icmp, context: Context, arguments: Arguments) -> Result<Pinged, ToolError> {
    let addresses = context.scope().resolve(&arguments.host).await?;
    let target = sendable(&addresses).await?;
    icmp.open(target.ip()).await?;
    let payload: Vec<u8> = (0..arguments.size).map(|n| n.to_le_bytes()[0]).collect();
    let (start, payload) = (Instant::now(), payload.as_slice());
    let timeout = Duration::from_secs(arguments.timeout);
    let mut echoes: FuturesUnordered<_> = (0..arguments.count)
        .map(|n| async move {
            sleep_until(start + INTERVAL * u32::from(n)).await;
            (n + 1, icmp.echo(target, payload, timeout).await)
        })
        .collect();
    let (mut replies, mut lost) = (Vec::new(), Vec::new());
    while let Some((seq, outcome)) = echoes.next().await {
        let message = match record(seq, outcome?) {
            Ok(reply) => {
                let message = format!("reply {seq} from {} in {} ms", target.ip(), reply.rtt_ms);
                replies.push(reply);
                message
            }
            Err(unanswered) => {
                let message = format!(
                    "no reply to request {seq}: {}",
                    unanswered.reason.in_words()
                );
                lost.push(unanswered);
                message
            }
        };
        let n_done = u32::try_from(replies.len() + lost.len()).unwrap_or(u32::MAX);
        context.progress(n_done.into(), Some(arguments.count.into()), message);
    }
    if lost.len() == usize::from(arguments.count)
        && lost.iter().all(|loss| loss.not_sent.is_some())
        && let Some(source) = lost.iter_mut().find_map(|loss| loss.not_sent.take())
    {
        let address = target.ip();
        return Err(Error::Send { address, source }.into());
    }
    replies.sort_by_key(|reply| reply.seq);
    lost.sort_by_key(|loss| loss.seq);
    Ok(pinged(arguments, target.ip(), replies, lost))
}

/// The first address that this host can send to.
async fn sendable(addresses: &[IpAddr]) -> Result<SocketAddr, ToolError> {
    let mut refused = None;
    for address in addresses {
        let routed = match target::socket_address(*address, 0).await {
            Ok(target) => target::check_route(target).map(|()| target),
            Err(error) => Err(error),
        };
        match routed {
            Ok(target) => return Ok(target),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.map_or_else(
        || {
            ToolError::new(
                protocol::ErrorCode::NameNotResolved,
                "the host has no address",
            )
        },
        ToolError::from,
    ))
}

fn record(seq: u16, outcome: Outcome) -> Result<Reply, Lost> {
    let lost = |reason| Lost {
        seq,
        reason,
        from: None,
        detail: None,
        not_sent: None,
    };
    Err(match outcome {
        Outcome::Reply { ttl, rtt } => {
            let rtt_ms = to_microseconds(rtt.as_secs_f64() * 1000.0);
            return Ok(Reply { seq, ttl, rtt_ms });
        }
        Outcome::Undelivered { reason, from } => Lost {
            from: Some(from),
            ..lost(reason.into())
        },
        Outcome::Timeout => lost(LossReason::Timeout),
        Outcome::NotSent(error) => Lost {
            detail: Some(error.to_string()),
            not_sent: Some(error),
            ..lost(LossReason::NotSent)
        },
    })
}

fn pinged(arguments: Arguments, address: IpAddr, replies: Vec<Reply>, lost: Vec<Lost>) -> Pinged {
    let times: Vec<f64> = replies.iter().map(|reply| reply.rtt_ms).collect();
    let number = |n_items: usize| u16::try_from(n_items).unwrap_or(u16::MAX);
    let not_sent = lost
        .iter()
        .filter(|loss| loss.reason == LossReason::NotSent);
    let n_not_sent = number(not_sent.count());
    let percentage = 100.0 * f64::from(number(lost.len())) / f64::from(arguments.count.max(1));
    Pinged {
        host: arguments.host,
        address,
        size_bytes: arguments.size,
        sent: arguments.count.saturating_sub(n_not_sent),
        received: number(replies.len()),
        loss_percent: (percentage * 100.0).round() / 100.0,
        rtt_ms: statistics(&times),
        replies,
        lost,
    }
}

fn statistics(times_ms: &[f64]) -> Option<RoundTrip> {
    let n_times = f64::from(u32::try_from(times_ms.len()).ok()?);
    let min = times_ms.iter().copied().reduce(f64::min)?;
    let max = times_ms.iter().copied().reduce(f64::max)?;
    let avg = times_ms.iter().sum::<f64>() / n_times;
    let variance = times_ms
        .iter()
        .map(|time| (time - avg).powi(2))
        .sum::<f64>()
        / n_times;
    Some(RoundTrip {
        min,
        avg: to_microseconds(avg),
        max,
        stddev: to_microseconds(variance.sqrt()),
    })
}

fn to_microseconds(milliseconds: f64) -> f64 {
    (milliseconds * 1000.0).round() / 1000.0
}

fn default_count() -> u16 {
    4
}

fn default_timeout() -> u64 {
    5
}

fn default_size() -> u16 {
    56
}

impl From<Reason> for LossReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::NetworkUnreachable => Self::NetworkUnreachable,
            Reason::HostUnreachable => Self::HostUnreachable,
            Reason::ProtocolUnreachable => Self::ProtocolUnreachable,
            Reason::PortUnreachable => Self::PortUnreachable,
            Reason::Prohibited => Self::Prohibited,
            Reason::PacketTooBig => Self::PacketTooBig,
            Reason::TtlExceeded => Self::TtlExceeded,
            Reason::Other => Self::OtherError,
        }
    }
}

impl LossReason {
    fn in_words(self) -> &'static str {
        match self {
            Self::Timeout => "no answer in time",
            Self::NetworkUnreachable => "network unreachable",
            Self::HostUnreachable => "host unreachable",
            Self::ProtocolUnreachable => "protocol unreachable",
            Self::PortUnreachable => "port unreachable",
            Self::Prohibited => "prohibited",
            Self::PacketTooBig => "packet too big",
            Self::TtlExceeded => "time to live exceeded",
            Self::OtherError => "another ICMP error",
            Self::NotSent => "not sent",
        }
    }
}

impl Summary for Pinged {
    fn summary(&self) -> String {
        let host = if self.host == Host::Address(self.address) {
            self.address.to_string()
        } else {
            format!("{} ({})", self.host, self.address)
        };
        let verdict = if self.received > 0 {
            "answers"
        } else {
            "does not answer"
        };
        let times = self.rtt_ms.as_ref().map_or_else(String::new, |rtt| {
            format!(
                "; round trip min/avg/max/stddev {:.3}/{:.3}/{:.3}/{:.3} ms",
                rtt.min, rtt.avg, rtt.max, rtt.stddev
            )
        });
        let table = markdown::table(
            ["lost request", "reason", "reported by"],
            &self.lost,
            |loss| {
                [
                    loss.seq.to_string(),
                    loss.detail
                        .clone()
                        .unwrap_or_else(|| loss.reason.in_words().to_owned()),
                    markdown::or_dash(loss.from.as_ref()),
                ]
            },
        );
        format!(
            "{host} {verdict}: {} of {} replies, {} % loss{times}\n\n{table}",
            self.received, self.sent, self.loss_percent
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_the_replies() {
        let check = |times: &[f64], expected: Option<[f64; 4]>| {
            let expected = expected.map(|[min, avg, max, stddev]| RoundTrip {
                min,
                avg,
                max,
                stddev,
            });
            assert_eq!(statistics(times), expected, "{times:?}");
        };
        check(&[], None);
        check(&[0.041], Some([0.041, 0.041, 0.041, 0.0]));
        check(
            &[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0],
            Some([2.0, 5.0, 9.0, 2.0]),
        );
        check(&[1.0, 1.002], Some([1.0, 1.001, 1.002, 0.001]));
    }
}
