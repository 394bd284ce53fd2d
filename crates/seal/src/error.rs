use thiserror::Error;

/// A text that is no key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither hexadecimal nor Base64 of 32 bytes.
    #[error("a key is 32 random bytes in hexadecimal or Base64; `openssl rand -hex 32` makes one")]
    Format,
    /// A ring needs one key at least.
    #[error("no key is given")]
    Empty,
}

/// Why a token is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It never was a token.
    #[error("it is not a token")]
    Malformed,
    /// It was sealed with a key that is not in the ring.
    #[error("it was sealed with another key")]
    UnknownKey,
    /// It was changed, or sealed for something else.
    #[error("it was changed, or made for something else")]
    Forged,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
}
