//! How results write a duration.

use std::time::Duration;

/// Milliseconds, to the microsecond: no clock here is better than that.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_to_the_microsecond() {
        assert_eq!(
            milliseconds(Duration::from_nanos(1_234_567)).to_string(),
            "1.235"
        );
        assert_eq!(milliseconds(Duration::from_secs(3)).to_string(), "3000");
        assert_eq!(milliseconds(Duration::from_nanos(1)).to_string(), "0");
    }
}
