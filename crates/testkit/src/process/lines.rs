//! The lines that a child has written so far.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::{sync::watch, time::timeout};

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    closed: bool,
}

/// The lines of one output stream, in order; clones look at the same stream.
#[derive(Debug, Clone)]
pub struct Lines {
    written: Arc<watch::Sender<Written>>,
}

impl Lines {
    /// Reads `stream` until it ends, on a thread of its own.
    ///
    /// A thread, not a task: the lines stay readable when the test's runtime is busy or gone.
    /// The thread ends when the child's end of the pipe is closed.
    pub(crate) fn read(stream: impl Read + Send + 'static) -> Self {
        let written = Arc::new(watch::Sender::new(Written::default()));
        let writer = Arc::clone(&written);
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches(['\n', '\r']).to_owned();
                writer.send_modify(|written| written.lines.push(text));
                line.clear();
            }
            writer.send_modify(|written| written.closed = true);
        });
        Self { written }
    }

    /// All lines so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.written.borrow().lines.clone()
    }

    /// The first line that `wanted` says yes to, past ones included.
    ///
    /// # Errors
    /// There was none within `deadline`, or the stream ended before; `what` names it in the
    /// message, which carries the last lines seen.
    pub async fn line(
        &self,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let first = |written: &Written| written.lines.iter().find(|line| wanted(line)).cloned();
        let mut watch = self.written.subscribe();
        let found = timeout(
            deadline,
            watch.wait_for(|written| first(written).is_some() || written.closed),
        )
        .await;
        match found {
            Ok(Ok(written)) => first(&written)
                .with_context(|| format!("{what}: the output ended before: {}", tail(&written))),
            Ok(Err(_)) | Err(_) => {
                bail!(
                    "{what}: not within {deadline:?}; the last lines: {}",
                    self.tail()
                )
            }
        }
    }

    /// Waits until the child has closed the stream, and gives all its lines.
    ///
    /// # Errors
    /// The stream is still open after `deadline`.
    pub async fn to_end(&self, deadline: Duration) -> Result<Vec<String>> {
        let mut watch = self.written.subscribe();
        let end = timeout(deadline, watch.wait_for(|written| written.closed)).await;
        match end {
            Ok(Ok(written)) => Ok(written.lines.clone()),
            Ok(Err(_)) | Err(_) => bail!("the output is still open after {deadline:?}"),
        }
    }

    /// The last lines, for messages.
    pub(crate) fn tail(&self) -> String {
        tail(&self.written.borrow())
    }
}

fn tail(written: &Written) -> String {
    let from = written.lines.len().saturating_sub(20);
    written.lines.get(from..).unwrap_or_default().join("\n")
}
