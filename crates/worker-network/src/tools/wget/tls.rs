//! The TLS handshake, with a certificate check that remembers what it saw.

use std::sync::{Arc, OnceLock};
use std::{fmt, io};

use protocol::{ErrorCode, ToolError};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, ProtocolVersion, RootCertStore,
    SignatureScheme,
};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use worker::Host;

use super::certificate::{Certificate, moment};

/// What was agreed with the server, and its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Tls {
    /// Protocol version, such as `TLS 1.3`.
    version: String,
    /// Cipher suite, such as `TLS13_AES_256_GCM_SHA384`.
    cipher_suite: String,
    /// The server's certificate. It was checked: trusted issuer, right name, valid now.
    #[serde(flatten)]
    certificate: Certificate,
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificate = &self.certificate;
        write!(
            f,
            "{}, certificate of {} until {}",
            self.version, certificate.subject, certificate.not_after
        )
    }
}

/// Which authorities are trusted.
#[derive(Debug)]
pub(super) struct Trust {
    extra_roots: Vec<CertificateDer<'static>>,
    verifier: OnceCell<Arc<WebPkiServerVerifier>>,
}

impl Trust {
    /// Trusts the authorities of the host (or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`), and
    /// more.
    pub(super) fn new(extra_roots: Vec<CertificateDer<'static>>) -> Self {
        Self {
            extra_roots,
            verifier: OnceCell::new(),
        }
    }

    /// Agrees on TLS with the server at the other end of a connection.
    ///
    /// # Errors
    /// `tls_failed` with the reason and what the server's certificate says; `unsupported` where
    /// no authority at all is trusted.
    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        host: &Host,
    ) -> Result<(TlsStream<TcpStream>, Option<Tls>), ToolError> {
        let inner = self.verifier.get_or_try_init(|| self.load()).await?;
        let witness = Arc::new(Witness {
            inner: Arc::clone(inner),
            seen: OnceLock::new(),
        });
        let config = client(Arc::clone(&witness))?;
        let name = match host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.as_str().to_owned())
                .map_err(|error| ToolError::invalid(format!("{host}: {error}")))?,
        };
        let connector = TlsConnector::from(Arc::new(config));
        match connector.connect(name, stream).await {
            Ok(stream) => {
                let tls = agreed(&stream, witness.certificate());
                Ok((stream, tls))
            }
            Err(error) => Err(explain(&error, host, witness.certificate().as_ref())),
        }
    }

    async fn load(&self) -> Result<Arc<WebPkiServerVerifier>, ToolError> {
        let native = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
        let native = native
            .await
            .map_err(|error| ToolError::new(ErrorCode::Internal, error.to_string()))?;
        for error in &native.errors {
            tracing::warn!(%error, "a trusted certificate cannot be read");
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(native.certs);
        roots.add_parsable_certificates(self.extra_roots.iter().cloned());
        WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(ring::default_provider()),
        )
        .build()
        .map_err(|error| {
            ToolError::new(
                ErrorCode::Unsupported,
                format!("the worker's host trusts no certificate authority: {error}"),
            )
            .hint("install ca-certificates there, or set SSL_CERT_FILE to a file of certificates")
        })
    }
}

fn client(witness: Arc<Witness>) -> Result<ClientConfig, ToolError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ToolError::new(ErrorCode::Internal, error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(witness)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn agreed(stream: &TlsStream<TcpStream>, certificate: Option<Certificate>) -> Option<Tls> {
    let (_, connection) = stream.get_ref();
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_3 => "TLS 1.3".to_owned(),
        ProtocolVersion::TLSv1_2 => "TLS 1.2".to_owned(),
        other => format!("{other:?}"),
    };
    Some(Tls {
        version,
        cipher_suite: format!("{:?}", connection.negotiated_cipher_suite()?.suite()),
        certificate: certificate?,
    })
}

/// Checks certificates exactly as the inner verifier does and keeps the one presented, so that
/// an error can say what is wrong with it.
#[derive(Debug)]
struct Witness {
    inner: Arc<WebPkiServerVerifier>,
    seen: OnceLock<CertificateDer<'static>>,
}

impl Witness {
    fn certificate(&self) -> Option<Certificate> {
        self.seen.get().and_then(Certificate::read)
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.seen.get_or_init(|| end_entity.clone().into_owned());
        self.inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The error of a failed handshake: which rule was broken, and what the certificate says.
fn explain(error: &io::Error, host: &Host, certificate: Option<&Certificate>) -> ToolError {
    let cause = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let (why, hint) = match cause {
        Some(rustls::Error::InvalidCertificate(error)) => (
            certificate_fault(error, host, certificate),
            certificate_hint(error),
        ),
        Some(rustls::Error::InvalidMessage(_)) => (
            "the server's answer is not TLS".to_owned(),
            "the port may serve plain HTTP: try http:// with this port",
        ),
        Some(other) => (
            other.to_string(),
            "the server and this client have no TLS version, cipher or parameter in common, or it wants a client certificate",
        ),
        None if error.kind() == io::ErrorKind::UnexpectedEof => (
            "the server closed the connection".to_owned(),
            "the port may not serve TLS, or the server knows no site of this name",
        ),
        None => (error.to_string(), "check that the port serves TLS"),
    };
    let seen = certificate.map_or_else(String::new, |certificate| {
        format!("; certificate: {certificate}")
    });
    ToolError::new(
        ErrorCode::TlsFailed,
        format!("TLS handshake with {host} failed: {why}{seen}"),
    )
    .hint(hint)
}

fn certificate_fault(
    error: &CertificateError,
    host: &Host,
    certificate: Option<&Certificate>,
) -> String {
    let self_signed = certificate.is_some_and(|certificate| certificate.self_signed);
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate expired on {}", moment(*not_after))
        }
        CertificateError::Expired => "the certificate has expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!(
                "the certificate is not valid before {}",
                moment(*not_before)
            )
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the certificate is for another name than {host}")
        }
        CertificateError::UnknownIssuer if self_signed => {
            "the certificate is self-signed and not trusted".to_owned()
        }
        CertificateError::UnknownIssuer => "the certificate's issuer is not trusted".to_owned(),
        _ if self_signed => format!("the certificate is self-signed and not acceptable: {error}"),
        other => format!("the certificate is not acceptable: {other}"),
    }
}

fn certificate_hint(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::ExpiredContext { .. } | CertificateError::Expired => {
            "renew the certificate on the server, or check the clock of the worker's host"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "ask for one of the names of the certificate, if it has the same address"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "check the clocks of the server and of the worker's host"
        }
        _ => {
            "add the issuer's certificate to the trusted ones of the worker's host (or to its SSL_CERT_FILE), if you trust it"
        }
    }
}
