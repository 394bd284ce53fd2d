//! The stdio front: one JSON-RPC message per line, both eras side by side.
//!
//! Nothing but protocol ever goes to the output: one [`write`] loop owns it.

mod answer;
mod connection;
mod lines;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::gateway::Gateway;
use connection::Connection;

/// Messages that wait for the client to read.
const WAITING: usize = 64;

/// Serves one client until its input ends or `shutdown`, then finishes what runs.
///
/// # Errors
/// When input or output fails.
pub(crate) async fn serve<I, O>(
    gateway: Arc<Gateway>,
    input: I,
    output: O,
    shutdown: &CancellationToken,
) -> io::Result<()>
where
    I: AsyncRead + Unpin,
    O: AsyncWrite + Unpin,
{
    let (messages, to_write) = mpsc::channel(WAITING);
    let writer = write(output, to_write);
    tokio::pin!(writer);
    // The connection gives up the sending side when it ends, and with it the writer ends.
    let reader = Connection::new(gateway, messages).run(input, shutdown);
    let ended = tokio::select! {
        written = &mut writer => written,
        read = reader => match writer.await {
            Ok(()) => read,
            Err(error) => Err(error),
        },
    };
    match ended {
        // The client no longer reads: it is gone, which is how clients end.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => ended,
    }
}

/// Writes each message as one line.
async fn write<O: AsyncWrite + Unpin>(
    mut output: O,
    mut messages: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    while let Some(message) = messages.recv().await {
        output.write_all(&line(&message)).await?;
        if messages.is_empty() {
            output.flush().await?;
        }
    }
    output.flush().await
}

/// Line breaks can stand only between the parts of a JSON text, where a blank means the same.
fn line(message: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(message.len() + 1);
    line.extend(message.iter().map(|byte| {
        if matches!(byte, b'\n' | b'\r') {
            b' '
        } else {
            *byte
        }
    }));
    line.push(b'\n');
    line
}
