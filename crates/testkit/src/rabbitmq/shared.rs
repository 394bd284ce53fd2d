//! The node that all test processes share.
//!
//! Two lock files coordinate processes that know nothing of each other.
//! Each process that uses the node holds a shared lock on `lease` until it ends, by whatever
//! cause; the node's watchdog ends the node when it could take that lock for itself for long
//! enough. `starting` is held by the one process that looks for the node and, where there is
//! none, starts it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::sync::OnceCell;

use super::{
    broker::Broker,
    files::{self, Membership},
    node::{Until, start_watchdog, wait_until_ready},
};
use crate::wait;

/// The node ends when it was unused for so long; long enough for the gap between two tests.
const IDLE: Duration = Duration::from_secs(30);
/// How long another process may take to start or end the node.
const COORDINATION: Duration = Duration::from_mins(2);

/// The node of this process, with the lock that keeps it alive.
#[derive(Debug)]
struct Shared {
    broker: Broker,
    _lease: File,
}

/// The node that all tests of this checkout share; started if there is none.
///
/// Use [`Broker::vhost`] to be alone on it. Never stop or overload it: other tests run on it.
///
/// # Errors
/// `RabbitMQ` is not installed, or does not start.
pub async fn shared() -> Result<&'static Broker> {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    let shared = SHARED.get_or_try_init(find_or_start).await?;
    Ok(&shared.broker)
}

async fn find_or_start() -> Result<Shared> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/testkit/rabbitmq");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    let lease_path = folder.join("lease");
    let lease = open(&lease_path)?;
    let leased = async || lease.try_lock_shared().ok();
    wait::until("the shared broker's lease", COORDINATION, leased).await?;
    let starting = open(&folder.join("starting"))?;
    let locked = async || starting.try_lock().ok();
    wait::until(
        "the shared broker's start by another test",
        COORDINATION,
        locked,
    )
    .await?;
    let note = folder.join("node.json");
    let broker = match running(&note) {
        Some(broker) => broker,
        None => start(&note, &lease_path).await?,
    };
    Ok(Shared {
        broker,
        _lease: lease,
    })
}

/// The node that an earlier process noted down, if it still answers.
fn running(note: &Path) -> Option<Broker> {
    let broker: Broker = serde_json::from_slice(&fs::read(note).ok()?).ok()?;
    broker.is_ready().then_some(broker)
}

async fn start(note: &Path, lease: &Path) -> Result<Broker> {
    let folder: PathBuf = tempfile::Builder::new()
        .prefix("testkit-rabbitmq-shared-")
        .tempdir()?
        .keep();
    let broker = files::create(&folder, None, Membership::alone()?)?;
    // The watchdog is not waited for: it outlives this process.
    start_watchdog(&folder, &broker, Until::Unused(lease, IDLE))?;
    wait_until_ready(&folder, &broker).await?;
    fs::write(note, serde_json::to_vec(&broker)?)?;
    Ok(broker)
}

fn open(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}
