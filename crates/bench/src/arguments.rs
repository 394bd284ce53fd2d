//! The command line.

use std::num::{NonZeroU64, NonZeroUsize};

use clap::{Parser, Subcommand};

use crate::part::Part;

/// Measures the platform beside a bare loop over the same broker, other servers and bare commands.
#[derive(Debug, Parser)]
#[command(name = "bench", after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Only these parts, separated by commas; the page is not written then.
    #[arg(long, value_delimiter = ',', value_name = "PART")]
    pub(crate) only: Vec<Part>,
    /// Turns of each contestant.
    #[arg(long, default_value = "5")]
    pub(crate) rounds: NonZeroUsize,
    /// Seconds that each turn is measured, after a second to warm up.
    #[arg(long, default_value = "4")]
    pub(crate) seconds: NonZeroU64,
    /// Prints the tables only, and leaves docs/performance.md as it is.
    #[arg(long)]
    pub(crate) no_write: bool,
    #[command(subcommand)]
    pub(crate) role: Option<RoleArgument>,
}

/// What the program is started with by itself.
#[derive(Debug, Subcommand)]
pub(crate) enum RoleArgument {
    /// Plays a part in a measurement, described in JSON.
    #[command(hide = true)]
    As {
        /// The role.
        role: String,
    },
}

const EXAMPLES: &str = "\
Examples:
  bench                                     everything, and write docs/performance.md
  bench --only speed --rounds 3 --seconds 2 one part, printed only";
