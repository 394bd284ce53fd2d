use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::key::{ID, Key, NONCE, TAG};
use crate::{KeyError, OpenError, Purpose};

/// First byte of a token: the form of what follows, which is the key's identifier, the nonce
/// and, encrypted, the time of expiry and the payload.
const FORM: u8 = 1;
/// Bytes of the time of expiry: milliseconds since 1970, big-endian.
const EXPIRY: usize = 8;

/// Keys: the first one seals, each of them opens, so that keys can be changed one after
/// another.
#[derive(Clone)]
pub struct Keyring {
    sealing: Key,
    opening: Vec<Key>,
}

impl Keyring {
    /// Reads keys separated by commas, each 32 bytes in hexadecimal or Base64.
    ///
    /// # Errors
    /// [`KeyError`]; the text itself is not repeated.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.trim().is_empty() {
            return Err(KeyError::Empty);
        }
        let mut keys = text.split(',').map(|text| Key::parse(text.trim()));
        let sealing = keys.next().ok_or(KeyError::Empty)??;
        let opening = keys.collect::<Result<_, _>>()?;
        Ok(Self { sealing, opening })
    }

    /// One key that nobody else has.
    #[must_use]
    pub fn random() -> Self {
        Self {
            sealing: Key::random(),
            opening: Vec::new(),
        }
    }

    /// What tells keys apart without giving them away: 8 hexadecimal digits each, the key that
    /// seals first.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let hex = |key: &Key| format!("{:08x}", u32::from_be_bytes(key.id()));
        self.keys().map(hex).collect()
    }

    /// Seals a payload until `expires`. It can be opened only for the same purpose and
    /// context; neither is part of the token.
    ///
    /// The token is of `[A-Za-z0-9_-]`, a third longer than the payload and 71 characters, and
    /// never twice the same. Its length is all that it tells of its payload.
    #[must_use]
    pub fn seal(
        &self,
        purpose: Purpose,
        context: &[u8],
        payload: &[u8],
        expires: SystemTime,
    ) -> String {
        let plain = [&unix_ms(expires).to_be_bytes(), payload].concat();
        let id = self.sealing.id();
        let (nonce, sealed) = self
            .sealing
            .encrypt(&plain, &associated(id, purpose, context));
        URL_SAFE_NO_PAD.encode([&[FORM], &id[..], &nonce, &sealed].concat())
    }

    /// The payload of a token that is good at `now`; it is no longer good at the millisecond
    /// at which it expires.
    ///
    /// The token may be any text; the work is in proportion to its length.
    ///
    /// # Errors
    /// [`OpenError`]; whoever sent the token has to begin again. [`OpenError::Expired`] is said
    /// of genuine tokens only.
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
        let (id, nonce, sealed) = parts(&bytes).ok_or(OpenError::Malformed)?;
        let key = self
            .keys()
            .find(|key| key.id() == id)
            .ok_or(OpenError::UnknownKey)?;
        let mut plain = key.decrypt(nonce, sealed, &associated(id, purpose, context))?;
        let expires = plain
            .first_chunk()
            .map(|bytes| u64::from_be_bytes(*bytes))
            .ok_or(OpenError::Malformed)?;
        if expires <= unix_ms(now) {
            return Err(OpenError::Expired);
        }
        plain.drain(..EXPIRY);
        Ok(plain)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.sealing).chain(&self.opening)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Keyring").field(&self.ids()).finish()
    }
}

/// Identifier of the key, nonce, and what was encrypted.
fn parts(token: &[u8]) -> Option<([u8; ID], [u8; NONCE], &[u8])> {
    let rest = token.strip_prefix(&[FORM])?;
    let (id, rest) = rest.split_first_chunk()?;
    let (nonce, sealed) = rest.split_first_chunk()?;
    (sealed.len() >= EXPIRY + TAG).then_some((*id, *nonce, sealed))
}

/// All that a token is bound to and its ciphertext does not hold. Only the last part has no
/// fixed end, so no two of these are the same bytes.
fn associated(id: [u8; ID], purpose: Purpose, context: &[u8]) -> Vec<u8> {
    [&[FORM], &id[..], purpose.label(), &[0], context].concat()
}

fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
