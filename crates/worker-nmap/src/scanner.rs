//! What the calls of one worker share: the program, and the turns they take.

mod page;
mod part;
mod progress;

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use tokio::time::{Instant, timeout_at};
use worker::{Context, Page};

use crate::Error;
use crate::addresses::AddressSet;
use crate::privileges::Nmap;
use crate::result::{Scanned, TruncatedBy};
use crate::scan::Scan;
use crate::targets::Targets;
use crate::turns::Turns;
use page::PageOfHosts;
use part::Part;
use progress::Tracker;

/// Time that is kept of the deadline to end nmap and to answer.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Hosts of a page whose caller names no limit.
const DEFAULT_LIMIT: u32 = 100;
/// Beginning of every cursor; the address to go on with follows.
const CURSOR: &str = "from-";

/// Runs the scans of one worker.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// As the settings name it.
    program: PathBuf,
    turns: Arc<Turns>,
}

/// What one call asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) targets: Targets,
    pub(crate) scan: Scan,
    pub(crate) page: Page,
}

impl Scanner {
    pub(crate) fn new(program: PathBuf, max_scans: NonZeroU16) -> Self {
        Self {
            program,
            turns: Arc::new(Turns::new(usize::from(max_scans.get()))),
        }
    }

    /// What a tool of this worker is said to do; where it cannot do it now, that comes first.
    pub(crate) fn description(&self, text: &str, needs_raw_sockets: bool) -> String {
        let missing = match self.nmap() {
            Ok(Nmap {
                raw_sockets: Err(why),
                ..
            }) if needs_raw_sockets => format!("it needs raw sockets, and {why}"),
            Ok(_) => return text.to_owned(),
            Err(error) => error.to_string(),
        };
        format!("UNAVAILABLE on this worker: {missing}.\n\n{text}")
    }

    /// The program as it is now: the operator may have mended it since the start.
    pub(crate) fn nmap(&self) -> Result<Nmap, Error> {
        Nmap::find(&self.program)
    }

    /// Scans the targets, part by part, until the page is full or the time is up.
    pub(crate) async fn run(
        &self,
        context: &Context,
        request: Request,
    ) -> Result<Scanned, ToolError> {
        let end = context.deadline() - ANSWER_TIME.min(context.remaining() / 4);
        self.run_until(context, request, end).await
    }

    async fn run_until(
        &self,
        context: &Context,
        request: Request,
        end: Instant,
    ) -> Result<Scanned, ToolError> {
        let started = Instant::now();
        let Request {
            targets,
            scan,
            page,
        } = request;
        let nmap = self.nmap()?;
        if let (true, Err(why)) = (scan.needs_raw_sockets, &nmap.raw_sockets) {
            let (scan, why) = (scan.technique.in_words(), why.clone());
            return Err(Error::NoRawSockets { scan, why }.into());
        }
        let resolved = targets.resolve(context.scope()).await?;
        let todo = left_to_scan(&resolved.addresses, page.cursor.as_deref())?;
        scan.check_fits(todo.len(), end.saturating_duration_since(Instant::now()))?;
        let run = Run {
            turns: &self.turns,
            nmap,
            scan,
            end,
            tracker: Tracker::new(context, todo.len()),
        };
        let limit = page.limit.unwrap_or(DEFAULT_LIMIT) as usize;
        let mut found = PageOfHosts::new(limit, resolved.names);
        let technique = run.scan.technique;
        run.all(todo, &mut found).await?;
        if found.is_unreachable() {
            return Err(unreachable(&found));
        }
        Ok(found.into_result(technique, context.host().clone(), started.elapsed()))
    }
}

/// One call while it runs.
struct Run<'a> {
    turns: &'a Arc<Turns>,
    nmap: Nmap,
    scan: Scan,
    /// When nmap must have ended.
    end: Instant,
    tracker: Tracker<'a>,
}

impl Run<'_> {
    async fn all(mut self, mut todo: AddressSet, found: &mut PageOfHosts) -> Result<(), ToolError> {
        let started = Instant::now();
        while !todo.is_empty() {
            let addresses = todo.first_part(self.scan.part(found.room()));
            let Some(turn) = self.turn(&addresses).await else {
                if found.is_empty() {
                    let why = "scans of the same addresses, or as many as this worker runs at a time, were still under way";
                    return Err(Error::NoRoom(self.end - started, why).into());
                }
                found.stop(TruncatedBy::Deadline, todo.first());
                return Ok(());
            };
            let mut part = Part::new(addresses);
            let ended = part
                .scan(&self.nmap, &self.scan, self.end, &mut self.tracker)
                .await;
            drop(turn);
            if let Err(error) = ended {
                if found.is_empty() && part.is_empty() {
                    return Err(error.into());
                }
                found.warn(&error.to_string());
                found.take_unfinished(part, &self.scan, TruncatedBy::Failure);
                return Ok(());
            }
            if !part.is_finished {
                found.take_unfinished(part, &self.scan, TruncatedBy::Deadline);
                return Ok(());
            }
            todo = part
                .addresses
                .last()
                .map_or_else(AddressSet::default, |last| todo.after(last));
            self.tracker.part_is_done(part.addresses.len());
            if !found.take(part, &self.scan, todo.first()) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits for the turn of these addresses until the time is up.
    async fn turn(&mut self, addresses: &AddressSet) -> Option<crate::turns::Turn> {
        if self.turns.are_taken(addresses) {
            self.tracker
                .say(&format!("waiting for another scan of {addresses} to end"));
        }
        timeout_at(self.end, self.turns.wait(addresses)).await.ok()
    }
}

/// The addresses from the cursor on.
fn left_to_scan(addresses: &AddressSet, cursor: Option<&str>) -> Result<AddressSet, ToolError> {
    let Some(cursor) = cursor else {
        return Ok(addresses.clone());
    };
    let start: Option<IpAddr> = cursor
        .strip_prefix(CURSOR)
        .and_then(|address| address.parse().ok());
    match start.filter(|start| addresses.contains(*start)) {
        Some(start) => Ok(addresses.starting_at(start)),
        None => Err(ToolError::invalid(format!(
            "argument cursor is {cursor:?}, which no page of these targets ended with"
        ))
        .hint("take nextCursor of the page before, with the same target, or leave cursor out")),
    }
}

fn unreachable(found: &PageOfHosts) -> ToolError {
    let said = found.warnings().join("; ");
    let message = format!("nmap could not scan any of the addresses: {said}");
    ToolError::new(ErrorCode::Unreachable, message)
        .hint("`route` with the destination tells whether the worker's host has a way to it")
}

#[cfg(test)]
mod tests;
