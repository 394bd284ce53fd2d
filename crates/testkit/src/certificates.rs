//! Certificates for TLS servers and clients: valid ones and ones with a fault.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;
use uuid::Uuid;

/// Where a certificate, its key and its authority's certificate are, all as PEM.
///
/// The files go with the [`Authority`] that made them.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate of the authority.
    pub ca: PathBuf,
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key, PKCS #8.
    pub key: PathBuf,
}

/// A certificate authority that lives in a temporary folder.
///
/// A second authority is a wrong one for everything that trusts the first.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A fresh authority.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("testkit-certificates-")
            .tempdir()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // A name of its own: with the same name, a client would take one for the other and speak of
        // a bad signature instead of an unknown authority.
        let name = format!("testkit authority {}", Uuid::new_v4());
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        fs::write(folder.path().join("ca.pem"), certificate.pem())?;
        Ok(Self {
            folder,
            issuer: Issuer::new(params, key),
        })
    }

    /// The authority's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A server certificate for the names; an IP address counts as one (`127.0.0.1`).
    ///
    /// # Errors
    /// A name is not one that a certificate can carry.
    pub fn server(&self, names: &[&str]) -> Result<Files> {
        let params = server(names)?;
        self.sign(&params, "server")
    }

    /// A server certificate for the names that ended at the beginning of 2001.
    ///
    /// # Errors
    /// A name is not one that a certificate can carry.
    pub fn expired_server(&self, names: &[&str]) -> Result<Files> {
        let mut params = server(names)?;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(&params, "expired")
    }

    /// A client certificate with a common name.
    ///
    /// # Errors
    /// The name is not one that a certificate can carry.
    pub fn client(&self, name: &str) -> Result<Files> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params, "client")
    }

    fn sign(&self, params: &CertificateParams, kind: &str) -> Result<Files> {
        let key = KeyPair::generate()?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .context("cannot sign")?;
        let number = fs::read_dir(self.folder.path())?.count();
        let path = |what: &str| -> PathBuf {
            Path::new(self.folder.path()).join(format!("{kind}-{number}-{what}.pem"))
        };
        let files = Files {
            ca: self.ca(),
            certificate: path("certificate"),
            key: path("key"),
        };
        fs::write(&files.certificate, certificate.pem())?;
        fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }
}

fn server(names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let common_name = names.first().cloned().unwrap_or_default();
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}
