use std::sync::Arc;

use super::stream::{Event, Found, Stream};

/// The one who reads a stream.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: Arc<Stream>,
    number: u64,
    after: u64,
}

impl Reader {
    pub(super) fn new(stream: Arc<Stream>, number: u64, after: u64) -> Self {
        Self {
            stream,
            number,
            after,
        }
    }

    pub(crate) fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Number of the event that was read last.
    pub(crate) fn after(&self) -> u64 {
        self.after
    }

    /// The next event; `None` when there is nothing more for this reader: the stream is over,
    /// is to be read by a later request, or is read by one already. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            let changed = self.stream.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.stream.find(self.number, self.after) {
                Found::Event(event) => {
                    self.after = event.seq;
                    return Some(event);
                }
                Found::End => return None,
                Found::Quiet => changed.await,
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stream.left(self.number);
    }
}
