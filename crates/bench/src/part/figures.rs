//! What tables are made of.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::measure::statistics::median;
use crate::measure::turn::Turn;

/// A figure of one turn.
pub(super) type Figure = fn(&Turn) -> f64;

/// The median of a figure.
pub(super) fn middle(turns: &[Turn], figure: Figure) -> Result<f64> {
    median(turns.iter().map(figure)).context("no turn")
}

/// The median of what `compare` makes of the figures of two contestants, turn by turn.
pub(super) fn compared(
    ours: &[Turn],
    theirs: &[Turn],
    figure: Figure,
    compare: fn(f64, f64) -> f64,
) -> Result<f64> {
    let pairs = ours.iter().zip(theirs);
    let compared = pairs.map(|(our, their)| compare(figure(our), figure(their)));
    median(compared).context("no turn")
}

/// The median of the ratios of a figure, turn by turn.
pub(super) fn ratio(ours: &[Turn], theirs: &[Turn], figure: Figure) -> Result<f64> {
    compared(ours, theirs, figure, |our, their| our / their)
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Cells of calls/s, p50 and p99 in milliseconds.
pub(super) fn rate_and_latency(turns: &[Turn]) -> Result<[String; 3]> {
    Ok([
        format!("{:.0}", middle(turns, |turn| turn.window.rate())?),
        cell(middle(turns, |turn| milliseconds(turn.window.p50))?),
        cell(middle(turns, |turn| milliseconds(turn.window.p99))?),
    ])
}

/// A figure with two digits behind the point.
pub(super) fn cell(figure: f64) -> String {
    format!("{figure:.2}")
}
