use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Parser as _, ValueEnum as _};

use crate::arguments::{Arguments, RoleArgument};
use crate::machine::Machine;
use crate::page;
use crate::part::{Effort, Part};
use crate::role::Role;
use crate::site::Site;

/// Where the figures go, in the folder that the program is started in.
const PAGE: &str = "docs/performance.md";

/// Reads the arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.role {
        Some(RoleArgument::As { role }) => play(role),
        None => measure(&arguments).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

fn play(role: &str) -> Result<ExitCode> {
    let role: Role = serde_json::from_str(role).context("not a role")?;
    role.play()
}

fn measure(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            measured = measure_all(arguments) => measured,
            // What was started ends with the values that are dropped here.
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        }
    })
}

async fn measure_all(arguments: &Arguments) -> Result<()> {
    let machine = Machine::now()?;
    let effort = Effort {
        rounds: arguments.rounds.get(),
        turn: Duration::from_secs(arguments.seconds.get()),
    };
    let parts = if arguments.only.is_empty() {
        Part::value_variants()
    } else {
        &arguments.only
    };
    let site = Site::start().await?;
    let machine = machine.with(&site.node).await?;
    say(&machine.to_string());
    let mut sections = Vec::new();
    for part in parts {
        let section = part.measure(&site, effort).await?;
        say(&format!("\n{section}"));
        sections.push(section);
    }
    if arguments.only.is_empty() && !arguments.no_write {
        page::write(Path::new(PAGE), &machine, effort, &sections)?;
    }
    Ok(())
}

/// Writes a line to standard output; nobody reading it is no failure.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
