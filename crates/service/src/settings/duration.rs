//! Durations that carry their documented unit.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::str::FromStr;
use std::time::Duration;

use super::text::setting;

/// A duration of 1 ms to 4294967295 ms (about 49 days), the range of AMQP's time-to-live values.
///
/// Written as a whole number of milliseconds or with a unit: `100`, `100ms`, `10s`, `5m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Milliseconds(NonZeroU32);

/// A duration of 1 s to 65535 s, the range of AMQP's heartbeat.
///
/// Written as a whole number of seconds or with a unit: `10`, `10s`, `5m`, `1h`, `2000ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(NonZeroU16);

impl Milliseconds {
    /// This many milliseconds; 0 gives 1.
    #[must_use]
    pub const fn of(milliseconds: u32) -> Self {
        match NonZeroU32::new(milliseconds) {
            Some(milliseconds) => Self(milliseconds),
            None => Self(NonZeroU32::MIN),
        }
    }

    /// The duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        Duration::from_millis(self.0.get() as u64)
    }
}

impl Seconds {
    /// This many seconds; 0 gives 1.
    #[must_use]
    pub const fn of(seconds: u16) -> Self {
        match NonZeroU16::new(seconds) {
            Some(seconds) => Self(seconds),
            None => Self(NonZeroU16::MIN),
        }
    }

    /// The duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        Duration::from_secs(self.0.get() as u64)
    }
}

impl From<Milliseconds> for Duration {
    fn from(duration: Milliseconds) -> Self {
        duration.get()
    }
}

impl From<Seconds> for Duration {
    fn from(duration: Seconds) -> Self {
        duration.get()
    }
}

impl FromStr for Milliseconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let milliseconds = milliseconds(text, 1)?;
        u32::try_from(milliseconds)
            .ok()
            .and_then(NonZeroU32::new)
            .map(Self)
            .ok_or_else(|| "the duration is out of range".to_owned())
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let milliseconds = milliseconds(text, 1000)?;
        if milliseconds % 1000 != 0 {
            return Err("the duration must be whole seconds".to_owned());
        }
        u16::try_from(milliseconds / 1000)
            .ok()
            .and_then(NonZeroU16::new)
            .map(Self)
            .ok_or_else(|| "the duration is out of range".to_owned())
    }
}

impl fmt::Display for Milliseconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}ms", self.0)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}s", self.0)
    }
}

setting!(Milliseconds, allowed: "1 to 4294967295 milliseconds, or a number with `ms`, `s`, `m` or `h`");
setting!(Seconds, allowed: "1 to 65535 seconds, or a number with `ms`, `s`, `m` or `h`");

/// Milliseconds of `text`; a number without a unit counts `bare_unit` milliseconds each.
fn milliseconds(text: &str, bare_unit: u64) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => bare_unit,
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        other => return Err(format!("`{other}` is not a unit of time")),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("not a whole number".to_owned());
    }
    let number: u64 = digits.parse().map_err(|_| "the number is too large")?;
    number
        .checked_mul(unit)
        .ok_or_else(|| "the number is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr<Err = String> + Into<Duration>>(text: &str, expected: Option<u64>) {
        let read = text.parse::<T>().ok().map(|value| {
            let duration: Duration = value.into();
            u64::try_from(duration.as_millis()).unwrap()
        });
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn a_bare_number_counts_in_the_documented_unit() {
        check::<Milliseconds>("100", Some(100));
        check::<Seconds>("10", Some(10_000));
    }

    #[test]
    fn a_suffix_names_the_unit() {
        check::<Milliseconds>("10s", Some(10_000));
        check::<Milliseconds>("5m", Some(300_000));
        check::<Seconds>("1h", Some(3_600_000));
        check::<Seconds>("2000ms", Some(2_000));
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "", "ms", "-1", "+1", "1.5", "1 s", "10 ", "ten", "1d", "0", "0s",
        ] {
            check::<Milliseconds>(text, None);
            check::<Seconds>(text, None);
        }
        check::<Seconds>("1500ms", None);
        check::<Seconds>("65536", None);
        check::<Milliseconds>("4294967296", None);
        check::<Milliseconds>("99999999999999999999", None);
        check::<Milliseconds>("18446744073709551615h", None);
    }
}
