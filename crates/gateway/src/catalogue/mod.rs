//! Which tools, resources and prompts there are, from what workers announce.
//!
//! [`listen`] hears the announcements and keeps a [`registry::Registry`]; requests read the
//! latest [`Snapshot`], which is immutable, so no request waits for an announcement.

mod descriptor;
mod item;
mod kind;
mod list;
mod listen;
mod registry;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::Category;
use registry::Registry;
use tokio::sync::watch;

pub(crate) use item::{Deadlines, Item};
pub(crate) use kind::Kind;
pub(crate) use listen::Listener;
pub(crate) use registry::Crew;
pub(crate) use snapshot::Snapshot;

/// How long a request waits at the start of the process for the workers to be heard.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

/// What is known now; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Catalogue {
    snapshot: watch::Receiver<Arc<Snapshot>>,
    settled: watch::Receiver<bool>,
    registry: Arc<Mutex<Registry>>,
}

/// The writing side of a [`Catalogue`].
#[derive(Debug)]
struct Writer {
    snapshot: watch::Sender<Arc<Snapshot>>,
    settled: watch::Sender<bool>,
}

impl Catalogue {
    fn new(registry: Arc<Mutex<Registry>>) -> (Writer, Self) {
        let (snapshot, reader) = watch::channel(Arc::new(Snapshot::default()));
        let (settled, is_settled) = watch::channel(false);
        (
            Writer { snapshot, settled },
            Self {
                snapshot: reader,
                settled: is_settled,
                registry,
            },
        )
    }

    /// The catalogue at this moment.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// The live workers by category.
    pub(crate) fn crews(&self) -> BTreeMap<Category, Crew> {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.crews()
    }

    /// Whether every worker of a category reads compressed requests, and there is one.
    pub(crate) fn reads_zstd(&self, category: &Category) -> bool {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.reads_zstd(category)
    }

    /// Waits until the catalogue has what is looked for, which may never be.
    pub(crate) async fn appears(&self, mut is_there: impl FnMut(&Snapshot) -> bool) {
        let mut snapshot = self.snapshot.clone();
        let ended = snapshot
            .wait_for(|snapshot| is_there(snapshot))
            .await
            .is_err();
        if ended {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the workers that were running when this process started have had the
    /// time to announce themselves; false when there was no hearing them.
    pub(crate) async fn settled(&self) -> bool {
        let mut settled = self.settled.clone();
        matches!(
            tokio::time::timeout(SETTLE_LIMIT, settled.wait_for(|settled| *settled)).await,
            Ok(Ok(_))
        )
    }
}

#[cfg(test)]
mod tests;
