//! Visiting devices, from where the caller says to where they lead.
//!
//! A range is swept, and who answers is visited up to three times: for a few words by which it may
//! be known already, for what tells it from others, and for whom it sees.

mod recognition;
#[cfg(test)]
mod tests;
mod visit;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use worker::Context;

use super::read::Outcome;
use super::{Device, Identity};
use crate::Error;
use crate::client::Access;
use crate::sweep::{self, Probe};
use recognition::Asked;
use visit::{Step, Visit};

/// Agents that are spoken with at once; each of them takes a socket.
const AT_ONCE: usize = 32;
/// Longest wait for an answer while a range is searched: of an address of a range nobody knows
/// whether anybody is there.
const PROBE: Duration = Duration::from_secs(1);
/// Requests per second while a range is searched.
const RATE: u32 = 2_000;
/// What is kept of the deadline for making a graph of what was found.
const RESERVE: Duration = Duration::from_secs(2);
/// What of that is given to the visits that the deadline ends, to hand over what they have.
const GRACE: Duration = Duration::from_millis(500);
/// Addresses that are remembered as refusing the credentials, for the result.
const MOST_REFUSALS: usize = 100;
/// New addresses that one device can lead to.
const MOST_OF_ONE: usize = 512;
/// New addresses that all devices can lead to.
const MOST_OF_ALL: usize = 4_096;

const DEADLINE: &str = "the deadline came before all devices were read";
const NOT_READ: &str = "not read, the deadline came";
const TOO_MANY: &str = "there are more devices than maxDevices";
const TOO_FAR: &str = "devices name more neighbours than are followed";
const NOT_WHOLE: &str = "not all that devices have could be read; their notes say what is missing";
const NO_SOCKET: &str = "the worker has no socket left for some addresses";

/// Where to begin, and how far to go.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How to ask an agent.
    pub(crate) access: Access,
    /// The agents' port.
    pub(crate) port: u16,
    /// Devices to begin with, which the scan scope allows: some of them by their names alone.
    pub(crate) seeds: Vec<IpAddr>,
    /// Addresses at which there may be a device, and which the scan scope allows.
    pub(crate) range: Vec<IpAddr>,
    /// The networks that are not left; no limit where there are none.
    pub(crate) within: Vec<IpNet>,
    /// Most devices to read.
    pub(crate) max_devices: usize,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Visited {
    /// What the devices said.
    pub(crate) devices: Vec<Device>,
    /// Addresses that were asked.
    pub(crate) n_asked: usize,
    /// Addresses that answered.
    pub(crate) n_answered: usize,
    /// Addresses of neighbours that were not asked, because the scan scope does not allow them.
    pub(crate) out_of_scope: BTreeSet<IpAddr>,
    /// Agents that refused or fell silent at once, and why.
    pub(crate) failed: BTreeMap<IpAddr, String>,
    /// The first of these failures, for a caller whom none answered.
    pub(crate) first_failure: Option<Error>,
    /// Why it ended before all was read, if it did.
    pub(crate) cut_short: Option<&'static str>,
}

/// A crawl on its way.
struct Crawl {
    context: Context,
    plan: Plan,
    end: Instant,
    tasks: JoinSet<Step>,
    waiting: VecDeque<Visit>,
    /// Addresses of the range.
    swept: HashSet<IpAddr>,
    /// Those of them that answered.
    found: HashSet<IpAddr>,
    /// Those of these that were silent later, and are visited again.
    again: HashSet<IpAddr>,
    /// Addresses that are or were visited.
    seen: HashSet<IpAddr>,
    /// Those of them that neighbours named.
    n_named: usize,
    /// Devices that are asked who they are, by address.
    asked: HashMap<IpAddr, Asked>,
    /// Addresses that look like those of a device that is asked who it is.
    held: Vec<(IpAddr, Identity)>,
    n_done: usize,
    visited: Visited,
}

/// Visits the devices of a plan and, where they are not left out by it, their neighbours.
///
/// It ends in time for the call's deadline with what it has; dropped, it stops at once.
pub(crate) async fn crawl(context: &Context, plan: Plan) -> Visited {
    let end = context
        .deadline()
        .checked_sub(RESERVE)
        .unwrap_or_else(Instant::now);
    let mut crawl = Crawl::new(context.clone(), end, plan);
    crawl.search().await;
    for seed in std::mem::take(&mut crawl.plan.seeds) {
        crawl.enlist(seed);
    }
    if timeout_at(end, crawl.run()).await.is_err() {
        crawl.cut(DEADLINE);
        crawl.hand_over().await;
    }
    crawl.visited
}

impl Crawl {
    /// One that has not begun, and ends then.
    fn new(context: Context, end: Instant, plan: Plan) -> Self {
        Self {
            context,
            plan,
            end,
            tasks: JoinSet::new(),
            waiting: VecDeque::new(),
            swept: HashSet::new(),
            found: HashSet::new(),
            again: HashSet::new(),
            seen: HashSet::new(),
            n_named: 0,
            asked: HashMap::new(),
            held: Vec::new(),
            n_done: 0,
            visited: Visited::default(),
        }
    }

    /// Finds who answers in the range, in half of the time at most.
    async fn search(&mut self) {
        let now = Instant::now();
        let timing = self.plan.access.timing();
        let plan = sweep::Plan {
            addresses: std::mem::take(&mut self.plan.range),
            port: self.plan.port,
            probe: Probe::of(self.plan.access.credentials()),
            timeout: timing.timeout.min(PROBE),
            retries: timing.retries,
            rate: RATE,
            end: now + self.end.saturating_duration_since(now) / 2,
        };
        if plan.addresses.is_empty() {
            return;
        }
        self.swept = plan.addresses.iter().copied().collect();
        let (context, n_all) = (self.context.clone(), self.swept.len());
        let told = |tally: &sweep::Tally| {
            let n_asked = tally.n_sent - tally.n_retried;
            let message = format!(
                "{n_asked} of {n_all} addresses asked, {} answered",
                tally.n_answered
            );
            context.progress(count(n_asked), Some(count(n_all)), message);
        };
        match sweep::sweep(&plan, told).await {
            Ok((found, tally)) => {
                self.visited.n_asked += tally.n_sent - tally.n_retried;
                if tally.is_cut {
                    self.cut("the deadline came before all addresses were asked");
                }
                self.found = found.iter().map(|it| it.address).collect();
                for found in found {
                    self.enlist(found.address);
                }
            }
            Err(error) => self.fail(error),
        }
    }

    async fn run(&mut self) {
        loop {
            while self.tasks.len() < AT_ONCE
                && let Some(visit) = self.waiting.pop_front()
            {
                let (access, port, end) = (self.plan.access.clone(), self.plan.port, self.end);
                self.tasks
                    .spawn(async move { visit.run(&access, port, end).await });
            }
            match self.tasks.join_next().await {
                Some(Ok(step)) => self.take(step),
                // A task that panicked is a fault of ours, and takes one device with it.
                Some(Err(error)) => tracing::error!(%error, "a visit failed"),
                None if self.held.is_empty() => return,
                // They wait for a visit that failed so.
                None => {
                    self.asked.clear();
                    for (address, identity) in std::mem::take(&mut self.held) {
                        self.recognize(address, identity, false);
                    }
                }
            }
            self.tell();
        }
    }

    /// Takes what the visits have that are under way at the deadline, and says of the others that
    /// they were not made.
    async fn hand_over(&mut self) {
        let until = self.end + GRACE;
        while let Ok(Some(joined)) = timeout_at(until, self.tasks.join_next()).await {
            if let Ok(step) = joined {
                self.take(step);
            }
        }
        for visit in std::mem::take(&mut self.waiting) {
            match visit {
                Visit::Meet(_) => {}
                Visit::Who(address, identity) => {
                    let mut device = Box::new(Device::met(address, identity));
                    device.notes.push(NOT_READ.to_owned());
                    self.told(address, device, Outcome::Silent);
                }
                Visit::Neighbours(number, ..) => {
                    if let Some(device) = self.visited.devices.get_mut(number) {
                        device.notes.push(format!("neighbours: {NOT_READ}"));
                    }
                }
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Silent(address, error) => self.miss(address, error),
            Step::Met(address, identity) => {
                self.visited.n_answered += 1;
                self.recognize(address, identity, true);
            }
            Step::Failed(address, error) => {
                self.refused(address, error);
                self.release(address);
            }
            Step::Told(address, device, outcome) => {
                self.told(address, device, outcome);
                self.release(address);
            }
            Step::Done(number, device, outcome) => self.done(number, *device, outcome),
        }
    }

    /// Nobody answered. Of a range that is as expected, unless somebody did before: who is busy is
    /// asked again when all others have been.
    fn miss(&mut self, address: IpAddr, error: Error) {
        if !self.found.contains(&address) {
            self.n_done += 1;
        } else if self.again.insert(address) {
            self.waiting.push_back(Visit::Meet(address));
        } else {
            self.refused(address, error);
        }
    }

    fn refused(&mut self, address: IpAddr, error: Error) {
        self.n_done += 1;
        if self.visited.failed.len() < MOST_REFUSALS {
            self.visited.failed.insert(address, error.to_string());
        }
        self.fail(error);
    }

    fn done(&mut self, number: usize, device: Device, outcome: Outcome) {
        self.n_done += 1;
        self.note(outcome);
        self.follow(&device);
        if let Some(known) = self.visited.devices.get_mut(number) {
            let before = std::mem::replace(known, device);
            known.join(before);
        }
    }

    /// The neighbours are next: those that the plan and the scan scope allow, and no more than an
    /// honest device can have.
    fn follow(&mut self, device: &Device) {
        let lldp = device.lldp.iter().flat_map(|it| &it.addresses);
        let cdp = device.cdp.iter().flat_map(|it| &it.addresses);
        let mut n_of_one = 0;
        for address in lldp.chain(cdp).map(IpAddr::to_canonical) {
            let within = &self.plan.within;
            let is_within = within.is_empty() || within.iter().any(|it| it.contains(&address));
            if !is_within || !is_reachable(address) || self.seen.contains(&address) {
                continue;
            }
            if self.context.scope().check(address).is_err() {
                if self.visited.out_of_scope.len() < MOST_REFUSALS {
                    self.visited.out_of_scope.insert(address);
                }
                continue;
            }
            if n_of_one >= MOST_OF_ONE || self.n_named >= MOST_OF_ALL {
                self.cut(TOO_FAR);
                return;
            }
            n_of_one += 1;
            self.n_named += 1;
            self.enlist(address);
        }
    }

    /// Puts an address on the list that is not on it. One of the range that was silent and is
    /// named by a neighbour comes on it too: it deserves the patience that the caller asked for.
    fn enlist(&mut self, address: IpAddr) {
        if self.seen.insert(address) {
            self.visited.n_asked += usize::from(!self.swept.contains(&address));
            self.waiting.push_back(Visit::Meet(address));
        }
    }

    fn note(&mut self, outcome: Outcome) {
        if outcome == Outcome::Cut {
            let is_over = Instant::now() >= self.end;
            self.cut(if is_over { DEADLINE } else { NOT_WHOLE });
        }
    }

    fn fail(&mut self, error: Error) {
        if matches!(error, Error::Socket(_)) {
            self.cut(NO_SOCKET);
        }
        self.visited.first_failure.get_or_insert(error);
    }

    fn cut(&mut self, why: &'static str) {
        self.visited.cut_short.get_or_insert(why);
    }

    fn tell(&self) {
        let devices = self.visited.devices.len();
        let message = format!(
            "{devices} devices found, {} addresses answered",
            self.visited.n_answered
        );
        let n_swept = self.swept.len();
        let (done, total) = (n_swept + self.n_done, n_swept + self.seen.len());
        self.context
            .progress(count(done), Some(count(total)), message);
    }
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// Whether an address alone says where to send: one of a link does not say on which.
fn is_reachable(address: IpAddr) -> bool {
    let is_of_link = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !(is_of_link || address.is_unspecified() || address.is_loopback())
}
