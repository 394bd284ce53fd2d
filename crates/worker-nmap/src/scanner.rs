//! What the calls of one worker share: the program, and the turns they take.

mod chunk;
mod cursor;
mod listing;
mod page;
mod part;
mod progress;
mod todo;

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
use todo::Todo;

/// Time that is kept of the deadline to end nmap and to answer.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Hosts of a page whose caller names no limit.
const DEFAULT_LIMIT: u32 = 100;
/// Time that is too short to begin with more ports of a host, or to matter.
const LEAST_TIME: Duration = Duration::from_secs(1);

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
            return Err(Error::NoRawSockets {
                scan: scan.technique.in_words(),
                why: why.clone(),
                without: scan.technique.without_raw_sockets(),
            }
            .into());
        }
        let resolved = targets.resolve(context.scope()).await?;
        let todo = Todo::new(&resolved.addresses, page.cursor.as_deref())?;
        scan.check_fits(todo.len(), end.saturating_duration_since(Instant::now()))?;
        let todo = todo.of_ports(listing::ports(&nmap, &scan).await?)?;
        let run = Run {
            turns: &self.turns,
            nmap,
            scan,
            end,
            started,
            tracker: Tracker::new(context, todo.len()),
        };
        let limit = page.limit.unwrap_or(DEFAULT_LIMIT) as usize;
        let mut found = PageOfHosts::new(limit, resolved.names, todo.cursor());
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
    started: Instant,
    tracker: Tracker<'a>,
}

/// How a part ended that is not done.
enum Ended {
    /// Nothing is known of it.
    Unbegun,
    Early(TruncatedBy),
}

impl Run<'_> {
    async fn all(mut self, mut todo: Todo, found: &mut PageOfHosts) -> Result<(), ToolError> {
        let mut sparse = 0;
        while let Some(mut part) = todo.part(self.scan.part(found.room(), sparse)) {
            // Nothing was found yet that a failure would lose.
            let is_first = found.is_empty();
            match self.part(&mut part, is_first, todo.len()).await? {
                None => {}
                Some(Ended::Unbegun) => {
                    found.stop(TruncatedBy::Deadline, todo.cursor());
                    return Ok(());
                }
                Some(Ended::Early(why)) => {
                    found.take_unfinished(&mut part, &self.scan, why);
                    return Ok(());
                }
            }
            sparse = if part.is_sparse() { sparse + 1 } else { 0 };
            todo.remove(&part);
            self.tracker.part_is_done(part.addresses().len());
            if !found.take(&mut part, &self.scan, todo.cursor()) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Scans all ports of a part, in as many runs of nmap as that needs.
    async fn part(
        &mut self,
        part: &mut Part,
        is_first: bool,
        n_left: u128,
    ) -> Result<Option<Ended>, ToolError> {
        while let Some(mut chunk) = part.next(&self.scan, self.left()) {
            let is_begun = !part.is_empty();
            if is_begun && self.left() < LEAST_TIME {
                part.end();
                return Ok(Some(Ended::Early(TruncatedBy::Deadline)));
            }
            let is_first = is_first && !is_begun;
            let turn = self.turn(&chunk.addresses).await;
            // Waiting may have taken the time that the scan needs.
            let fits = !is_first || self.scan.estimate(n_left) <= self.left() + LEAST_TIME;
            let Some(turn) = turn.filter(|_| fits) else {
                if is_first {
                    let why = "scans of the same addresses, or as many as this worker runs at a time, were still under way";
                    return Err(Error::NoRoom(self.started.elapsed(), why).into());
                }
                part.end();
                return Ok(Some(if is_begun {
                    Ended::Early(TruncatedBy::Deadline)
                } else {
                    Ended::Unbegun
                }));
            };
            let began = Instant::now();
            self.tracker
                .run(part.addresses().len(), part.shares(&chunk));
            let technique = self.scan.technique.in_words();
            self.tracker
                .say(&format!("{technique} of {}", chunk.addresses));
            let ended = chunk
                .scan(&self.nmap, &self.scan, self.end, &mut self.tracker)
                .await;
            drop(turn);
            let mut why = TruncatedBy::Deadline;
            if let Err(error) = ended {
                if is_first && chunk.is_empty() {
                    return Err(error.into());
                }
                part.warnings.push(error.to_string());
                why = TruncatedBy::Failure;
            }
            if !chunk.is_finished {
                part.take_unfinished(chunk);
                return Ok(Some(Ended::Early(why)));
            }
            part.take(chunk, began.elapsed());
        }
        Ok(None)
    }

    /// Time that is left for nmap.
    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
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

fn unreachable(found: &PageOfHosts) -> ToolError {
    let said = found.warnings().join("; ");
    let message = format!("nmap could not scan any of the addresses: {said}");
    ToolError::new(ErrorCode::Unreachable, message)
        .hint("`route` with the destination tells whether the worker's host has a way to it")
}

#[cfg(test)]
mod tests;
