//! Visiting devices, from where the caller says to where they lead.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use worker::Context;

use super::{Device, Identity, read};
use crate::Error;
use crate::client::{Access, Reader};

/// Addresses that are asked for an agent at once.
const PROBES: usize = 256;
/// Devices that are read at once.
const READS: usize = 16;
/// Longest time for one device.
const READ: Duration = Duration::from_mins(1);
/// What is kept of the deadline for making a graph of what was found.
const RESERVE: Duration = Duration::from_secs(2);
/// Addresses that are remembered as refusing the credentials, for the result.
const MOST_REFUSALS: usize = 100;

/// Where to begin, and how far to go.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How to ask whether there is an agent at an address of a range, with little patience.
    pub(crate) probe: Access,
    /// How to ask an agent that is there.
    pub(crate) access: Access,
    /// The agents' port.
    pub(crate) port: u16,
    /// Devices to begin with.
    pub(crate) seeds: Vec<IpAddr>,
    /// Addresses at which there may be a device.
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
    /// Agents that refused or broke off, and why.
    pub(crate) failed: BTreeMap<IpAddr, String>,
    /// The first of these failures, for a caller whom none answered.
    pub(crate) first_failure: Option<Error>,
    /// Why it ended before all was read, if it did.
    pub(crate) cut_short: Option<&'static str>,
}

/// How long an address is waited for: of one of a range nobody knows whether anybody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    Little,
    Full,
}

/// What a visit came to.
enum Step {
    /// Nobody answered.
    Silent(Patience),
    /// Somebody answered whom we may know already.
    Met(Reader, Identity),
    /// Somebody answered with a failure.
    Failed(Error),
    /// A device has been read.
    Read(Box<Device>),
}

/// A crawl on its way.
struct Crawl {
    context: Context,
    plan: Plan,
    reads: Arc<Semaphore>,
    tasks: JoinSet<(IpAddr, Step)>,
    waiting: VecDeque<(IpAddr, Patience)>,
    /// All addresses, with the patience that each deserves.
    seen: HashMap<IpAddr, Patience>,
    /// Those that did not answer in a short time.
    silent: HashSet<IpAddr>,
    met: Vec<(Identity, BTreeSet<IpAddr>)>,
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
    let mut crawl = Crawl {
        context: context.clone(),
        reads: Arc::new(Semaphore::new(READS)),
        tasks: JoinSet::new(),
        waiting: VecDeque::new(),
        seen: HashMap::new(),
        silent: HashSet::new(),
        met: Vec::new(),
        n_done: 0,
        visited: Visited::default(),
        plan,
    };
    for seed in std::mem::take(&mut crawl.plan.seeds) {
        crawl.enlist(seed, Patience::Full);
    }
    for address in std::mem::take(&mut crawl.plan.range) {
        crawl.enlist(address, Patience::Little);
    }
    if timeout_at(end, crawl.run()).await.is_err() {
        crawl.visited.cut_short = Some("the deadline came before all devices were read");
    }
    crawl.finish()
}

impl Crawl {
    async fn run(&mut self) {
        loop {
            while self.tasks.len() < PROBES
                && let Some((address, patience)) = self.waiting.pop_front()
            {
                let plan = &self.plan;
                let probe = match patience {
                    Patience::Little => plan.probe.clone(),
                    Patience::Full => plan.access.clone(),
                };
                let (access, agent) = (plan.access.clone(), (address, plan.port).into());
                self.tasks.spawn(async move {
                    let met = meet(&probe, &access, agent).await;
                    (address, Step::of(met, patience))
                });
            }
            let Some(joined) = self.tasks.join_next().await else {
                return;
            };
            match joined {
                Ok((address, step)) => self.take(address, step),
                // A task that panicked is a fault of ours, and takes one device with it.
                Err(error) => tracing::error!(%error, "a visit failed"),
            }
            self.tell();
        }
    }

    fn take(&mut self, address: IpAddr, step: Step) {
        match step {
            Step::Silent(Patience::Little) if self.seen.get(&address) == Some(&Patience::Full) => {
                self.waiting.push_back((address, Patience::Full));
            }
            Step::Silent(_) => {
                self.n_done += 1;
                self.silent.insert(address);
            }
            Step::Failed(error) => {
                self.n_done += 1;
                if self.visited.failed.len() < MOST_REFUSALS {
                    self.visited.failed.insert(address, error.to_string());
                }
                self.visited.first_failure.get_or_insert(error);
            }
            Step::Met(reader, identity) => self.meet(address, reader, identity),
            Step::Read(device) => {
                self.n_done += 1;
                self.follow(&device);
                self.visited.devices.push(*device);
            }
        }
    }

    /// Reads a device, unless it has been met at another address.
    fn meet(&mut self, address: IpAddr, reader: Reader, identity: Identity) {
        self.visited.n_answered += 1;
        if let Some((_, addresses)) = self
            .met
            .iter_mut()
            .find(|(known, _)| known.is_same(&identity))
        {
            addresses.insert(address);
            self.n_done += 1;
            return;
        }
        if self.met.len() >= self.plan.max_devices {
            self.visited.cut_short = Some("there are more devices than maxDevices");
            self.n_done += 1;
            return;
        }
        self.met.push((identity.clone(), BTreeSet::from([address])));
        let reads = Arc::clone(&self.reads);
        self.tasks.spawn(async move {
            let _turn = reads.acquire().await;
            let late = Error::Timeout {
                agent: reader.agent(),
                n_asked: 1,
                waited: READ,
            };
            let read = timeout(READ, read::read(&reader, address, identity)).await;
            let step = match read.unwrap_or(Err(late)) {
                Ok(device) => Step::Read(Box::new(device)),
                Err(error) => Step::Failed(error),
            };
            (address, step)
        });
    }

    /// The neighbours are next.
    fn follow(&mut self, device: &Device) {
        let lldp = device.lldp.iter().flat_map(|it| &it.addresses);
        let cdp = device.cdp.iter().flat_map(|it| &it.addresses);
        for address in lldp.chain(cdp) {
            let address = address.to_canonical();
            let within = &self.plan.within;
            let is_within = within.is_empty() || within.iter().any(|it| it.contains(&address));
            if is_within && is_reachable(address) {
                self.enlist(address, Patience::Full);
            }
        }
    }

    /// Puts an address on the list that the scan scope allows and that is not on it. One of the
    /// range that a neighbour names deserves more patience, and is asked again where it was
    /// silent.
    fn enlist(&mut self, address: IpAddr, patience: Patience) {
        match self.seen.get_mut(&address) {
            Some(before) => {
                let is_more = *before == Patience::Little && patience == Patience::Full;
                if is_more {
                    *before = patience;
                }
                if is_more && self.silent.remove(&address) {
                    self.n_done -= 1;
                    self.waiting.push_back((address, patience));
                }
            }
            None if self.context.scope().check(address).is_ok() => {
                self.visited.n_asked += 1;
                self.seen.insert(address, patience);
                self.waiting.push_back((address, patience));
            }
            None if self.visited.out_of_scope.len() < MOST_REFUSALS => {
                self.visited.out_of_scope.insert(address);
            }
            None => {}
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "there are not that many addresses"
    )]
    fn tell(&self) {
        let devices = self.visited.devices.len();
        let message = format!(
            "{devices} devices read, {} answered",
            self.visited.n_answered
        );
        let (done, total) = (self.n_done as f64, self.seen.len() as f64);
        self.context.progress(done, Some(total), message);
    }

    fn finish(mut self) -> Visited {
        for (identity, addresses) in self.met {
            let read = self.visited.devices.iter_mut();
            let same = |it: &&mut Device| it.asked_at.iter().any(|at| addresses.contains(at));
            if let Some(device) = read.into_iter().find(same) {
                device.asked_at.extend(addresses);
            } else {
                tracing::debug!(?identity, "a device was met and not read");
            }
        }
        self.visited
    }
}

/// Whether an address alone says where to send: one of a link does not say on which.
fn is_reachable(address: IpAddr) -> bool {
    let is_of_link = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !(is_of_link || address.is_unspecified() || address.is_loopback())
}

/// Asks who is at an address.
async fn meet(
    probe: &Access,
    access: &Access,
    agent: SocketAddr,
) -> Result<(Reader, Identity), Error> {
    let identity = read::identify(&Reader::new(probe.connect(agent).await?)).await?;
    let reader = Reader::new(access.connect(agent).await?);
    Ok((reader, identity))
}

impl Step {
    fn of(met: Result<(Reader, Identity), Error>, patience: Patience) -> Self {
        match met {
            Ok((reader, identity)) => Self::Met(reader, identity),
            Err(Error::Timeout { .. } | Error::Network { .. }) => Self::Silent(patience),
            Err(error) => Self::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;
    use worker::Scope;

    use super::*;
    use crate::client::{Credentials, Timing};

    #[tokio::test(start_paused = true)]
    async fn a_crawl_ends_before_the_deadline_with_what_it_has() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let timing = Timing {
            timeout: Duration::from_mins(1),
            retries: 9,
        };
        let access = Access::new(Credentials::V2c("public".into()), timing);
        let plan = Plan {
            probe: access.clone(),
            access,
            port: silent.local_addr().unwrap().port(),
            seeds: vec![[127, 0, 0, 1].into(), [8, 8, 8, 8].into()],
            range: Vec::new(),
            within: Vec::new(),
            max_devices: 10,
        };
        let context = Context::for_test(Scope::new(&[], &[]).unwrap());
        let visited = crawl(&context, plan).await;
        assert!(visited.cut_short.unwrap().contains("deadline"));
        assert!(!context.remaining().is_zero());
        assert_eq!(visited.n_asked, 1);
        assert_eq!(visited.out_of_scope, [IpAddr::from([8, 8, 8, 8])].into());
    }
}
