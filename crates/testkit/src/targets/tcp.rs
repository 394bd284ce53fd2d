//! Plain TCP servers: a banner, silence, whois.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::listener::Listener;

/// A server that says something, or nothing, and keeps the connection open until the client
/// closes it.
#[derive(Debug)]
pub struct TcpServer {
    listener: Listener,
}

impl TcpServer {
    /// Sends `banner` to everyone who connects.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn banner(at: SocketAddr, banner: impl Into<Vec<u8>>) -> Result<Self> {
        let banner: Arc<[u8]> = banner.into().into();
        let serve = move |stream| greet(stream, Arc::clone(&banner));
        Ok(Self {
            listener: Listener::start(at, serve).await?,
        })
    }

    /// Accepts connections and never says a word.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn silent(at: SocketAddr) -> Result<Self> {
        Self::banner(at, Vec::new()).await
    }

    /// Closes every connection at once.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn closing(at: SocketAddr) -> Result<Self> {
        let serve = |stream: TcpStream| async { drop(stream) };
        Ok(Self {
            listener: Listener::start(at, serve).await?,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }
}

async fn greet(mut stream: TcpStream, banner: Arc<[u8]>) {
    // A client that goes early is the client's affair.
    if stream.write_all(&banner).await.is_ok() {
        let mut ignored = [0; 1024];
        while matches!(stream.read(&mut ignored).await, Ok(n) if n > 0) {}
    }
}

/// A whois server (RFC 3912): one line in, text out, close.
#[derive(Debug)]
pub struct WhoisServer {
    listener: Listener,
    queries: Arc<Mutex<Vec<String>>>,
}

impl WhoisServer {
    /// Answers each query line with the text that `answer` gives for it.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(
        at: SocketAddr,
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Result<Self> {
        let queries = Arc::new(Mutex::new(Vec::new()));
        let (answer, heard) = (Arc::new(answer), Arc::clone(&queries));
        let serve = move |stream| {
            let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
            async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                if stream.read_line(&mut line).await.is_ok() {
                    let query = line.trim_end();
                    heard
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(query.to_owned());
                    let text = answer(query);
                    let _ = stream.write_all(text.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            }
        };
        Ok(Self {
            listener: Listener::start(at, serve).await?,
            queries,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address
    }

    /// The lines it was asked, in order.
    #[must_use]
    pub fn queries(&self) -> Vec<String> {
        self.queries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
