use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::call::{RunningCall, Step};
use crate::gateway::Gateway;
use crate::session::Begun;
use crate::streams::Stream;

/// Sees a call through to its end, whether or not anybody still reads its stream: up to
/// revision 2025-11-25 a broken stream is not a cancel. What ends it early is the client's word.
pub(super) fn see_through(
    gateway: &Arc<Gateway>,
    mut call: RunningCall,
    begun: Begun,
    (stream, may_detach): (Arc<Stream>, bool),
    place: OwnedSemaphorePermit,
) {
    let owner = Arc::clone(gateway);
    let mut place = Some(place);
    gateway.tasks.spawn(async move {
        let answer = loop {
            let step = tokio::select! {
                step = call.next() => step,
                () = begun.cancelled() => None,
            };
            match step {
                Some(Step::Notification(message)) => {
                    owner.streams.push(&stream, message);
                    if call.is_with_client() {
                        // People take their time, and what waits for them has bounds of its own:
                        // it must not keep others from calling.
                        place = None;
                    }
                }
                Some(Step::Detach) if may_detach => stream.detach(),
                Some(Step::Detach) => {}
                Some(Step::Final(reply)) => {
                    if let Some(after) = reply.retry_after {
                        stream.refused(after);
                    }
                    break Some(reply.body);
                }
                None => break None,
            }
        };
        for message in call.withdraw() {
            owner.streams.push(&stream, message);
        }
        // The identifier is free once the answer is on its way.
        drop(begun);
        owner.streams.finish(&stream, answer);
        drop(place);
    });
}
