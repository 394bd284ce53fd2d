//! An agent with little memory, made of one that has enough.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;

use super::{
    ber::GetBulk,
    relay::{Fate, Relay},
};

/// What a request for too much is answered with (error-status of RFC 3416).
#[derive(Debug, Clone, Copy)]
pub enum Refusal {
    /// `tooBig`, as the standard says.
    TooBig,
    /// `genErr`, as many devices do.
    GenErr,
    /// Nothing at all.
    Silence,
}

/// Stands before an agent and refuses GETBULK requests of SNMP v2c for more repetitions than a
/// limit; everything else passes.
#[derive(Debug)]
pub struct BulkLimit {
    relay: Relay,
    refused: Arc<AtomicUsize>,
}

impl BulkLimit {
    /// Listens on a free port of 127.0.0.1 for `agent`.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(agent: SocketAddr, max_repetitions: u32, refusal: Refusal) -> Result<Self> {
        let refused = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&refused);
        let fate = move |request: &[u8]| match GetBulk::read(request) {
            Some(bulk) if bulk.max_repetitions > max_repetitions => {
                counted.fetch_add(1, Ordering::Relaxed);
                let status = refusal.status();
                status.map_or(Fate::Lost, |status| Fate::Answered(bulk.refuse(status)))
            }
            _ => Fate::Passed(Duration::ZERO),
        };
        let relay = Relay::start(agent, fate).await?;
        Ok(Self { relay, refused })
    }

    /// Where it listens, UDP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.relay.address()
    }

    /// Requests refused so far.
    #[must_use]
    pub fn n_refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Refusal {
    fn status(self) -> Option<u8> {
        match self {
            Self::TooBig => Some(1),
            Self::GenErr => Some(5),
            Self::Silence => None,
        }
    }
}
