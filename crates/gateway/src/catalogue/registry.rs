use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::{Announcement, Category, Digest, Instance};
use semver::Version;
use tokio::time::Instant;
use tracing::{info, warn};

use super::snapshot::Snapshot;
use super::tool::Tool;

/// An instance that is silent for longer is gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);
/// How long an instance that said goodbye may still finish what it runs.
const FAREWELL: Duration = Duration::from_secs(30);
/// Most instances that are kept.
const MAX_INSTANCES: usize = 4096;
/// Most tools in one announcement.
const MAX_TOOLS: usize = 10_000;
/// Beyond so many remembered tools, those that nobody offers any more are forgotten.
const MAX_REMEMBERED: usize = 50_000;

/// What the announcements say, as a state machine without a clock or a bus.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    instances: HashMap<Instance, Live>,
    /// Instances that said goodbye, and when they surely are gone.
    leaving: HashMap<Instance, Instant>,
    /// Every tool there ever was, so that a call to one can say what is missing. A name
    /// belongs to the category of the tool that stands here.
    remembered: BTreeMap<String, Arc<Tool>>,
    /// Categories whose tools stay listed without a worker.
    always_listed: HashSet<Category>,
    generation: u64,
}

#[derive(Debug)]
struct Live {
    digest: String,
    tools: Arc<[Arc<Tool>]>,
    last_word: Instant,
}

impl Registry {
    pub(crate) fn new(always_listed: HashSet<Category>) -> Self {
        Self {
            always_listed,
            ..Self::default()
        }
    }

    /// Takes a whole announcement; tools that are not acceptable are logged and left out.
    pub(crate) fn announce(&mut self, announcement: Announcement, now: Instant) {
        let Announcement {
            instance,
            version,
            digest,
            tools,
            ..
        } = announcement;
        if let Some(live) = self
            .instances
            .get_mut(&instance)
            .filter(|live| live.digest == digest)
        {
            live.last_word = now;
            return;
        }
        if !self.instances.contains_key(&instance) && self.instances.len() >= MAX_INSTANCES {
            warn!(?instance, "announcement refused: too many workers");
            return;
        }
        let tools = match (
            self.twin(&instance.category, &digest),
            version.parse::<Version>(),
        ) {
            (Some(tools), _) => tools,
            (None, Ok(version)) => read_tools(&instance, &version, &tools),
            (None, Err(error)) => {
                warn!(?instance, version, %error, "all tools refused: not a semantic version");
                // Kept without tools, so that its digests are no reason to ask again.
                Arc::default()
            }
        };
        self.report_second_claims(&instance, &tools);
        info!(instance = instance.instance, category = %instance.category, version, tools = tools.len(), "worker announced");
        self.instances.insert(
            instance,
            Live {
                digest,
                tools,
                last_word: now,
            },
        );
    }

    /// Takes a sign of life; false when the announcement it stands for is not known.
    pub(crate) fn digest(&mut self, digest: &Digest, now: Instant) -> bool {
        match self.instances.get_mut(&digest.instance) {
            Some(live) if live.digest == digest.digest => {
                live.last_word = now;
                true
            }
            _ => false,
        }
    }

    /// Takes the tools of an instance that says goodbye off the list.
    pub(crate) fn goodbye(&mut self, instance: Instance, now: Instant) {
        if self.instances.remove(&instance).is_some() {
            info!(instance = instance.instance, category = %instance.category, "worker leaves");
            self.leaving.insert(instance, now + FAREWELL);
        }
    }

    /// Forgets instances that have been silent for too long or had the time to leave, and
    /// says which: they finish no call any more.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Instance> {
        let is_silent = |live: &Live| now.duration_since(live.last_word) >= SILENCE;
        let mut gone: Vec<Instance> = self
            .instances
            .extract_if(|_, live| is_silent(live))
            .map(|(gone, _)| gone)
            .collect();
        for instance in &gone {
            warn!(instance = instance.instance, category = %instance.category, "worker gone without a goodbye");
        }
        gone.extend(
            self.leaving
                .extract_if(|_, gone_at| now >= *gone_at)
                .map(|(gone, _)| gone),
        );
        gone
    }

    /// Gives every instance a new lease: nobody could be heard until now.
    pub(crate) fn renew(&mut self, now: Instant) {
        for live in self.instances.values_mut() {
            live.last_word = now;
        }
    }

    /// The catalogue as it is now; its generation grows when the listed tools changed.
    pub(crate) fn snapshot(&mut self, last: &Snapshot) -> Option<Snapshot> {
        let offered = self.offered();
        self.remembered.extend(
            offered
                .iter()
                .map(|(name, tool)| (name.clone(), Arc::clone(tool))),
        );
        if self.remembered.len() > MAX_REMEMBERED {
            self.remembered.retain(|name, _| offered.contains_key(name));
        }
        let listed: Vec<Arc<Tool>> = self
            .remembered
            .values()
            .filter(|tool| {
                offered.contains_key(&tool.name) || self.always_listed.contains(&tool.category)
            })
            .cloned()
            .collect();
        let is_same = last.has_listed(&listed) && last.knows_all(&self.remembered);
        if is_same {
            return None;
        }
        if !last.has_listed(&listed) {
            self.generation += 1;
        }
        Some(Snapshot::new(self.generation, listed, &self.remembered))
    }

    /// The tools that live instances offer: one descriptor for each name, of its owner.
    fn offered(&self) -> BTreeMap<String, Arc<Tool>> {
        let mut claims: BTreeMap<(String, Category), Arc<Tool>> = BTreeMap::new();
        let mut seen = HashSet::new();
        for live in self.instances.values() {
            // Replicas share one set of tools.
            if !seen.insert(Arc::as_ptr(&live.tools).cast::<()>()) {
                continue;
            }
            for tool in live.tools.iter() {
                let claim = (tool.name.clone(), tool.category.clone());
                let best = claims.entry(claim).or_insert_with(|| Arc::clone(tool));
                if tool.outranks(best) {
                    *best = Arc::clone(tool);
                }
            }
        }
        let mut offered: BTreeMap<String, Arc<Tool>> = BTreeMap::new();
        for ((name, category), tool) in claims {
            if self.owner(&name) == Some(&category) || !offered.contains_key(&name) {
                offered.insert(name, tool);
            }
        }
        offered
    }

    fn owner(&self, name: &str) -> Option<&Category> {
        self.remembered.get(name).map(|tool| &tool.category)
    }

    fn twin(&self, category: &Category, digest: &str) -> Option<Arc<[Arc<Tool>]>> {
        self.instances
            .iter()
            .find(|(other, live)| other.category == *category && live.digest == digest)
            .map(|(_, live)| Arc::clone(&live.tools))
    }

    fn report_second_claims(&self, instance: &Instance, tools: &[Arc<Tool>]) {
        for tool in tools {
            let owner = self
                .owner(&tool.name)
                .filter(|owner| **owner != tool.category);
            if let Some(owner) = owner.filter(|owner| self.is_offered_by(&tool.name, owner)) {
                warn!(?instance, tool = tool.name, %owner, "tool refused: the name belongs to another category");
            }
        }
    }

    fn is_offered_by(&self, name: &str, category: &Category) -> bool {
        self.instances.iter().any(|(instance, live)| {
            instance.category == *category && live.tools.iter().any(|tool| tool.name == name)
        })
    }
}

fn read_tools(
    instance: &Instance,
    version: &Version,
    tools: &[Box<serde_json::value::RawValue>],
) -> Arc<[Arc<Tool>]> {
    let mut names = HashSet::new();
    let mut accepted = Vec::new();
    if tools.len() > MAX_TOOLS {
        warn!(
            ?instance,
            tools = tools.len(),
            most = MAX_TOOLS,
            "too many tools: the rest is refused"
        );
    }
    for text in tools.iter().take(MAX_TOOLS) {
        match Tool::read(text, &instance.category, version) {
            Ok(tool) if names.insert(tool.name.clone()) => accepted.push(Arc::new(tool)),
            Ok(tool) => warn!(?instance, tool = tool.name, "tool refused: announced twice"),
            Err(reason) => warn!(?instance, reason, "tool refused"),
        }
    }
    accepted.into()
}
