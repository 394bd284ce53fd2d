//! How far a call has come, for progress and for the error when its time is over.

use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use tokio::time::Instant;
use worker::Context;

/// Shortest time between two notes on a body.
const INTERVAL: Duration = Duration::from_millis(500);

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Resolve,
    Connect,
    Handshake,
    FirstByte,
    Body {
        received: usize,
        declared: Option<u64>,
    },
}

/// Tells the caller how far the call has come, and remembers it.
pub(super) struct Progress<'a> {
    context: &'a Context,
    stage: Stage,
    what: String,
    n_steps: u32,
    last: Instant,
}

impl<'a> Progress<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self {
            context,
            stage: Stage::Resolve,
            what: String::new(),
            n_steps: 0,
            last: Instant::now(),
        }
    }

    /// Begins another stage.
    pub(super) fn enter(&mut self, stage: Stage, what: String) {
        self.stage = stage;
        self.what.clone_from(&what);
        self.tell(what);
    }

    /// More of the body came.
    pub(super) fn received(&mut self, received: usize, declared: Option<u64>) {
        self.stage = Stage::Body { received, declared };
        if self.last.elapsed() >= INTERVAL {
            self.tell(format!("{received} bytes received"));
        }
    }

    fn tell(&mut self, what: String) {
        self.last = Instant::now();
        self.n_steps += 1;
        self.context.progress(f64::from(self.n_steps), None, what);
    }

    /// The error for a call that ran out of time here.
    pub(super) fn timed_out(&self, limit: Duration) -> ToolError {
        let seconds = limit.as_secs_f64();
        let (code, at) = match self.stage {
            Stage::Resolve => (ErrorCode::NameNotResolved, self.what.clone()),
            Stage::Connect => (ErrorCode::Unreachable, self.what.clone()),
            Stage::Handshake | Stage::FirstByte => (ErrorCode::DeadlineExceeded, self.what.clone()),
            Stage::Body { received, declared } => {
                let of = declared.map_or_else(String::new, |declared| format!(" of {declared}"));
                let at = format!("{}: {received}{of} bytes of the body had come", self.what);
                (ErrorCode::DeadlineExceeded, at)
            }
        };
        ToolError::new(code, format!("not done within {seconds} s, while {at}"))
            .hint("raise \"timeout\" (at most 300 s), or ask for less with \"max_bytes\"")
    }
}
