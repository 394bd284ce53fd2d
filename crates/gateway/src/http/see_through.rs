use std::time::Duration;

use tokio::sync::mpsc;
use tracing::debug;

use crate::call::{RunningCall, Step};
use crate::gateway::Gateway;
use crate::session::Begun;

/// Notifications that wait for a slow reader; beyond, newer ones are dropped.
const WAITING: usize = 64;
/// How long the answer waits for a slow reader.
const READER_TIME: Duration = Duration::from_secs(30);

/// Sees a call through to its end, whether or not anybody still reads: up to revision
/// 2025-11-25 a broken stream is not a cancel. What ends it early is the client's word.
pub(super) fn see_through(
    gateway: &Gateway,
    mut call: RunningCall,
    begun: Begun,
) -> mpsc::Receiver<Step> {
    let (messages, reader) = mpsc::channel(WAITING);
    gateway.tasks.spawn(async move {
        loop {
            let step = tokio::select! {
                step = call.next() => step,
                () = begun.cancelled() => None,
            };
            match step {
                Some(step @ (Step::Notification(_) | Step::Detach)) => {
                    if messages.try_send(step).is_err() {
                        debug!("a notification for a slow or absent client was dropped");
                    }
                }
                Some(step @ Step::Final(_)) => {
                    // The identifier is free once the answer is on its way.
                    drop(begun);
                    let _ = messages.send_timeout(step, READER_TIME).await;
                    return;
                }
                None => return,
            }
        }
    });
    reader
}
