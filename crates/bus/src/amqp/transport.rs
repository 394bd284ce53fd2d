use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_rs::Tokio;
use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use futures::TryFutureExt;
use futures::io::{AsyncRead, AsyncWrite};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::os::fd::{AsFd, AsRawFd};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};

use super::silence::{Limits, Silence};
use super::{Options, Tls};
use crate::Error;

type Plain = <Tokio as Reactor>::TcpStream;

/// The runtime that lapin works on, with TLS below AMQP.
///
/// It is Tokio in everything but the socket: where TLS is configured, the handshake is
/// done here, so pooled and other connections trust exactly the same authorities.
#[derive(Clone)]
pub(super) struct Transport {
    tokio: Tokio,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    limits: Limits,
}

impl Transport {
    pub(super) fn new(options: &Options, host: &str) -> Result<Self, Error> {
        let tls = if options.uses_tls() {
            let host = host.trim_matches(['[', ']']);
            let name = ServerName::try_from(host.to_owned()).map_err(|error| Error::Settings {
                setting: "AMQP_URL",
                reason: format!("{host:?} cannot be the name on a certificate: {error}"),
            })?;
            let config = client_config(&options.tls.clone().unwrap_or_default())?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        Ok(Self {
            tokio: Tokio::current(),
            tls,
            limits: Limits::of(options),
        })
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

fn client_config(tls: &Tls) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("AMQP_TLS", &error))?
        .with_root_certificates(authorities(tls.ca.as_deref())?);
    match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates("AMQP_CLIENT_CERT", certificate)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| in_file("AMQP_CLIENT_KEY", key, &error))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| unusable("AMQP_CLIENT_KEY", &error))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(_), None) => Err(unusable(
            "AMQP_CLIENT_KEY",
            &"needed beside AMQP_CLIENT_CERT",
        )),
        (None, Some(_)) => Err(unusable(
            "AMQP_CLIENT_CERT",
            &"needed beside AMQP_CLIENT_KEY",
        )),
    }
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    if let Some(file) = file {
        for certificate in certificates("AMQP_CA_CERT", file)? {
            store
                .add(certificate)
                .map_err(|error| in_file("AMQP_CA_CERT", file, &error))?;
        }
    } else {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if store.is_empty() {
            let reason = "this system trusts no certificate authority; name the broker's";
            return Err(unusable("AMQP_CA_CERT", &reason));
        }
    }
    Ok(store)
}

fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| in_file(setting, file, &error))?;
    if certificates.is_empty() {
        return Err(in_file(setting, file, &"it holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn in_file(setting: &'static str, file: &Path, why: &dyn std::fmt::Display) -> Error {
    unusable(setting, &format!("{}: {why}", file.display()))
}

fn unusable(setting: &'static str, why: &dyn std::fmt::Display) -> Error {
    Error::Settings {
        setting,
        reason: why.to_string(),
    }
}

/// A connection, which ends when the broker is silent for too long.
pub(super) struct Socket {
    stream: Stream,
    silence: Silence,
}

/// In the clear or under TLS.
enum Stream {
    Plain(Plain),
    Tls(Box<Compat<TlsStream<Compat<Plain>>>>),
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, silence } = self.get_mut();
        let read = match stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        silence.check(read, cx)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buffer),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Never waits: the farewell of TLS may find no room in a socket that nobody reads, and the
    /// socket is dropped next.
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_close(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_close(cx),
        };
        match closed {
            Poll::Ready(closed) => Poll::Ready(closed),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }
}

impl Reactor for Transport {
    type TcpStream = Socket;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.tokio.register(socket)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.tokio.sleep(duration)
    }

    fn interval(&self, period: Duration) -> impl futures::Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(period)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Socket>> + Send + 'static {
        let plain = self.tokio.tcp_connect_addr(address);
        let (tls, limits) = (self.tls.clone(), self.limits);
        async move {
            let connecting = timeout(limits.connecting(), connect(plain, tls));
            let stream = connecting.await.map_err(io::Error::from)??;
            let silence = Silence::begin(limits);
            Ok(Socket { stream, silence })
        }
    }
}

async fn connect(
    plain: impl Future<Output = io::Result<Plain>>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
) -> io::Result<Stream> {
    let plain = plain.await?;
    let Some((connector, name)) = tls else {
        return Ok(Stream::Plain(plain));
    };
    let stream = connector
        .connect(name, plain.compat())
        .map_err(|error| io::Error::new(error.kind(), format!("TLS: {error}")))
        .await?;
    Ok(Stream::Tls(Box::new(stream.compat())))
}

impl Executor for Transport {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        self.tokio.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn(future)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        work: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(work)
    }
}

impl RuntimeKit for Transport {}
