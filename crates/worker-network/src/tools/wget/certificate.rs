//! What a certificate says, for results and for errors.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::pki_types::{CertificateDer, UnixTime};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{ASN1Time, FromDer as _, GeneralName, X509Certificate};

/// Most names of a certificate that are shown.
const MAX_NAMES: usize = 200;
/// Longest distinguished name that is shown, in characters.
const MAX_NAME: usize = 500;

/// What a server's certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Certificate {
    /// Distinguished name of the holder, such as `CN=server.example.com`.
    pub(super) subject: String,
    /// Distinguished name of the authority that signed it.
    pub(super) issuer: String,
    /// Start of its validity (RFC 3339, UTC).
    pub(super) not_before: String,
    /// End of its validity (RFC 3339, UTC).
    pub(super) not_after: String,
    /// Host names and addresses that it is valid for (subject alternative names), at most 200.
    pub(super) san: Vec<String>,
    /// Serial number in hexadecimal.
    pub(super) serial: String,
    /// SHA-256 of the whole certificate in hexadecimal.
    pub(super) fingerprint_sha256: String,
    #[serde(skip)]
    pub(super) self_signed: bool,
}

impl Certificate {
    /// Reads a certificate; `None` if it is none.
    pub(super) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map(|extension| extension.value.general_names.as_slice());
        Some(Self {
            subject: bounded(&certificate.subject().to_string()),
            issuer: bounded(&certificate.issuer().to_string()),
            not_before: rfc3339(certificate.validity().not_before),
            not_after: rfc3339(certificate.validity().not_after),
            san: names
                .unwrap_or_default()
                .iter()
                .take(MAX_NAMES)
                .map(|name| bounded(&alternative_name(name)))
                .collect(),
            serial: hexadecimal(certificate.raw_serial()),
            fingerprint_sha256: hexadecimal(&Sha256::digest(der)),
            self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        })
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subject \"{}\", ", self.subject)?;
        if self.self_signed {
            write!(f, "self-signed, ")?;
        } else {
            write!(f, "issuer \"{}\", ", self.issuer)?;
        }
        write!(f, "valid from {} to {}", self.not_before, self.not_after)?;
        if self.san.is_empty() {
            return write!(f, ", without names");
        }
        let shown = self.san.len().min(10);
        write!(f, ", for {}", self.san[..shown].join(", "))?;
        if shown < self.san.len() {
            write!(f, " and more")?;
        }
        Ok(())
    }
}

/// A moment as RFC 3339 text, for errors that carry it as seconds.
pub(super) fn moment(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let time = seconds.and_then(|seconds| ASN1Time::from_timestamp(seconds).ok());
    time.map_or_else(|| "a time beyond the calendar".to_owned(), rfc3339)
}

fn rfc3339(time: ASN1Time) -> String {
    let time = time.to_datetime();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

fn alternative_name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            (*text).to_owned()
        }
        GeneralName::IPAddress(bytes) => match address(bytes) {
            Some(address) => address.to_string(),
            None => name.to_string(),
        },
        other => other.to_string(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    let bytes = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(bytes).into())
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_NAME).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_whose_it_is_and_how_long_it_lasts() {
        let names = vec![
            "a.example".to_owned(),
            "192.0.2.1".to_owned(),
            "::1".to_owned(),
        ];
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "a.example");
        params.not_before = rcgen::date_time_ymd(2020, 2, 3);
        params.not_after = rcgen::date_time_ymd(2021, 12, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let read = Certificate::read(certificate.der()).unwrap();
        assert!(read.subject.contains("CN=a.example"), "{}", read.subject);
        assert_eq!(read.not_before, "2020-02-03T00:00:00Z");
        assert_eq!(read.not_after, "2021-12-31T00:00:00Z");
        assert_eq!(read.san, ["a.example", "192.0.2.1", "::1"]);
        assert!(read.self_signed);
        assert_eq!(read.fingerprint_sha256.len(), 64);
    }

    #[test]
    fn what_is_no_certificate_is_not_read() {
        assert_eq!(
            Certificate::read(&CertificateDer::from(vec![1, 2, 3])),
            None
        );
    }
}
