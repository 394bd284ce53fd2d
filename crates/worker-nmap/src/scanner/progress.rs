//! What a caller is told while a scan runs.

use worker::Context;

use crate::addresses::AddressSet;
use crate::scan::Technique;
use crate::xml::Progress;

/// Least step between two messages, so that each of them is told: progress must grow.
const STEP: f64 = 0.001;
/// Percent that no message but the answer goes beyond.
const MOST: f64 = 99.9;

/// How far a call has come, in percent of its addresses and their ports.
pub(crate) struct Tracker<'a> {
    context: &'a Context,
    n_addresses: f64,
    /// Of the parts before this one.
    n_done: f64,
    /// Of the part at hand: its addresses, the share of their ports that is done, and the share
    /// that the present run of nmap takes.
    part_len: f64,
    ports_done: f64,
    ports_of_run: f64,
    told: f64,
}

impl<'a> Tracker<'a> {
    pub(crate) fn new(context: &'a Context, n_addresses: u128) -> Self {
        Self {
            context,
            n_addresses: float(n_addresses).max(1.0),
            n_done: 0.0,
            part_len: 0.0,
            ports_done: 0.0,
            ports_of_run: 1.0,
            told: 0.0,
        }
    }

    /// Tells something, and no more progress than the least step.
    pub(crate) fn say(&mut self, message: &str) {
        self.tell(0.0, message);
    }

    /// A run of nmap begins: how many addresses its part has, and which shares of their ports
    /// are done and taken by the run.
    pub(crate) fn run(&mut self, part_len: u128, (ports_done, ports_of_run): (f64, f64)) {
        self.part_len = float(part_len);
        self.ports_done = ports_done;
        self.ports_of_run = ports_of_run;
    }

    /// Tells what nmap says of a run, of whose addresses so many are done.
    pub(crate) fn stage(
        &mut self,
        technique: Technique,
        addresses: &AddressSet,
        n_done: usize,
        progress: &Progress,
    ) {
        let finished = float(n_done as u128) / float(addresses.len()).max(1.0);
        // Which share of the run the stage is about, nmap does not say; the rest is a good guess.
        let share = finished + (1.0 - finished).max(0.0) * stages(technique, progress);
        let share = self.ports_done + self.ports_of_run * share.min(1.0);
        let fraction = (self.n_done + share * self.part_len) / self.n_addresses;
        let left = progress.remaining_s.map_or_else(String::new, |seconds| {
            format!(", about {seconds} s left in this stage")
        });
        let message = format!(
            "{} of {addresses}: {}, {:.0} % done{left}",
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

#[cfg(test)]
mod tests {
    use worker::Scope;

    use super::*;

    fn set(network: &str) -> AddressSet {
        AddressSet::of([network.parse().unwrap()])
    }

    fn stage(task: &str, percent: f64) -> Progress {
        Progress {
            task: task.to_owned(),
            percent,
            remaining_s: Some(40),
        }
    }

    #[test]
    fn percents_are_those_of_all_addresses_and_ports_and_never_fall() {
        let context = Context::for_test(Scope::default());
        let mut tracker = Tracker::new(&context, 200);
        let mut before = 0.0;
        let mut check = |tracker: &Tracker<'_>, least: f64, most: f64| {
            let told = tracker.told;
            assert!((least..=most).contains(&told), "{told}: {least} to {most}");
            assert!(told > before, "{told} after {before}");
            before = told;
        };
        let half = set("10.0.0.0/25").first_part(100);
        tracker.say("waiting");
        check(&tracker, 0.0, 0.1);
        // The first of two parts, whose first run takes a fifth of the ports.
        tracker.run(100, (0.0, 0.2));
        tracker.stage(Technique::TcpSyn, &half, 0, &stage("ARP Ping Scan", 50.0));
        check(&tracker, 2.4, 2.6);
        tracker.stage(
            Technique::TcpSyn,
            &half,
            0,
            &stage("SYN Stealth Scan", 50.0),
        );
        check(&tracker, 7.4, 7.6);
        tracker.stage(
            Technique::TcpSyn,
            &half,
            50,
            &stage("SYN Stealth Scan", 100.0),
        );
        check(&tracker, 9.9, 10.1);
        // The second run has the hosts that are up, and the other ports.
        tracker.run(100, (0.2, 0.8));
        tracker.stage(
            Technique::TcpSyn,
            &set("10.0.0.7/32"),
            0,
            &stage("SYN Stealth Scan", 0.0),
        );
        check(&tracker, 29.9, 30.1);
        tracker.part_is_done(100);
        check(&tracker, 49.9, 50.1);
        // A stage that seems to be behind tells the least step all the same.
        tracker.run(100, (0.0, 1.0));
        tracker.stage(Technique::TcpSyn, &half, 0, &stage("ARP Ping Scan", 0.0));
        check(&tracker, 50.0, 50.1);
        tracker.part_is_done(100);
        check(&tracker, 99.0, MOST);
    }

    #[test]
    fn every_kind_of_scan_ends_with_its_last_stage() {
        let check = |technique, task: &str, percent, expected: f64| {
            let share = stages(technique, &stage(task, percent));
            assert!((share - expected).abs() < 0.001, "{task}: {share}");
        };
        check(Technique::Ping, "ARP Ping Scan", 100.0, 1.0);
        check(Technique::TcpConnect, "Ping Scan", 100.0, 0.5);
        check(Technique::TcpConnect, "Connect Scan", 100.0, 1.0);
        check(Technique::Version, "SYN Stealth Scan", 0.0, 1.0 / 3.0);
        check(Technique::Version, "Service scan", 50.0, 5.0 / 6.0);
        check(Technique::Version, "NSE", 100.0, 1.0);
    }
}
