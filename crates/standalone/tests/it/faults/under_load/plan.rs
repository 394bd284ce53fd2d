//! How much of it a run does, and where its results go.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// Rounds of each fault where nobody says otherwise: as many as every run of the tests has time for.
const FEW: usize = 1;
/// The soak where nobody says otherwise.
const SHORT_SOAK: Duration = Duration::from_secs(20);

/// What `scripts/faults` asks for, by variables of the environment.
#[derive(Debug)]
pub(super) struct Plan {
    /// `FAULT_ROUNDS`: how often each fault comes.
    pub(super) rounds: usize,
    /// `SOAK_MINUTES`.
    pub(super) soak: Duration,
    /// `FAULT_BOUNDS`: whether a bound on time that is missed fails the test. On a machine that
    /// does other things meanwhile it only shows in the table.
    pub(super) is_bounded: bool,
    /// `FAULT_TABLE`: the file that gets a line for each fault.
    table: Option<PathBuf>,
}

impl Plan {
    pub(super) fn read() -> Self {
        let minutes = |text: String| Some(Duration::from_mins(text.parse().ok()?));
        Self {
            rounds: variable("FAULT_ROUNDS").map_or(FEW, |text| text.parse().unwrap()),
            soak: variable("SOAK_MINUTES").map_or(SHORT_SOAK, |text| minutes(text).unwrap()),
            is_bounded: variable("FAULT_BOUNDS").is_some(),
            table: variable("FAULT_TABLE").map(PathBuf::from),
        }
    }

    /// Prints a line of the table, and keeps it.
    pub(super) fn write(&self, line: &str) {
        println!("{line}");
        if let Some(path) = &self.table {
            let mut file = File::options()
                .append(true)
                .create(true)
                .open(path)
                .unwrap();
            writeln!(file, "{line}").unwrap();
        }
    }

    /// Holds a figure against its bound, where bounds are asked for.
    pub(super) fn check(&self, what: &str, figure: f64, bound: f64) {
        println!("{what}: {figure:.3}, bound {bound:.3}");
        assert!(
            !self.is_bounded || figure <= bound,
            "{what}: {figure:.3} is above {bound:.3}"
        );
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long the tests run is no setting of the product"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
