use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bus::Message;
use uuid::Uuid;

/// When the newest request that this worker has ever taken was made: a queue is first in, first
/// out, so what still waits there is newer.
#[derive(Debug, Default)]
pub(super) struct Taken(AtomicU64);

impl Taken {
    /// Notes a request that came from the queue. Its message id says when it was made, if it is a
    /// UUID of version 7 (RFC 9562, section 5.7); of others nothing is known.
    pub(super) fn note(&self, message: &Message) {
        let made = message.message_id.as_deref().and_then(made);
        if let Some(made) = made {
            self.0.fetch_max(made, Ordering::Relaxed);
        }
    }

    /// In milliseconds since the Unix epoch; `None` before the first one.
    pub(super) fn up_to(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|made| *made > 0)
    }
}

fn made(message_id: &str) -> Option<u64> {
    let id = Uuid::try_parse(message_id).ok()?;
    let (seconds, nanoseconds) = id
        .get_timestamp()
        .filter(|_| id.get_version_num() == 7)?
        .to_unix();
    let made = seconds * 1000 + u64::from(nanoseconds / 1_000_000);
    let now = SystemTime::UNIX_EPOCH.elapsed().ok()?.as_millis();
    // Nothing waits that is yet to be made: such a clock is wrong, or the id means something else.
    (u128::from(made) <= now).then_some(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message_ids: &[&str], expected: Option<u64>) {
        let taken = Taken::default();
        for id in message_ids {
            taken.note(&Message {
                message_id: Some((*id).to_owned()),
                ..Message::default()
            });
        }
        assert_eq!(taken.up_to(), expected, "{message_ids:?}");
    }

    #[test]
    fn the_newest_message_id_that_tells_its_time_counts() {
        // The example of RFC 9562, appendix A.6: 22 February 2022, 19:22:22 UTC.
        const EXAMPLE: &str = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
        check(&[], None);
        check(&[EXAMPLE], Some(1_645_557_742_000));
        check(
            &[EXAMPLE, "017f22e2-79ff-7cc3-98c4-dc0c0c07398f", EXAMPLE],
            Some(1_645_557_742_079),
        );
        for untold in [
            "",
            "key-abc",
            "919108f7-52d1-4320-9bac-f847db4148a8",
            "ffffffff-ffff-7fff-bfff-ffffffffffff",
        ] {
            check(&[untold], None);
        }
    }
}
