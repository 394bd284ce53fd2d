//! Certificates, judged by an independent TLS client against a broker and an HTTPS server.

use std::{net::SocketAddr, path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use testkit::{
    certificates::{Authority, Files},
    rabbitmq::Node,
    targets::{ANY_PORT, HttpServer, Script},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Says `hello` over TLS to the server called `localhost` and gives the first byte of its answer.
async fn greet(
    address: SocketAddr,
    ca: &Path,
    client: Option<&Files>,
    hello: &[u8],
) -> std::io::Result<u8> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = vec![CertificateDer::from_pem_file(&files.certificate).unwrap()];
            let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    stream.write_all(hello).await?;
    stream.read_u8().await
}

async fn https(files: &Files) -> HttpServer {
    HttpServer::start_tls(ANY_PORT, files, |_| Script::response(200, &[], ""))
        .await
        .unwrap()
}

#[tokio::test]
async fn only_a_valid_certificate_of_the_right_authority_is_accepted() {
    let (right, wrong) = (Authority::new().unwrap(), Authority::new().unwrap());
    let hello = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let valid = https(&right.server(&["localhost"]).unwrap()).await;
    assert_eq!(
        greet(valid.address(), &right.ca(), None, hello)
            .await
            .unwrap(),
        b'H'
    );
    let check = async |server: HttpServer, ca: &Path, fault: &str| {
        let error = greet(server.address(), ca, None, hello)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(fault), "{error}");
    };
    check(valid, &wrong.ca(), "UnknownIssuer").await;
    let other = https(&right.server(&["else.test"]).unwrap()).await;
    check(other, &right.ca(), "not valid for name").await;
    let expired = https(&right.expired_server(&["localhost"]).unwrap()).await;
    check(expired, &right.ca(), "expired").await;
}

#[tokio::test]
async fn own_broker_with_mutual_tls_refuses_a_client_without_certificate() {
    let authority = Authority::new().unwrap();
    let files = authority.server(&["localhost"]).unwrap();
    let node = Node::builder().mutual_tls(files).start().await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], node.tls_port().unwrap()));
    let hello = b"AMQP\0\0\x09\x01";
    let client = authority.client("worker").unwrap();
    let accepted = greet(address, &authority.ca(), Some(&client), hello).await;
    assert_eq!(accepted.unwrap(), 1);
    greet(address, &authority.ca(), None, hello)
        .await
        .unwrap_err();
}
