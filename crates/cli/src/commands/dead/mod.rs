//! `discovery dead`: letters where they lie, in a queue of the broker.
//!
//! [`Desk`] is the connection and the right to work on letters, [`Letter`] is one of them.
//! Letters are taken without being settled; whatever ends the command gives them back.

mod desk;
mod drop;
mod letter;
mod list;
mod outcome;
mod replay;
mod selection;
mod show;

use service::{ExitError, Process};

use crate::arguments::Dead;
use desk::Desk;
use letter::Letter;

/// Works on the dead letters until it is done or interrupted.
pub(super) async fn run(process: Process, action: Dead) -> Result<(), ExitError> {
    let Some(opened) = until_stopped(&process, Desk::open(&process)).await else {
        return Err(interrupted());
    };
    let desk = opened?;
    let done = until_stopped(&process, work(&process, &desk, &action)).await;
    // Everything that is still held goes back to its place.
    desk.close().await;
    done.unwrap_or_else(|| Err(interrupted()))
}

async fn work(process: &Process, desk: &Desk, action: &Dead) -> Result<(), ExitError> {
    let (letters, _held) = desk.read().await?;
    match action {
        Dead::List { filter, json } => list::run(&letters, filter, *json),
        Dead::Show { id, json } => show::run(&letters, id, *json),
        Dead::Drop { which, json } => drop::run(&letters, which, *json).await,
        Dead::Replay {
            which,
            timeout,
            json,
        } => {
            let chosen = selection::choose(&letters, which)?;
            let mut replay = replay::Replay::start(process, desk).await?;
            replay.run(&chosen, *timeout, *json).await
        }
    }
}

/// The result of some work, or nothing when the process is asked to stop first.
async fn until_stopped<T>(process: &Process, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = process.shutdown.cancelled() => None,
        done = work => Some(done),
    }
}

fn interrupted() -> ExitError {
    ExitError::new(
        130,
        "interrupted; every letter that was not finished is in its place",
    )
}

/// How many letters, in words.
fn count(n_letters: usize) -> String {
    match n_letters {
        1 => "1 letter".to_owned(),
        n => format!("{n} letters"),
    }
}
