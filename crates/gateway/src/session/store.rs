use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::response::RpcError;
use seal::{Keyring, OpenError};
use service::health::Component;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tracing::{info, warn};
use uuid::Uuid;

use super::clock::{Clock, Moment};
use super::others::Others;
use super::outbox::Outbox;
use super::table::{Found, Limits, Table};
use super::token::{self, Agreed};
use super::{Gone, Session};

/// Most sessions of which this replica holds more than is told between replicas.
const MAX_HELD: usize = 10_000;
/// Most sessions of which a replica knows what became of them.
const MAX_KNOWN: usize = 100_000;
/// How long a request waits at the start of the process for what other replicas know.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(2);
/// How often at most one is told of sessions with foreign keys.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// The sessions of HTTP clients.
#[derive(Debug)]
pub(crate) struct Sessions {
    keys: Arc<Keyring>,
    site: String,
    pub(super) clock: Clock,
    /// How often the other replicas are told which sessions were used.
    pub(super) period: Duration,
    pub(super) outbox: Arc<Outbox>,
    /// What other replicas know at the start of this one is known here.
    pub(super) caught_up: watch::Sender<bool>,
    pub(super) others: Others,
    /// Whether clients with sessions are served at all.
    pub(super) is_serving: bool,
    /// Answers to other replicas that are sent at a time.
    pub(super) answers: Semaphore,
    /// Until when the other replicas were told of uses.
    pub(super) reported: Mutex<Option<Moment>>,
    table: Mutex<Table>,
    warned: Mutex<Option<Moment>>,
}

/// What [`Sessions`] need.
#[derive(Debug)]
pub(crate) struct Options {
    /// Seals the identifiers.
    pub(crate) keys: Arc<Keyring>,
    /// The queue prefix: replicas of one site serve each other's sessions.
    pub(crate) site: String,
    /// The name of this gateway.
    pub(crate) instance: String,
    /// How long a session lives without use.
    pub(crate) ttl: Duration,
    /// Up while all other gateways have the same keys; `None` where no clients with sessions are
    /// served, and nothing is said about sessions to others.
    pub(crate) health: Option<Component>,
}

impl Sessions {
    pub(crate) fn new(options: Options) -> Self {
        Self::with(options, Clock::system(), MAX_HELD, MAX_KNOWN)
    }

    fn with(options: Options, clock: Clock, held: usize, known: usize) -> Self {
        let period = (options.ttl / 10).clamp(Duration::from_secs(1), Duration::from_secs(30));
        let limits = Limits {
            // The last use at another replica may not be known here for so long.
            idle: options.ttl + period,
            held,
            known,
        };
        Self {
            outbox: Arc::new(Outbox::new(options.instance.clone(), clock)),
            is_serving: options.health.is_some(),
            others: Others::new(options.instance, options.keys.ids(), options.health),
            keys: options.keys,
            site: options.site,
            clock,
            period,
            caught_up: watch::Sender::new(false),
            answers: Semaphore::new(2),
            reported: Mutex::default(),
            table: Mutex::new(Table::new(limits, clock.now())),
            warned: Mutex::default(),
        }
    }

    /// Opens a session and gives its identifier: visible ASCII, 6 KiB at most.
    ///
    /// # Errors
    /// Invalid params, naming the member of `initialize` that makes the identifier too long.
    pub(crate) fn open(&self, mut session: Session) -> Result<String, RpcError> {
        session.created = self.clock.unix_ms();
        session.client_info = token::reduced(&session.client_info);
        let token = token::seal(&self.keys, &self.site, &session.start())?;
        self.table().hold(session, &self.outbox, self.clock.now());
        Ok(token)
    }

    /// The session of an identifier, whichever replica opened it; using it keeps it open.
    ///
    /// At the start of the process it waits for what other replicas know, for 2 s at most.
    ///
    /// # Errors
    /// [`Gone`] when it is over, or never was.
    pub(crate) async fn find(&self, token: &str) -> Result<Arc<Session>, Gone> {
        let agreed = self.opened(token)?;
        self.catch_up(agreed.id).await;
        let (created, now) = (self.clock.at(agreed.created), self.clock.now());
        let mut table = self.table();
        match table.find(agreed.id, created, now) {
            Found::Held(session) => Ok(session),
            Found::Elsewhere => Ok(table.hold(Session::agreed(agreed), &self.outbox, now)),
            Found::Over(gone) => Err(gone),
        }
    }

    /// Ends a session everywhere, and stops what it runs. The other replicas know it when this
    /// returns, as far as they can be told; see [`Sessions::known`].
    ///
    /// # Errors
    /// [`Gone`] when it was over already, or never was.
    pub(crate) async fn end(&self, token: &str) -> Result<(), Gone> {
        let session = self.find(token).await?;
        let (id, expires) = (session.id(), session.expires());
        self.table().end(id, expires, self.clock.now());
        stop(&session);
        self.outbox.ended(id, expires);
        self.outbox.known(id).await;
        Ok(())
    }

    /// Waits until the other replicas know what has changed in a session; at once where nothing
    /// has. Without a broker it waits for 2 s, and for replicas that do not say that they know
    /// for 250 ms: those learn it later.
    pub(crate) async fn known(&self, session: &Session) {
        self.outbox.known(session.id()).await;
    }

    /// How many sessions this replica holds.
    pub(crate) fn len(&self) -> usize {
        self.table().len()
    }

    /// Ends what was idle for too long or is too old.
    pub(super) fn sweep(&self) {
        let (now, unix_ms) = (self.clock.now(), self.clock.unix_ms());
        let ended = self.table().sweep(now, unix_ms).len();
        if ended > 0 {
            info!(ended, "idle sessions ended");
        }
        self.others.expire(now, 3 * self.period);
        self.outbox.replicas.expire(now, 3 * self.period);
        self.outbox.forget();
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, token: &str) -> Result<Agreed, Gone> {
        let opened = Agreed::open(&self.keys, &self.site, token, self.clock.wall());
        opened.map_err(|error| match error {
            OpenError::Expired => Gone::Expired,
            OpenError::UnknownKey => {
                self.warn_of_other_keys();
                Gone::OtherKey
            }
            _ => Gone::Unknown,
        })
    }

    /// Waits until the other replicas have said what they know, where this one holds nothing.
    async fn catch_up(&self, id: Uuid) {
        if *self.caught_up.borrow() || self.table().held(id).is_some() {
            return;
        }
        let mut caught_up = self.caught_up.subscribe();
        // What is not known after that is learnt later.
        let _ = timeout(CATCH_UP_LIMIT, caught_up.wait_for(|it| *it)).await;
    }

    fn warn_of_other_keys(&self) {
        let now = self.clock.now();
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|last| last.until(now) >= WARN_EVERY) {
            *warned = Some(now);
            warn!(
                "a client came with a session of another key: either it is older than this \
                 gateway, or another gateway has another SESSION_KEY"
            );
        }
    }
}

#[cfg(test)]
impl Sessions {
    /// The sessions of a gateway without other replicas.
    pub(crate) fn for_test(keys: &Arc<Keyring>) -> Self {
        Self::new(Options {
            keys: Arc::clone(keys),
            site: "test".to_owned(),
            instance: "test".to_owned(),
            ttl: Duration::from_mins(30),
            health: None,
        })
    }
}

/// Stops what a session has under way here, because its client ended it.
pub(super) fn stop(session: &Session) {
    session.ended().cancel();
    session.running().cancel_all();
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
