use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use lapin::BasicProperties;
use protocol::headers::ZSTD;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::{Options, codec};
use crate::{COMPRESSIBLE, Message, Publish};

/// Of zstd's levels the fastest: the broker gains most from the first halving of a body.
const LEVEL: i32 = 1;
/// Bodies with more bytes are worked on beside the event loop; smaller ones do not hold it up for long.
const ASIDE: usize = 1 << 20;
/// Window, as a power of two, that every decoder should have (RFC 8878 section 3.1.1.1.2): 8 MiB.
const MIN_WINDOW_LOG: u32 = 23;

/// A message as it goes over the wire.
pub(super) struct Outgoing {
    pub(super) publish: Publish,
    pub(super) is_compressed: bool,
}

/// What bodies may be, and when they are compressed.
#[derive(Debug)]
pub(super) struct Encoding {
    threshold: Option<usize>,
    max_message_size: usize,
    /// What the broker takes, as far as it has said so.
    broker_takes: AtomicUsize,
}

impl Encoding {
    pub(super) fn of(options: &Options) -> Arc<Self> {
        Arc::new(Self {
            threshold: options.compression_threshold.map(|it| it.max(COMPRESSIBLE)),
            max_message_size: options.max_message_size,
            broker_takes: AtomicUsize::new(usize::MAX),
        })
    }

    /// Most bytes of a body that is sent.
    pub(super) fn limit(&self) -> usize {
        self.max_message_size
            .min(self.broker_takes.load(Ordering::Relaxed))
    }

    /// Takes note of a broker that has ended a channel because a message was too large for it. It
    /// would do so again, and every message on the channel would be lost again.
    pub(super) fn learn(&self, fault: &str) {
        let Some(limit) = limit_in(fault) else { return };
        if self.broker_takes.fetch_min(limit, Ordering::Relaxed) > limit {
            warn!(
                bytes = limit,
                "the message broker takes smaller messages than AMQP_MAX_MESSAGE_SIZE says"
            );
        }
    }

    /// Compresses the body where the receiver reads that and it is worth it.
    pub(super) async fn encode(&self, mut publish: Publish) -> Outgoing {
        let body = &publish.message.body;
        let is_wanted = publish.message.zstd
            && self
                .threshold
                .is_some_and(|threshold| body.len() > threshold);
        let compressed = match (is_wanted, body.len() > ASIDE) {
            (false, _) => None,
            (true, false) => compress(body),
            (true, true) => {
                let body = body.clone();
                let compressing = spawn_blocking(move || compress(&body));
                compressing.await.unwrap_or_default()
            }
        };
        let is_compressed = compressed.is_some();
        if let Some(compressed) = compressed {
            publish.message.body = compressed;
        }
        Outgoing {
            publish,
            is_compressed,
        }
    }

    /// The message that was received; without a body, and with the reason, if that cannot be
    /// decompressed.
    pub(super) async fn decode(&self, properties: &BasicProperties, body: Vec<u8>) -> Message {
        let encoding = match properties.content_encoding() {
            None => return codec::message(properties, body),
            Some(encoding) => encoding.as_str(),
        };
        let limit = self.max_message_size;
        let decoded = match encoding {
            "" => Ok(body),
            ZSTD if body.len() > ASIDE => {
                let decompressing = spawn_blocking(move || decompress(&body, limit));
                let decoded = decompressing.await;
                decoded.unwrap_or_else(|_| Err("the process ends".to_owned()))
            }
            ZSTD => decompress(&body, limit),
            other => Err(format!(
                "its content-encoding is {other:?}, and only {ZSTD:?} is understood here"
            )),
        };
        match decoded {
            Ok(body) => codec::message(properties, body),
            Err(why) => {
                let mut message = codec::message(properties, Vec::new());
                message.unreadable = Some(why);
                message
            }
        }
    }
}

/// `None` where it would not make the body smaller.
fn compress(body: &Bytes) -> Option<Bytes> {
    let compressed = zstd::bulk::compress(body, LEVEL).ok()?;
    (compressed.len() < body.len()).then(|| compressed.into())
}

/// At most so many bytes come out, and about so many are held meanwhile, or the window.
fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let broken = |error: std::io::Error| format!("its body is no valid zstd data: {error}");
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(broken)?;
    let window_log = limit.next_power_of_two().ilog2().max(MIN_WINDOW_LOG);
    decoder.window_log_max(window_log).map_err(broken)?;
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    let mut decompressed = Vec::new();
    decoder
        .take(most.saturating_add(1))
        .read_to_end(&mut decompressed)
        .map_err(broken)?;
    if decompressed.len() > limit {
        return Err(format!(
            "its body has more than {limit} bytes when it is decompressed (AMQP_MAX_MESSAGE_SIZE)"
        ));
    }
    Ok(decompressed)
}

/// The limit that a broker names when it refuses a message: `… max size 16777216`.
fn limit_in(fault: &str) -> Option<usize> {
    let (_, said) = fault.split_once("message size ")?;
    let (_, limit) = said.split_once("max size ")?;
    let digits = limit.find(|it: char| !it.is_ascii_digit());
    limit.get(..digits.unwrap_or(limit.len()))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: usize) -> Bytes {
        "{\"host\":\"switch-7\"}".repeat(bytes / 18 + 1).into()
    }

    #[test]
    fn what_was_compressed_is_smaller_and_comes_back() {
        let body = text(100_000);
        let compressed = compress(&body).unwrap();
        assert!(compressed.len() < body.len() / 10, "{}", compressed.len());
        assert_eq!(decompress(&compressed, body.len()).unwrap(), body);
    }

    #[test]
    fn a_body_that_compresses_to_more_stays_as_it_is() {
        assert_eq!(compress(&Bytes::from_static(b"{}")), None);
    }

    #[test]
    fn a_small_body_does_not_become_a_large_one() {
        let bomb = zstd::bulk::compress(&vec![0; 100 << 20], LEVEL).unwrap();
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        let why = decompress(&bomb, 1 << 20).unwrap_err();
        assert!(why.contains("1048576") || why.contains("memory"), "{why}");
        // Many small frames make a bomb as well.
        let frame = zstd::bulk::compress(&vec![0; 100_000], LEVEL).unwrap();
        let why = decompress(&frame.repeat(100), 1 << 20).unwrap_err();
        assert!(why.contains("1048576"), "{why}");
    }

    #[test]
    fn a_body_that_is_cut_off_or_changed_is_said_to_be_broken() {
        let compressed = compress(&text(100_000)).unwrap();
        let cut = &compressed[..compressed.len() / 2];
        for broken in [cut, b"{}", b"\x28\xb5\x2f\xfd"] {
            let why = decompress(broken, 1 << 20).unwrap_err();
            assert!(why.contains("no valid zstd data"), "{why}");
        }
    }

    #[test]
    fn the_limit_of_a_broker_is_read_from_what_it_says() {
        let fault = "PRECONDITION_FAILED - message size 200000 is larger than configured max size \
                     131072";
        assert_eq!(limit_in(fault), Some(131_072));
        assert_eq!(limit_in("message size 5 larger than max size 4'"), Some(4));
        assert_eq!(limit_in("NOT_FOUND - no queue"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_more_than_themselves(
            body in proptest::collection::vec(any::<u8>(), 0..200),
            is_framed in any::<bool>(),
        ) {
            let frame = if is_framed { b"\x28\xb5\x2f\xfd".as_slice() } else { &[] };
            let body = [frame, &body].concat();
            let decompressed = decompress(&body, 10_000);
            prop_assert!(decompressed.is_err() || decompressed.unwrap().len() <= 10_000);
        }
    }
}
