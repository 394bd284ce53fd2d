use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::{Announcement, Category, Digest, Instance, headers};
use semver::Version;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::{info, warn};

use super::item::Item;
use super::kind::{Kind, PerKind};
use super::list::List;
use super::snapshot::Snapshot;

/// An instance that is silent for longer is gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(15);
/// How long an instance that said goodbye may still finish what it runs.
const FAREWELL: Duration = Duration::from_secs(30);
/// Most instances that are kept.
const MAX_INSTANCES: usize = 4096;
/// Most items of one kind in one announcement.
const MAX_ITEMS: usize = 10_000;
/// Most templates in one announcement: each is tried for a URI that is no resource's.
const MAX_TEMPLATES: usize = 1000;
/// Beyond so many remembered items of a kind, those that nobody offers any more are forgotten.
const MAX_REMEMBERED: usize = 50_000;

/// What the announcements say, as a state machine without a clock or a bus.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    instances: HashMap<Instance, Live>,
    /// Instances that said goodbye, and when they surely are gone.
    leaving: HashMap<Instance, Instant>,
    /// Everything there ever was, so that a call to it can say what is missing. A key belongs to
    /// the category of the item that stands here.
    remembered: PerKind<BTreeMap<String, Arc<Item>>>,
    /// Categories whose items stay listed without a worker.
    always_listed: HashSet<Category>,
}

/// What an instance offers.
type Offer = PerKind<Vec<Arc<Item>>>;

#[derive(Debug)]
struct Live {
    digest: String,
    offer: Arc<Offer>,
    last_word: Instant,
    /// See [`Announcement::encodings`].
    reads_zstd: bool,
    /// See [`Digest::taken_up_to`].
    taken_up_to: Option<u64>,
}

/// The live workers of one category.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crew {
    pub(crate) workers: usize,
    /// See [`Digest::taken_up_to`]: of all of them.
    pub(crate) taken_up_to: Option<u64>,
}

impl Registry {
    pub(crate) fn new(always_listed: HashSet<Category>) -> Self {
        Self {
            always_listed,
            ..Self::default()
        }
    }

    /// Takes a whole announcement; items that are not acceptable are logged and left out.
    pub(crate) fn announce(&mut self, announcement: Announcement, now: Instant) {
        let instance = announcement.instance.clone();
        let reads_zstd = announcement.encodings.iter().any(|it| it == headers::ZSTD);
        if let Some(live) = self
            .instances
            .get_mut(&instance)
            .filter(|live| live.digest == announcement.digest)
        {
            live.last_word = now;
            return;
        }
        if !self.instances.contains_key(&instance) && self.instances.len() >= MAX_INSTANCES {
            warn!(?instance, "announcement refused: too many workers");
            return;
        }
        let twin = self.twin(&instance.category, &announcement.digest);
        let offer = twin.unwrap_or_else(|| Arc::new(read_offer(&announcement)));
        self.report_second_claims(&instance, &offer);
        info!(
            instance = instance.instance,
            category = %instance.category,
            version = announcement.version,
            tools = offer[Kind::Tool].len(),
            resources = offer[Kind::Resource].len(),
            templates = offer[Kind::Template].len(),
            prompts = offer[Kind::Prompt].len(),
            "worker announced"
        );
        let live = Live {
            digest: announcement.digest,
            offer,
            last_word: now,
            reads_zstd,
            taken_up_to: None,
        };
        self.instances.insert(instance, live);
    }

    /// Takes a sign of life; false when the announcement it stands for is not known.
    pub(crate) fn digest(&mut self, digest: &Digest, now: Instant) -> bool {
        match self.instances.get_mut(&digest.instance) {
            Some(live) if live.digest == digest.digest => {
                live.last_word = now;
                live.taken_up_to = digest.taken_up_to.max(live.taken_up_to);
                true
            }
            _ => false,
        }
    }

    /// Takes what an instance that says goodbye offered off the lists.
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

    /// Who works, by category.
    pub(crate) fn crews(&self) -> BTreeMap<Category, Crew> {
        let mut crews: BTreeMap<Category, Crew> = BTreeMap::new();
        for (instance, live) in &self.instances {
            let crew = crews.entry(instance.category.clone()).or_default();
            crew.workers += 1;
            crew.taken_up_to = crew.taken_up_to.max(live.taken_up_to);
        }
        crews
    }

    /// Whether every worker of a category reads compressed requests, and there is one.
    pub(crate) fn reads_zstd(&self, category: &Category) -> bool {
        let mut workers = self
            .instances
            .iter()
            .filter(|(instance, _)| instance.category == *category)
            .peekable();
        workers.peek().is_some() && workers.all(|(_, live)| live.reads_zstd)
    }

    /// Gives every instance a new lease: nobody could be heard until now.
    pub(crate) fn renew(&mut self, now: Instant) {
        for live in self.instances.values_mut() {
            live.last_word = now;
        }
    }

    /// The catalogue as it is now; `None` when it is as it was. The generation of a list grows
    /// when what it shows changed.
    pub(crate) fn snapshot(&mut self, last: &Snapshot) -> Option<Snapshot> {
        let mut is_same = true;
        let lists = PerKind::of(|kind| match self.list(kind, last.list(kind)) {
            Some(new) => {
                is_same = false;
                Arc::new(new)
            }
            None => Arc::clone(last.list(kind)),
        });
        (!is_same).then(|| Snapshot::new(lists))
    }

    fn list(&mut self, kind: Kind, last: &List) -> Option<List> {
        let offered = self.offered(kind);
        let remembered = &mut self.remembered[kind];
        remembered.extend(
            offered
                .iter()
                .map(|(key, item)| (key.clone(), Arc::clone(item))),
        );
        if remembered.len() > MAX_REMEMBERED {
            remembered.retain(|key, _| offered.contains_key(key));
        }
        let listed: Vec<Arc<Item>> = remembered
            .values()
            .filter(|item| {
                offered.contains_key(&item.key) || self.always_listed.contains(&item.category)
            })
            .cloned()
            .collect();
        let is_listed = last.has_listed(&listed);
        if is_listed && last.knows_all(remembered) {
            return None;
        }
        let generation = last.generation() + u64::from(!is_listed);
        Some(List::new(kind, generation, listed, remembered))
    }

    /// What live instances offer: one descriptor for each key, of its owner.
    fn offered(&self, kind: Kind) -> BTreeMap<String, Arc<Item>> {
        let mut claims: BTreeMap<(&str, &Category), &Arc<Item>> = BTreeMap::new();
        let mut seen = HashSet::new();
        for live in self.instances.values() {
            // Replicas share one offer.
            if !seen.insert(Arc::as_ptr(&live.offer)) {
                continue;
            }
            for item in &live.offer[kind] {
                let best = claims.entry((&item.key, &item.category)).or_insert(item);
                if item.outranks(best) {
                    *best = item;
                }
            }
        }
        let mut offered: BTreeMap<String, Arc<Item>> = BTreeMap::new();
        for ((key, category), item) in claims {
            if self.owner(kind, key) == Some(category) || !offered.contains_key(key) {
                offered.insert(key.to_owned(), Arc::clone(item));
            }
        }
        offered
    }

    fn owner(&self, kind: Kind, key: &str) -> Option<&Category> {
        self.remembered[kind].get(key).map(|item| &item.category)
    }

    fn twin(&self, category: &Category, digest: &str) -> Option<Arc<Offer>> {
        self.instances
            .iter()
            .find(|(other, live)| other.category == *category && live.digest == digest)
            .map(|(_, live)| Arc::clone(&live.offer))
    }

    fn report_second_claims(&self, instance: &Instance, offer: &Offer) {
        for kind in Kind::ALL {
            for item in &offer[kind] {
                let owner = self
                    .owner(kind, &item.key)
                    .filter(|owner| **owner != item.category)
                    .filter(|owner| self.is_offered_by(kind, &item.key, owner));
                if let Some(owner) = owner {
                    warn!(
                        ?instance, kind = kind.word(), key = item.key, %owner,
                        "refused: the name belongs to another category"
                    );
                }
            }
        }
    }

    fn is_offered_by(&self, kind: Kind, key: &str, category: &Category) -> bool {
        self.instances.iter().any(|(instance, live)| {
            instance.category == *category && live.offer[kind].iter().any(|item| item.key == key)
        })
    }
}

fn read_offer(announcement: &Announcement) -> Offer {
    let (instance, version) = (&announcement.instance, &announcement.version);
    let version: Version = match version.parse() {
        Ok(version) => version,
        Err(error) => {
            warn!(?instance, version, %error, "everything refused: not a semantic version");
            // Kept without items, so that its digests are no reason to ask again.
            return Offer::default();
        }
    };
    PerKind::of(|kind| {
        let texts = match kind {
            Kind::Tool => &announcement.tools,
            Kind::Resource => &announcement.resources,
            Kind::Template => &announcement.resource_templates,
            Kind::Prompt => &announcement.prompts,
        };
        read_items(kind, instance, &version, texts)
    })
}

fn read_items(
    kind: Kind,
    instance: &Instance,
    version: &Version,
    texts: &[Box<RawValue>],
) -> Vec<Arc<Item>> {
    let most = if kind == Kind::Template {
        MAX_TEMPLATES
    } else {
        MAX_ITEMS
    };
    let (word, number) = (kind.word(), texts.len());
    if number > most {
        warn!(
            ?instance,
            kind = word,
            number,
            most,
            "too many: the rest is refused"
        );
    }
    let mut keys = HashSet::new();
    let mut accepted = Vec::new();
    for text in texts.iter().take(most) {
        match Item::read(kind, text, &instance.category, version) {
            Ok(item) if keys.insert(item.key.clone()) => accepted.push(Arc::new(item)),
            Ok(item) => warn!(
                ?instance,
                kind = word,
                key = item.key,
                "refused: announced twice"
            ),
            Err(reason) => warn!(?instance, kind = word, reason, "refused"),
        }
    }
    accepted
}
