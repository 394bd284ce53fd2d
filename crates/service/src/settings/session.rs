//! Settings of sessions: which keys seal them, and how long they live.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Milliseconds;
use super::text::{items, setting};

/// One or more keys of 32 bytes in hexadecimal or Base64; prints `***`.
///
/// Only the form is checked here: whoever seals reads the keys themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKeys(String);

/// How long a session lives without use: 1 s to 24 h, which is the longest that any session
/// lives.
///
/// Written like [`Milliseconds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionTtl(Milliseconds);

impl SessionKeys {
    /// The keys, separated by commas. Hand them to what seals, and to nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl SessionTtl {
    /// The shortest time to live: 1 s.
    pub const MIN: Self = Self(Milliseconds::of(1000));
    /// The longest time to live, and the absolute maximum of a session: 24 h.
    pub const MAX: Self = Self(Milliseconds::of(86_400_000));

    /// The duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0.get()
    }
}

impl Default for SessionTtl {
    /// 30 min.
    fn default() -> Self {
        Self(Milliseconds::of(1_800_000))
    }
}

impl From<SessionTtl> for Duration {
    fn from(ttl: SessionTtl) -> Self {
        ttl.get()
    }
}

impl FromStr for SessionKeys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys = items(text)?;
        if keys.is_empty() {
            return Err("no key is given".to_owned());
        }
        // The position is all that may be said of a key.
        match keys.iter().position(|key| !is_key(key)) {
            None => Ok(Self(keys.join(","))),
            Some(index) => Err(format!("key {} is not of 32 bytes", index + 1)),
        }
    }
}

impl FromStr for SessionTtl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ttl = Self(text.parse()?);
        if (Self::MIN..=Self::MAX).contains(&ttl) {
            Ok(ttl)
        } else {
            Err("a session lives for 1 s at least and for 24 h at most".to_owned())
        }
    }
}

impl fmt::Display for SessionKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl fmt::Display for SessionTtl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

setting!(SessionKeys,
    allowed: "comma list of keys, each 32 random bytes in hexadecimal or Base64; `openssl rand -hex 32` makes one",
    "x-secret": true);
setting!(SessionTtl,
    allowed: "1000 to 86400000 milliseconds, or a number with `ms`, `s`, `m` or `h`");

/// Whether a text stands for exactly 32 bytes: 64 hexadecimal digits, or Base64 of either
/// alphabet (RFC 4648, sections 4 and 5) with or without its `=`.
fn is_key(text: &str) -> bool {
    if text.len() == 64 {
        return text.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let digits = text.strip_suffix('=').unwrap_or(text);
    let is_of = |more: [u8; 2]| {
        digits
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    // 256 bits are 42 digits of 6 bits and 4 bits of the last one, whose other 2 must be 0.
    let is_last = |c: char| "AEIMQUYcgkosw048".contains(c);
    digits.len() == 43 && digits.ends_with(is_last) && (is_of(*b"+/") || is_of(*b"-_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn keys_are_hexadecimal_or_base64_of_32_bytes() {
        let padded = format!("{BASE64}=");
        let url_safe = BASE64.replace("AAEC", "-_-_");
        let standard = BASE64.replace("AAEC", "+/+/");
        for text in [HEX, BASE64, &padded, &url_safe, &standard] {
            assert!(text.parse::<SessionKeys>().is_ok(), "{text}");
        }
        let two: SessionKeys = format!("{HEX}, {padded}").parse().unwrap();
        assert_eq!(two.expose(), format!("{HEX},{padded}"));
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_position_alone() {
        let short = &BASE64[1..];
        let long = format!("{BASE64}==");
        let loose_bits = BASE64.replace("Hh8", "Hh9");
        let mixed = BASE64.replace("AAEC", "+_+_");
        let not_hex = HEX.replace("00", "0g");
        for text in [
            "hunter2",
            &HEX[1..],
            short,
            &long,
            &loose_bits,
            &mixed,
            &not_hex,
        ] {
            let error = format!("{HEX},{text}").parse::<SessionKeys>().unwrap_err();
            assert_eq!(error, "key 2 is not of 32 bytes");
        }
        for text in ["", " ", ",", &format!("{HEX},"), &format!("{HEX},,{HEX}")] {
            let error = text.parse::<SessionKeys>().unwrap_err();
            assert!(!error.contains(HEX), "{error}");
        }
    }

    #[test]
    fn keys_are_never_printed() {
        let keys: SessionKeys = HEX.parse().unwrap();
        let json = serde_json::to_string(&keys).unwrap();
        assert_eq!(format!("{keys} {keys:?} {json}"), "*** *** \"***\"");
    }

    #[test]
    fn a_session_lives_for_a_second_at_least_and_a_day_at_most() {
        let check = |text: &str, expected: Option<u64>| {
            let ttl = text.parse::<SessionTtl>().ok();
            assert_eq!(ttl.map(|ttl| ttl.get().as_secs()), expected, "{text}");
        };
        check("1000", Some(1));
        check("24h", Some(86_400));
        for text in ["0", "999", "86400001", "25h", "soon", ""] {
            check(text, None);
        }
        assert_eq!(SessionTtl::default().to_string(), "1800000ms");
    }
}
