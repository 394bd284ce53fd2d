use std::time::Duration;

use clap::{Args, Subcommand};
use service::settings::Milliseconds;

/// Longest time that a replayed call may take: letters are held no longer.
const LONGEST: Duration = Duration::from_mins(15);

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// Lists the letters, the oldest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// All that is known of each letter but its request, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows one letter with its request.
    ///
    /// The request is shown as its caller wrote it: its arguments may hold what others must not
    /// see.
    Show {
        /// The letter's ID, or as much of its beginning as no other letter has.
        id: String,
        /// The same as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes the calls again, one after the other, and prints their answers.
    ///
    /// Each is a new call, with ids, a deadline and a trace of its own. Its letter is removed
    /// once there is a final answer, also if that is a failure of the tool. It stays if the call
    /// was refused, had no answer in time, or may succeed later.
    ///
    /// Exit code 1 means that a letter stays or that a tool failed.
    Replay {
        #[command(flatten)]
        which: Which,
        /// How long each call may take: milliseconds, or a number with ms, s, m or h; at most
        /// 15m. Without it what is usual for the tool, or 30 s.
        #[arg(long, value_name = "TIME", value_parser = time)]
        timeout: Option<Duration>,
        /// One JSON object for each letter, on a line of its own.
        #[arg(long)]
        json: bool,
    },
    /// Removes letters for good.
    Drop {
        #[command(flatten)]
        which: Which,
        /// The IDs of the letters that were removed, as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Which letters are listed.
#[derive(Debug, Default, Args)]
pub(crate) struct Filter {
    /// Only letters of this category.
    #[arg(long)]
    pub(crate) category: Option<String>,
    /// Only letters with this text in their reason or in one of their errors.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Which letters are replayed or dropped.
#[derive(Debug, Default, Args)]
pub(crate) struct Which {
    /// IDs of letters, or as much of their beginnings as no other letter has.
    #[arg(value_name = "ID", required_unless_present = "all")]
    pub(crate) ids: Vec<String>,
    /// All letters, or all that --category and --reason leave; needs --yes.
    #[arg(long, conflicts_with = "ids", requires = "yes")]
    pub(crate) all: bool,
    /// Yes, all of them.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  discovery dead list                             what there is
  discovery dead list --category network --json
  discovery dead show 01a1fbf2                    all of one letter; part of its ID is enough
  discovery dead replay 01a1fbf2 --timeout 1m     call again, and print the answer
  discovery dead replay --all --yes               call all of them again
  discovery dead drop 01a1fbf2 01a1fbf7           remove two letters
  discovery dead drop --all --yes --reason \"the worker stops\"

They need AMQP_URL. docs/dead-letters.md says how a call becomes a letter.";

fn time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<Milliseconds>()?.get();
    if time > LONGEST {
        return Err("a call takes 15m at most".to_owned());
    }
    Ok(time)
}
