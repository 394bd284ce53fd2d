//! The line that a fault gets in the table.

use std::time::Duration;

use super::books::{Books, Outcome};
use super::plan::Plan;

/// The sums over all rounds of one fault.
#[derive(Debug)]
pub(crate) struct Record {
    fault: &'static str,
    /// What is measured in each round, and its bound.
    figure: (&'static str, Duration),
    figures: Vec<Duration>,
    n_calls: usize,
    n_real: usize,
    n_busy: usize,
    n_unknown: usize,
}

impl Record {
    pub(crate) fn new(fault: &'static str, measured: &'static str, bound: Duration) -> Self {
        Self {
            fault,
            figure: (measured, bound),
            figures: Vec::new(),
            n_calls: 0,
            n_real: 0,
            n_busy: 0,
            n_unknown: 0,
        }
    }

    /// Adds what a round has shown.
    pub(crate) fn round(&mut self, books: &Books, figure: Duration) {
        self.count(books);
        self.figures.push(figure);
        println!(
            "{}, round {}: {} calls, {} after {figure:?}",
            self.fault,
            self.figures.len(),
            books.entries.len(),
            self.figure.0
        );
    }

    /// Adds calls of a round that is measured elsewhere.
    pub(crate) fn count(&mut self, books: &Books) {
        self.n_calls += books.entries.len();
        self.n_real += books.count(Outcome::Real);
        self.n_busy += books.count(Outcome::Busy);
        self.n_unknown += books.count(Outcome::Unknown);
    }

    /// Writes the line, and holds the worst round against the bound.
    pub(crate) fn finish(mut self, plan: &Plan) {
        self.figures.sort();
        let (measured, bound) = self.figure;
        let worst = self.figures.last().copied().unwrap_or_default();
        let median = self.figures.get(self.figures.len() / 2);
        let median = median.copied().unwrap_or_default();
        let answered = self.n_real + self.n_busy + self.n_unknown;
        plan.write(&format!(
            "| {} | {} | {} | {answered} | {} | {} | {} | {measured}: worst {:.2} s, median \
             {:.2} s | {:.0} s |",
            self.fault,
            self.figures.len(),
            self.n_calls,
            self.n_real,
            self.n_busy,
            self.n_unknown,
            worst.as_secs_f64(),
            median.as_secs_f64(),
            bound.as_secs_f64(),
        ));
        plan.check(self.fault, worst.as_secs_f64(), bound.as_secs_f64());
    }
}

/// The middle of some ratios.
pub(crate) fn median(ratios: &mut [f64]) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

/// Writes the line of a fault that is measured by how much slower it makes other calls.
pub(crate) fn write_ratio(plan: &Plan, fault: &str, measured: &str, books: &Books, ratios: &[f64]) {
    let mut sorted = ratios.to_vec();
    let median = median(&mut sorted);
    let worst = sorted.last().copied().unwrap_or_default();
    let count = |outcome| books.count(outcome);
    let (n_real, n_busy) = (count(Outcome::Real), count(Outcome::Busy));
    let n_unknown = count(Outcome::Unknown);
    plan.write(&format!(
        "| {fault} | {} | {} | {} | {n_real} | {n_busy} | {n_unknown} | {measured}: worst \
         {worst:.2} x, median {median:.2} x | 3 x |",
        ratios.len(),
        books.entries.len(),
        n_real + n_busy + n_unknown,
    ));
}
