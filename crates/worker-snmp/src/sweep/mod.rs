//! Asking very many addresses at once whether an agent is there.
//!
//! One socket sends one small request to each address, at a pace, and takes whatever comes back;
//! an answer belongs to a request by its identifier alone, because agents with several addresses
//! may answer from another one.

mod probe;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

pub(crate) use probe::{Answer, Probe};

use crate::Error;

/// What the kernel is asked to keep of answers that were not read yet. With its default a burst
/// of answers is lost.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Time between two bursts of requests.
const TICK: Duration = Duration::from_millis(2);
/// How long to wait when the kernel has no room for another request.
const NO_ROOM: Duration = Duration::from_millis(5);
/// How often to wait so for one request.
const PATIENCE: usize = 20;
/// Longest answer that is read.
const ANSWER: usize = 4096;

/// Whom to ask, how, and how fast.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) port: u16,
    pub(crate) probe: Probe,
    /// How long to wait for answers after the last request of a round.
    pub(crate) timeout: Duration,
    /// Further rounds, for addresses that have not answered.
    pub(crate) retries: u32,
    /// Requests per second.
    pub(crate) rate: u32,
    /// When to stop whatever is left.
    pub(crate) end: Instant,
}

/// One agent that answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) address: IpAddr,
    /// Where the answer came from.
    pub(crate) source: IpAddr,
    /// Time from the last request to the answer.
    pub(crate) rtt: Duration,
    /// Requests that were sent to it.
    pub(crate) n_asked: u32,
    pub(crate) answer: Answer,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Requests that were sent, repeated ones included.
    pub(crate) n_sent: usize,
    /// Requests that were repeated.
    pub(crate) n_retried: usize,
    /// Addresses that answered.
    pub(crate) n_answered: usize,
    /// Addresses that this host cannot send to.
    pub(crate) n_unreachable: usize,
    /// Addresses that were never asked, because the time was over.
    pub(crate) n_unasked: usize,
    /// Bytes of answers that the kernel keeps for us.
    pub(crate) receive_buffer: usize,
}

/// What is known of one address.
#[derive(Debug, Clone, Copy)]
struct State {
    n_asked: u32,
    asked_at: Option<Instant>,
    is_done: bool,
}

/// A sweep under way.
struct Sweep<'a> {
    plan: &'a Plan,
    socket: UdpSocket,
    states: Vec<State>,
    found: Vec<Found>,
    tally: Tally,
    buffer: Vec<u8>,
}

/// Asks all addresses; `told` is told again and again how many were asked and answered.
///
/// Whoever drops the future stops it at once.
///
/// # Errors
/// [`Error::Socket`].
pub(crate) async fn sweep(
    plan: &Plan,
    mut told: impl FnMut(&Tally),
) -> Result<(Vec<Found>, Tally), Error> {
    let is_v6 = plan.addresses.iter().any(IpAddr::is_ipv6);
    let (socket, receive_buffer) = socket(is_v6).map_err(Error::Socket)?;
    let unasked = State {
        n_asked: 0,
        asked_at: None,
        is_done: false,
    };
    let mut sweep = Sweep {
        plan,
        socket,
        states: vec![unasked; plan.addresses.len()],
        found: Vec::new(),
        tally: Tally {
            receive_buffer,
            ..Tally::default()
        },
        buffer: vec![0; ANSWER],
    };
    for _round in 0..=plan.retries {
        if !sweep.round(&mut told).await {
            break;
        }
        sweep.wait(&mut told).await;
    }
    let Sweep {
        states,
        found,
        mut tally,
        ..
    } = sweep;
    tally.n_unasked = states
        .iter()
        .filter(|it| it.n_asked == 0 && !it.is_done)
        .count();
    Ok((found, tally))
}

impl Sweep<'_> {
    /// Sends to everybody who has not answered yet. `false` when there is nobody, or no time.
    async fn round(&mut self, told: &mut impl FnMut(&Tally)) -> bool {
        let open: Vec<usize> = (0..self.states.len())
            .filter(|index| !self.states[*index].is_done)
            .collect();
        let ticks_per_second = u32::try_from(1000 / TICK.as_millis()).unwrap_or(1);
        let burst = usize::try_from(self.plan.rate / ticks_per_second).unwrap_or(1);
        // Slower than one request per tick is a longer tick.
        let tick = if burst == 0 {
            Duration::from_secs(1) / self.plan.rate.max(1)
        } else {
            TICK
        };
        let mut ticks = interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for requests in open.chunks(burst.max(1)) {
            ticks.tick().await;
            if Instant::now() >= self.plan.end {
                return false;
            }
            for index in requests {
                // An answer that came meanwhile makes the request needless.
                if !self.states[*index].is_done {
                    self.ask(*index).await;
                }
            }
            self.take_all();
            told(&self.tally);
        }
        !open.is_empty()
    }

    /// Takes answers until the time of this round is over, or everybody has answered.
    async fn wait(&mut self, told: &mut impl FnMut(&Tally)) {
        let until = (Instant::now() + self.plan.timeout).min(self.plan.end);
        while self.states.iter().any(|state| !state.is_done) {
            if timeout_at(until, self.socket.readable()).await.is_err() {
                break;
            }
            self.take_all();
            told(&self.tally);
        }
    }

    async fn ask(&mut self, index: usize) {
        let Some(request) = self.plan.probe.request(index) else {
            return;
        };
        let target = SocketAddr::new(self.plan.addresses[index], self.plan.port);
        for _try in 0..PATIENCE {
            match self.socket.send_to(&request, target).await {
                Ok(_) => {
                    self.asked(index);
                    return;
                }
                // The kernel is out of room for packets, or for neighbours it waits for.
                Err(error) if is_no_room(&error) => {
                    self.take_all();
                    sleep(NO_ROOM).await;
                }
                Err(_) => break,
            }
        }
        self.states[index].is_done = true;
        self.tally.n_unreachable += 1;
    }

    fn asked(&mut self, index: usize) {
        let state = &mut self.states[index];
        self.tally.n_sent += 1;
        self.tally.n_retried += usize::from(state.n_asked > 0);
        state.n_asked += 1;
        state.asked_at = Some(Instant::now());
    }

    /// Takes every answer that is there.
    fn take_all(&mut self) {
        while let Ok((length, source)) = self.socket.try_recv_from(&mut self.buffer) {
            let message = self.buffer.get(..length).unwrap_or_default();
            if let Some((index, answer)) = self.plan.probe.answer(message) {
                self.take(index, source.ip().to_canonical(), answer);
            }
        }
    }

    fn take(&mut self, index: usize, source: IpAddr, answer: Answer) {
        let Some(state) = self.states.get_mut(index) else {
            return;
        };
        let Some(asked_at) = state.asked_at.filter(|_| !state.is_done) else {
            return;
        };
        state.is_done = true;
        self.tally.n_answered += 1;
        self.found.push(Found {
            address: self.plan.addresses[index],
            source,
            rtt: asked_at.elapsed(),
            n_asked: state.n_asked,
            answer,
        });
    }
}

fn is_no_room(error: &io::Error) -> bool {
    /// `ENOBUFS` of Linux.
    const NO_BUFFER_SPACE: i32 = 105;
    error.raw_os_error() == Some(NO_BUFFER_SPACE)
}

/// A socket for all addresses of one version, and how much the kernel keeps for it.
fn socket(is_v6: bool) -> io::Result<(UdpSocket, usize)> {
    let (domain, any): (_, IpAddr) = if is_v6 {
        (Domain::IPV6, Ipv6Addr::UNSPECIFIED.into())
    } else {
        (Domain::IPV4, Ipv4Addr::UNSPECIFIED.into())
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    // The kernel gives as much as net.core.rmem_max allows, and that is not an error.
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(any, 0).into())?;
    let size = socket.recv_buffer_size()?;
    Ok((UdpSocket::from_std(socket.into())?, size))
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;
    use crate::client::Secret;

    /// An agent that answers from the `from`-th request on, as what it was asked.
    async fn agent(from: usize) -> (u16, tokio::task::JoinSet<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let mut buffer = vec![0; 2048];
            let mut n_asked = 0;
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                n_asked += 1;
                if n_asked >= from {
                    let answer = probe::tests::answer_to(&buffer[..length]);
                    socket.send_to(&answer, client).await.unwrap();
                    // Twice, as networks do.
                    socket.send_to(&answer, client).await.unwrap();
                }
            }
        });
        (port, tasks)
    }

    fn plan(port: u16, addresses: &[&str]) -> Plan {
        Plan {
            addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
            port,
            probe: Probe::v2c(Secret::from("public")),
            timeout: Duration::from_millis(300),
            retries: 2,
            rate: 1000,
            end: Instant::now() + Duration::from_secs(30),
        }
    }

    #[tokio::test]
    async fn who_answers_late_is_asked_again_and_counted_once() {
        let (port, _tasks) = agent(2).await;
        // Nobody listens at the second address.
        let plan = plan(port, &["127.0.0.1", "127.0.0.2"]);
        let (found, tally) = sweep(&plan, |_| ()).await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].address, IpAddr::from([127, 0, 0, 1]));
        assert_eq!(found[0].n_asked, 2);
        assert_eq!(found[0].answer.name.as_deref(), Some("switch-1"));
        assert_eq!((tally.n_sent, tally.n_retried, tally.n_answered), (5, 3, 1));
        assert!(tally.receive_buffer > 0);
    }

    #[tokio::test]
    async fn it_ends_when_everybody_has_answered() {
        let (port, _tasks) = agent(1).await;
        let mut plan = plan(port, &["127.0.0.1"]);
        plan.timeout = Duration::from_secs(20);
        let started = Instant::now();
        let (found, tally) = sweep(&plan, |_| ()).await.unwrap();
        assert_eq!((found.len(), tally.n_sent), (1, 1));
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test]
    async fn it_stops_at_its_end() {
        let addresses = vec!["127.0.0.9"; 500];
        let mut plan = plan(9, &addresses);
        plan.rate = 1000;
        plan.end = Instant::now() + Duration::from_millis(100);
        let (_, tally) = sweep(&plan, |_| ()).await.unwrap();
        assert!(tally.n_unasked > 0 && tally.n_sent > 0, "{tally:?}");
    }
}
