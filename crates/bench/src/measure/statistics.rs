//! Medians and percentiles.

use std::time::Duration;

/// The middle of some numbers, or the mean of the two in the middle; `None` of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(values.len() / 2 - 1)?;
    Some(f64::midpoint(lower, upper))
}

/// The smallest of the values that at least `per_thousand` of 1,000 do not exceed (the nearest
/// rank); zero of none. The values must be in ascending order.
pub(crate) fn percentile(ascending: &[Duration], per_thousand: usize) -> Duration {
    let rank = (ascending.len() * per_thousand).div_ceil(1000);
    let at = rank.saturating_sub(1);
    ascending.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let check = |values: &[f64], expected| assert_eq!(median(values.to_vec()), expected);
        check(&[], None);
        check(&[7.0], Some(7.0));
        check(&[9.0, 1.0, 2.0], Some(2.0));
        check(&[4.0, 1.0, 2.0, 100.0], Some(3.0));
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let check = |values: &[Duration], per_thousand, milliseconds| {
            let found = percentile(values, per_thousand);
            assert_eq!(found, Duration::from_millis(milliseconds));
        };
        check(&hundred, 500, 50);
        check(&hundred, 990, 99);
        check(&hundred, 999, 100);
        check(&hundred[..3], 500, 2);
        check(&hundred[..1], 990, 1);
        check(&[], 500, 0);
    }
}
