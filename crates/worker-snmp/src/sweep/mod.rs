//! Asking very many addresses at once whether an agent is there.
//!
//! One socket sends one small request to each address, at a pace, and takes whatever comes back.
//! An answer belongs to a request by its identifier, which is drawn at random, because agents with
//! several addresses may answer from another one. Who has once answered with an identifier that
//! nobody was asked with is guessing, and believed of its own address alone.

mod ids;
mod network;
mod pace;
mod probe;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

pub(crate) use network::network;
pub(crate) use probe::{Answer, Probe};

use crate::Error;
use ids::Ids;
use pace::Pace;

/// What the kernel is asked to keep of answers that were not read yet. With its default a burst
/// of answers is lost.
const RECEIVE_BUFFER: usize = 4 << 20;
/// How long to wait when the kernel has no room for another request.
const NO_ROOM: Duration = Duration::from_millis(5);
/// How often to wait so for one request.
const PATIENCE: usize = 20;
/// Longest answer that is read.
const ANSWER: usize = 4096;
/// Most hosts that are remembered as guessing; with more of them, everybody is taken for one.
const MOST_GUESSERS: usize = 1024;

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
    /// When to stop whatever is left. The last requests are sent so long before that their answers
    /// are still waited for.
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
    /// The first of them; all before it were asked.
    pub(crate) first_unasked: Option<IpAddr>,
    /// Whether the time was over before all that did not answer had been asked in every round.
    pub(crate) is_cut: bool,
    /// Bytes of answers that the kernel keeps for us.
    pub(crate) receive_buffer: usize,
}

/// What is known of one address.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    n_asked: u32,
    asked_at: Option<Instant>,
    has_answered: bool,
    /// Whether this host could not send to it at the last attempt.
    is_unreachable: bool,
}

/// A sweep under way.
struct Sweep<'a> {
    plan: &'a Plan,
    /// When the last request is sent.
    last_request: Instant,
    socket: UdpSocket,
    ids: Ids,
    states: Vec<State>,
    /// Addresses that have not answered.
    n_open: usize,
    guessers: HashSet<IpAddr>,
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
    let mut sweep = Sweep::open(plan)?;
    for _round in 0..=plan.retries {
        let were_all_asked = sweep.round(&mut told).await;
        let had_all_time = sweep.wait(&mut told).await;
        if sweep.n_open == 0 {
            break;
        }
        if !(were_all_asked && had_all_time) {
            sweep.tally.is_cut = true;
            break;
        }
    }
    Ok(sweep.finish())
}

impl<'a> Sweep<'a> {
    fn open(plan: &'a Plan) -> Result<Self, Error> {
        let is_v6 = plan.addresses.iter().any(IpAddr::is_ipv6);
        let (socket, receive_buffer) = socket(is_v6).map_err(Error::Socket)?;
        let left = plan.end.saturating_duration_since(Instant::now());
        let n_addresses = plan.addresses.len();
        Ok(Self {
            plan,
            last_request: plan.end - plan.timeout.min(left / 2),
            socket,
            ids: Ids::draw(n_addresses),
            states: vec![State::default(); n_addresses],
            n_open: n_addresses,
            guessers: HashSet::new(),
            found: Vec::new(),
            tally: Tally {
                receive_buffer,
                ..Tally::default()
            },
            buffer: vec![0; ANSWER],
        })
    }

    /// Sends to everybody who has not answered yet. `false` when there is no time for all.
    async fn round(&mut self, told: &mut impl FnMut(&Tally)) -> bool {
        let mut open = (0..self.states.len())
            .filter(|index| !self.states[*index].has_answered)
            .collect::<Vec<usize>>()
            .into_iter();
        let mut pace = Pace::new(self.plan.rate);
        let mut ticks = interval(pace.tick());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while open.len() > 0 {
            ticks.tick().await;
            if Instant::now() >= self.last_request {
                return false;
            }
            for index in open.by_ref().take(pace.burst()) {
                // An answer that came meanwhile makes the request needless.
                if !self.states[index].has_answered {
                    self.ask(index).await;
                }
            }
            self.take_all();
            told(&self.tally);
        }
        true
    }

    /// Takes answers until the time of this round is over, or everybody has answered. `false` when
    /// the time of the sweep was over before.
    async fn wait(&mut self, told: &mut impl FnMut(&Tally)) -> bool {
        let until = Instant::now() + self.plan.timeout;
        while self.n_open > 0 {
            let until = until.min(self.plan.end);
            if timeout_at(until, self.socket.readable()).await.is_err() {
                break;
            }
            self.take_all();
            told(&self.tally);
        }
        until <= self.plan.end
    }

    /// Sends to one address. What goes wrong may go well in the next round: a firewall's table is
    /// full for a moment, or a route is about to come back.
    async fn ask(&mut self, index: usize) {
        let id = self.ids.of(index);
        let Some(request) = id.and_then(|id| self.plan.probe.request(id)) else {
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
        self.states[index].is_unreachable = true;
    }

    fn asked(&mut self, index: usize) {
        let state = &mut self.states[index];
        self.tally.n_sent += 1;
        self.tally.n_retried += usize::from(state.n_asked > 0);
        state.n_asked += 1;
        state.asked_at = Some(Instant::now());
        state.is_unreachable = false;
    }

    /// Takes every answer that is there.
    fn take_all(&mut self) {
        while let Ok((length, source)) = self.socket.try_recv_from(&mut self.buffer) {
            let message = self.buffer.get(..length).unwrap_or_default();
            if let Some((id, answer)) = self.plan.probe.answer(message) {
                self.take(id, source.ip().to_canonical(), answer);
            }
        }
    }

    fn take(&mut self, id: i32, source: IpAddr, answer: Answer) {
        let Some(index) = self.ids.index(id) else {
            if self.guessers.len() < MOST_GUESSERS {
                self.guessers.insert(source);
            }
            return;
        };
        let address = self.plan.addresses[index];
        let is_guess = || self.guessers.len() >= MOST_GUESSERS || self.guessers.contains(&source);
        if source != address && is_guess() {
            return;
        }
        let state = &mut self.states[index];
        let Some(asked_at) = state.asked_at.filter(|_| !state.has_answered) else {
            return;
        };
        state.has_answered = true;
        self.n_open -= 1;
        self.tally.n_answered += 1;
        self.found.push(Found {
            address,
            source,
            rtt: asked_at.elapsed(),
            n_asked: state.n_asked,
            answer,
        });
    }

    fn finish(self) -> (Vec<Found>, Tally) {
        let mut tally = self.tally;
        for (address, state) in self.plan.addresses.iter().zip(&self.states) {
            if state.n_asked > 0 {
                continue;
            }
            if state.is_unreachable {
                tally.n_unreachable += 1;
            } else {
                tally.n_unasked += 1;
                tally.first_unasked.get_or_insert(*address);
            }
        }
        (self.found, tally)
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
