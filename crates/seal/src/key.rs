use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use chacha20poly1305::{Key as Secret, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};

use crate::{KeyError, OpenError};

/// Bytes of a key's identifier.
pub(crate) const ID: usize = 4;
/// Bytes of a nonce: so many that random ones never meet.
pub(crate) const NONCE: usize = 24;
/// Bytes by which what is encrypted grows.
pub(crate) const TAG: usize = 16;
/// Bytes of a key.
const SECRET: usize = 32;

/// One key, ready to use; it is overwritten when it is dropped.
#[derive(Clone)]
pub(crate) struct Key {
    id: [u8; ID],
    cipher: XChaCha20Poly1305,
}

impl Key {
    /// Reads a key in hexadecimal or Base64 of either alphabet, with or without `=`.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        // No Base64 of 32 bytes has 64 characters.
        let bytes = if text.len() == 2 * SECRET {
            hex(text)
        } else {
            [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD]
                .into_iter()
                .find_map(|form| form.decode(text).ok())
        };
        let secret = bytes.and_then(|bytes| <[u8; SECRET]>::try_from(bytes).ok());
        Ok(Self::new(&secret.ok_or(KeyError::Format)?.into()))
    }

    /// A key from the operating system's source of randomness.
    pub(crate) fn random() -> Self {
        Self::new(&Secret::generate())
    }

    /// The start of a hash of the key: it tells keys apart and gives none away.
    pub(crate) fn id(&self) -> [u8; ID] {
        self.id
    }

    /// Encrypts under a fresh nonce, and authenticates `associated` with it.
    pub(crate) fn encrypt(&self, plain: &[u8], associated: &[u8]) -> ([u8; NONCE], Vec<u8>) {
        let nonce = XNonce::generate();
        let payload = Payload {
            msg: plain,
            aad: associated,
        };
        // This cipher refuses nothing but a payload of more than 256 GiB.
        let sealed = self.cipher.encrypt(&nonce, payload).unwrap_or_default();
        (nonce.into(), sealed)
    }

    /// Gives back what was encrypted with this key, nonce and `associated`.
    pub(crate) fn decrypt(
        &self,
        nonce: [u8; NONCE],
        sealed: &[u8],
        associated: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let payload = Payload {
            msg: sealed,
            aad: associated,
        };
        self.cipher
            .decrypt(&nonce.into(), payload)
            .map_err(|_| OpenError::Forged)
    }

    fn new(secret: &Secret) -> Self {
        let digest = Sha256::new_with_prefix(b"opendiscovery key id")
            .chain_update(secret)
            .finalize();
        let mut id = [0; ID];
        id.copy_from_slice(&digest[..ID]);
        Self {
            id,
            cipher: XChaCha20Poly1305::new(secret),
        }
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    digits?
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_in_each_of_its_forms() {
        let bytes: Vec<u8> = (0xe0..=0xff).collect();
        let lower = bytes.iter().map(|byte| format!("{byte:02x}"));
        let lower = lower.collect::<Vec<_>>().concat();
        let hex = Key::parse(&lower).unwrap();
        let forms = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
        let others = forms.map(|form| form.encode(&bytes));
        for text in others.into_iter().chain([lower.to_uppercase()]) {
            let key = Key::parse(&text).unwrap();
            assert_eq!(key.id(), hex.id(), "{text}");
            let (nonce, sealed) = hex.encrypt(b"plain", b"");
            assert_eq!(key.decrypt(nonce, &sealed, b"").unwrap(), b"plain");
        }
    }

    #[test]
    fn what_is_not_32_bytes_is_no_key() {
        for n_bytes in [0, 1, 16, 31, 33, 48, 64] {
            let text = STANDARD.encode(vec![7; n_bytes]);
            assert_eq!(Key::parse(&text).err(), Some(KeyError::Format), "{text}");
            let text = "07".repeat(n_bytes);
            assert_eq!(Key::parse(&text).err(), Some(KeyError::Format), "{text}");
        }
        let almost = format!("{}0g", "00".repeat(31));
        let not_ascii = "é".repeat(32);
        let signed = format!("+f{}", "00".repeat(31));
        for text in [&almost, &not_ascii, &signed, "hunter2"] {
            assert_eq!(Key::parse(text).err(), Some(KeyError::Format), "{text}");
        }
    }

    #[test]
    fn the_same_plain_text_is_never_sealed_into_the_same_token() {
        let key = Key::random();
        let (one, two) = (key.encrypt(b"plain", b""), key.encrypt(b"plain", b""));
        assert_ne!(one.0, two.0);
        assert_ne!(one.1, two.1);
    }

    /// The library's promise to overwrite what it held.
    #[test]
    fn a_dropped_cipher_overwrites_its_key() {
        fn check<T: zeroize::ZeroizeOnDrop>() {}
        check::<XChaCha20Poly1305>();
    }
}
