use std::time::Duration;

use service::{ExitError, Process};
use tokio::io::{AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Platform;

/// Bytes that either side may write ahead of the other.
const AHEAD: usize = 64 * 1024;

/// Time to finish what the client has said before it left.
const END_TIME: Duration = Duration::from_secs(2);

/// The platform as seen by one client in the same process: newline-delimited JSON-RPC, as on
/// standard input and output.
///
/// What the client sees is what any client sees: there is no second way to call a tool.
pub struct Local {
    /// What the gateway writes.
    pub output: BufReader<ReadHalf<DuplexStream>>,
    /// What the gateway reads.
    pub input: WriteHalf<DuplexStream>,
    serving: JoinSet<Result<(), ExitError>>,
    stop: CancellationToken,
}

impl Local {
    /// Starts the platform; with a broker configured, only its gateway.
    ///
    /// # Errors
    /// As [`Platform::new`] has them.
    pub async fn start(process: &Process) -> Result<Self, ExitError> {
        let mut process = process.clone();
        // The client decides when it ends: an interrupted call is cancelled first.
        let stop = CancellationToken::new();
        process.shutdown = stop.clone();
        let platform = Platform::for_one_client(&process).await?;
        let (ours, theirs) = tokio::io::duplex(AHEAD);
        let (output, input) = tokio::io::split(ours);
        let (requests, answers) = tokio::io::split(theirs);
        let mut serving = JoinSet::new();
        serving.spawn(platform.serve_on(requests, answers));
        Ok(Self {
            output: BufReader::new(output),
            input,
            serving,
            stop,
        })
    }

    /// Ends the platform after what the client has said so far.
    ///
    /// # Errors
    /// Why it had ended before, if it had.
    pub async fn end(mut self) -> Result<(), ExitError> {
        // The end of its input ends the gateway; where it has ended already there is no input.
        let _ = self.input.shutdown().await;
        let ended = tokio::time::timeout(END_TIME, self.serving.join_next()).await;
        self.stop.cancel();
        let ended = match ended {
            Ok(ended) => ended,
            Err(_) => self.serving.join_next().await,
        };
        match ended {
            Some(ended) => ended.unwrap_or_else(|error| Err(ExitError::internal(error))),
            None => Ok(()),
        }
    }
}
