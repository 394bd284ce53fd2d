//! An agent with little memory, made of one that has enough.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{net::UdpSocket, task::JoinSet, time::timeout};

use super::ber::GetBulk;
use crate::ports::free_port;

/// How long the agent behind may take for one answer.
const ANSWER: Duration = Duration::from_secs(5);

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
    address: SocketAddr,
    refused: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl BulkLimit {
    /// Listens on a free port of 127.0.0.1 for `agent`.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(agent: SocketAddr, max_repetitions: u32, refusal: Refusal) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, free_port()?)).await?;
        let address = socket.local_addr()?;
        let refused = Arc::new(AtomicUsize::new(0));
        let limit = Limit {
            agent,
            max_repetitions,
            refusal,
            refused: Arc::clone(&refused),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(limit.serve(Arc::new(socket)));
        Ok(Self {
            address,
            refused,
            _tasks: tasks,
        })
    }

    /// Where it listens, UDP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests refused so far.
    #[must_use]
    pub fn n_refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

struct Limit {
    agent: SocketAddr,
    max_repetitions: u32,
    refusal: Refusal,
    refused: Arc<AtomicUsize>,
}

impl Limit {
    async fn serve(self, socket: Arc<UdpSocket>) {
        let mut buffer = vec![0; usize::from(u16::MAX)];
        let mut passing = JoinSet::new();
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let request = buffer.get(..length).unwrap_or_default();
            match GetBulk::read(request) {
                Some(bulk) if bulk.max_repetitions > self.max_repetitions => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    if let Some(status) = self.refusal.status() {
                        // A client that is gone is the client's affair.
                        let _ = socket.send_to(&bulk.refuse(status), client).await;
                    }
                }
                _ => {
                    let (request, agent) = (request.to_vec(), self.agent);
                    let socket = Arc::clone(&socket);
                    passing.spawn(async move {
                        // What gets lost here is lost, as on every network.
                        let _ = pass(&request, agent, &socket, client).await;
                    });
                }
            }
            while passing.try_join_next().is_some() {}
        }
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

async fn pass(
    request: &[u8],
    agent: SocketAddr,
    socket: &UdpSocket,
    client: SocketAddr,
) -> Result<()> {
    let to_agent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    to_agent.connect(agent).await?;
    to_agent.send(request).await?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    let length = timeout(ANSWER, to_agent.recv(&mut answer)).await??;
    socket
        .send_to(answer.get(..length).unwrap_or_default(), client)
        .await?;
    Ok(())
}
