//! What all TCP servers here share: accept, serve each connection, end when dropped.

use std::{future::Future, net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::certificates::Files;

/// A listening socket with its tasks; dropping it ends them all.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Listener {
    /// Hands every accepted connection to `serve`, which runs concurrently with the others.
    pub(crate) async fn start<S, F>(at: SocketAddr, serve: S) -> Result<Self>
    where
        S: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(at)
            .await
            .with_context(|| format!("cannot listen on {at}"))?;
        let address = listener.local_addr()?;
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((stream, _)) = listener.accept() => {
                        connections.spawn(serve(stream));
                    }
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self {
            address,
            _accepting: accepting,
        })
    }
}

/// What makes TLS of an accepted connection.
pub(super) fn acceptor(files: &Files) -> Result<TlsAcceptor> {
    let chain =
        CertificateDer::pem_file_iter(&files.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&files.key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
