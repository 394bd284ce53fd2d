//! What stands between a client and an agent.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Result;
use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::ports::free_port;

/// How long the agent behind may take for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// What becomes of a request.
#[derive(Debug)]
pub enum Fate {
    /// The agent gets it, and the client its answer, so much later.
    Passed(Duration),
    /// The client gets this answer.
    Answered(Vec<u8>),
    /// It is lost.
    Lost,
}

/// Stands before an agent and decides what becomes of each request.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Listens on a free port of 127.0.0.1 for `agent`. `fate` is asked for every datagram in the
    /// order of their coming.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(
        agent: SocketAddr,
        fate: impl FnMut(&[u8]) -> Fate + Send + 'static,
    ) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, free_port()?)).await?;
        let address = socket.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(agent, Arc::new(socket), fate));
        Ok(Self {
            address,
            _tasks: tasks,
        })
    }

    /// Where it listens, UDP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(
    agent: SocketAddr,
    socket: Arc<UdpSocket>,
    mut fate: impl FnMut(&[u8]) -> Fate + Send,
) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    let mut passing = JoinSet::new();
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let request = buffer.get(..length).unwrap_or_default();
        match fate(request) {
            Fate::Passed(delay) => {
                let (request, socket) = (request.to_vec(), Arc::clone(&socket));
                passing.spawn(async move {
                    // What gets lost here is lost, as on every network.
                    let _ = pass(&request, agent, delay, &socket, client).await;
                });
            }
            Fate::Answered(answer) => {
                // A client that is gone is the client's affair.
                let _ = socket.send_to(&answer, client).await;
            }
            Fate::Lost => {}
        }
        while passing.try_join_next().is_some() {}
    }
}

async fn pass(
    request: &[u8],
    agent: SocketAddr,
    delay: Duration,
    socket: &UdpSocket,
    client: SocketAddr,
) -> Result<()> {
    let to_agent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    to_agent.connect(agent).await?;
    to_agent.send(request).await?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    let length = timeout(ANSWER, to_agent.recv(&mut answer)).await??;
    sleep(delay).await;
    socket
        .send_to(answer.get(..length).unwrap_or_default(), client)
        .await?;
    Ok(())
}
