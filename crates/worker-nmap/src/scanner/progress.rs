//! What a caller is told while a scan runs.

use worker::Context;

use crate::addresses::AddressSet;
use crate::scan::Technique;
use crate::xml::Progress;

/// Least step between two messages, so that each of them is told: progress must grow.
const STEP: f64 = 0.001;
/// Percent that no message but the answer goes beyond.
const MOST: f64 = 99.9;

/// How far a call has come, in percent of its addresses.
pub(crate) struct Tracker<'a> {
    context: &'a Context,
    n_addresses: f64,
    /// Of the parts before this one.
    n_done: f64,
    told: f64,
}

impl<'a> Tracker<'a> {
    pub(crate) fn new(context: &'a Context, n_addresses: u128) -> Self {
        Self {
            context,
            n_addresses: float(n_addresses).max(1.0),
            n_done: 0.0,
            told: 0.0,
        }
    }

    /// Tells something, and no more progress than the least step.
    pub(crate) fn say(&mut self, message: &str) {
        self.tell(0.0, message);
    }

    /// Tells what nmap says of a part of which so many addresses are done.
    pub(crate) fn stage(
        &mut self,
        technique: Technique,
        part: &AddressSet,
        n_done: usize,
        progress: &Progress,
    ) {
        let part_len = float(part.len()).max(1.0);
        let finished = float(n_done as u128) / part_len;
        // Which share of the part the stage is about, nmap does not say; the rest is a good guess.
        let share = finished + (1.0 - finished).max(0.0) * stages(technique, progress);
        let fraction = (self.n_done + share.min(1.0) * part_len) / self.n_addresses;
        let left = progress.remaining_s.map_or_else(String::new, |seconds| {
            format!(", about {seconds} s left in this stage")
        });
        let message = format!(
            "{} of {part}: {}, {:.0} % done{left}",
            technique.in_words(),
            progress.task,
            progress.percent
        );
        self.tell(100.0 * fraction, &message);
    }

    pub(crate) fn part_is_done(&mut self, n_addresses: u128) {
        self.n_done += float(n_addresses);
        let message = format!("{} of {} addresses done", self.n_done, self.n_addresses);
        self.tell(100.0 * self.n_done / self.n_addresses, &message);
    }

    fn tell(&mut self, percent: f64, message: &str) {
        self.told = percent.max(self.told + STEP).min(MOST.max(self.told));
        self.context.progress(self.told, Some(100.0), message);
    }
}

/// The share of all stages that is done.
fn stages(technique: Technique, progress: &Progress) -> f64 {
    let n_stages = match technique {
        Technique::Ping => 1.0,
        Technique::Version => 3.0,
        _ => 2.0,
    };
    let before = match progress.task.as_str() {
        task if task.ends_with("Ping Scan") => 0.0,
        "Service scan" | "NSE" => 2.0,
        _ => 1.0_f64.min(n_stages - 1.0),
    };
    ((before + progress.percent / 100.0) / n_stages).min(1.0)
}

/// At most 65,536 addresses are scanned in a call, which a float counts exactly.
fn float(count: u128) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}
