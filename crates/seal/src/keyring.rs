use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, AeadCore, KeyInit, OsRng, Payload};
use chacha20poly1305::{Key as CipherKey, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};

use crate::{KeyError, OpenError};

/// First byte of a token: the form of what follows.
const FORM: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 24;
const TAG: usize = 16;
const EXPIRY: usize = 8;

/// What a token is for; one made for another purpose is never opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The identifier of a session.
    Session,
    /// The state of a request that waits for its client's input.
    RequestState,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"session",
            Self::RequestState => b"request-state",
        }
    }
}

/// Keys: the first one seals, each of them opens, so that keys can be changed one after
/// another.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: [u8; KEY_ID],
    cipher: XChaCha20Poly1305,
}

impl Keyring {
    /// Reads keys separated by commas, each 32 bytes in hexadecimal or Base64.
    ///
    /// # Errors
    /// [`KeyError`]; the text itself is not repeated.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let keys: Vec<Key> = text
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(|text| read_key(text).map(|bytes| Key::new(&bytes)))
            .collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self { keys })
    }

    /// One key that nobody else has.
    #[must_use]
    pub fn random() -> Self {
        let bytes: [u8; 32] = XChaCha20Poly1305::generate_key(&mut OsRng).into();
        Self {
            keys: vec![Key::new(&bytes)],
        }
    }

    /// What tells keys apart without giving them away, in hexadecimal, in their order.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect();
        self.keys.iter().map(|key| hex(&key.id)).collect()
    }

    /// Seals a payload until `expires`. It can be opened only for the same purpose and
    /// context. The token is of `[A-Za-z0-9_-]`, a third longer than the payload and 71
    /// characters.
    #[must_use]
    pub fn seal(
        &self,
        purpose: Purpose,
        context: &[u8],
        payload: &[u8],
        expires: SystemTime,
    ) -> String {
        let Some(key) = self.keys.first() else {
            return String::new();
        };
        let mut plain = Vec::with_capacity(EXPIRY + payload.len());
        plain.extend_from_slice(&unix_ms(expires).to_be_bytes());
        plain.extend_from_slice(payload);
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let aad = associated(purpose, context);
        let sealed = key.cipher.encrypt(
            &nonce,
            Payload {
                msg: &plain,
                aad: &aad,
            },
        );
        let mut token = vec![FORM];
        token.extend_from_slice(&key.id);
        token.extend_from_slice(&nonce);
        // Only a payload of more than 256 GiB cannot be sealed.
        token.extend_from_slice(&sealed.unwrap_or_default());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The payload of a token that is good at `now`.
    ///
    /// # Errors
    /// [`OpenError`]; which part is wrong is not said.
    pub fn open(
        &self,
        purpose: Purpose,
        context: &[u8],
        token: &str,
        now: SystemTime,
    ) -> Result<Vec<u8>, OpenError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|_| OpenError::Malformed)?;
        let (form, rest) = bytes.split_first().ok_or(OpenError::Malformed)?;
        let (id, rest) = rest.split_at_checked(KEY_ID).ok_or(OpenError::Malformed)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or(OpenError::Malformed)?;
        if *form != FORM || sealed.len() < EXPIRY + TAG {
            return Err(OpenError::Malformed);
        }
        let key = self
            .keys
            .iter()
            .find(|key| key.id == id)
            .ok_or(OpenError::UnknownKey)?;
        let payload = Payload {
            msg: sealed,
            aad: &associated(purpose, context),
        };
        let plain = key
            .cipher
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| OpenError::Forged)?;
        let (expires, payload) = plain
            .split_first_chunk::<EXPIRY>()
            .ok_or(OpenError::Malformed)?;
        if u64::from_be_bytes(*expires) <= unix_ms(now) {
            return Err(OpenError::Expired);
        }
        Ok(payload.to_vec())
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.ids()).finish()
    }
}

impl Key {
    fn new(bytes: &[u8; 32]) -> Self {
        let digest = Sha256::new_with_prefix(b"opendiscovery key id")
            .chain_update(bytes)
            .finalize();
        let mut id = [0; KEY_ID];
        id.copy_from_slice(&digest[..KEY_ID]);
        Self {
            id,
            cipher: XChaCha20Poly1305::new(CipherKey::from_slice(bytes)),
        }
    }
}

fn read_key(text: &str) -> Result<[u8; 32], KeyError> {
    let bytes = if text.len() == 64 {
        hex(text)
    } else {
        [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD]
            .into_iter()
            .find_map(|form| form.decode(text).ok())
    };
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(KeyError::Format)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    digits?
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok())
        .collect()
}

fn associated(purpose: Purpose, context: &[u8]) -> Vec<u8> {
    let mut associated = purpose.label().to_vec();
    associated.push(0);
    associated.extend_from_slice(context);
    associated
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
