//! The page that the figures are written to.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::machine::Machine;
use crate::part::Effort;
use crate::report::Section;

/// What follows this heading is written by people and kept.
const NOTES: &str = "## Notes\n";

/// Writes the page anew, except for its notes.
pub(crate) fn write(
    path: &Path,
    machine: &Machine,
    effort: Effort,
    sections: &[Section],
) -> Result<()> {
    let old = fs::read_to_string(path).unwrap_or_default();
    let text = text(&old, machine, effort, sections);
    fs::write(path, text).with_context(|| path.display().to_string())
}

fn text(old: &str, machine: &Machine, effort: Effort, sections: &[Section]) -> String {
    let Effort { rounds, turn } = effort;
    let seconds = turn.as_secs();
    let mut text = format!(
        "# Performance\n\
         Written by `scripts/bench`, which measures everything below in one run; only the notes at the end are by hand.\n\
         {machine}\n\n\
         A `RabbitMQ` node of its own, generators of load, workers, gateways and the servers they are compared with all share these cores, each in a process of its own.\n\
         Contestants take turns of {seconds} s, after 1 s to warm up, {rounds} times; a figure is the median of its turns, a ratio or a difference the median of what it was turn by turn.\n\
         A walk, a sweep or a scan is done once to warm up, and in a turn again and again until the time is over, but once at least; the figure of a turn is the median of those.\n\
         Processor time is user and system time as the kernel counts it, that of the broker with all its children.\n\
         A target that is not met says so, and why is told in the notes.\n"
    );
    for section in sections {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{section}");
    }
    let notes = old.find(NOTES).and_then(|at| old.get(at..));
    if let Some(notes) = notes {
        text.push('\n');
        text.push_str(notes);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_is_kept() {
        let effort = Effort {
            rounds: 1,
            turn: std::time::Duration::from_secs(1),
        };
        let machine = Machine::now().unwrap();
        let first = text("", &machine, effort, &[]);
        assert!(!first.contains(NOTES));
        let noted = format!("{first}\n{NOTES}Because.\n");
        assert_eq!(text(&noted, &machine, effort, &[]), noted);
    }
}
