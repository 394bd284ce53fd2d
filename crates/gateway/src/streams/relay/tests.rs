use std::sync::Arc;

use bus::Backoff;
use bus::memory::MemoryBus;
use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::*;
use crate::gateway::Gateway;
use crate::streams::{EventId, Resumed, Stream};

/// Two gateways that hear each other.
struct Pair {
    bus: MemoryBus,
    owner: Arc<Gateway>,
    asker: Arc<Gateway>,
    listening: JoinSet<()>,
    session: Uuid,
}

impl Pair {
    async fn start() -> Self {
        let bus = MemoryBus::new();
        let owner = Gateway::for_test_on(&bus, "owner");
        let asker = Gateway::for_test_on(&bus, "asker");
        let mut listening = JoinSet::new();
        for gateway in [&owner, &asker] {
            let mut joined = gateway.peers.joined();
            let gateway = Arc::clone(gateway);
            listening.spawn(async move {
                let stop = CancellationToken::new();
                let _ = gateway
                    .peers
                    .run(&gateway, &Backoff::default(), &stop)
                    .await;
            });
            joined.wait_for(|times| *times > 0).await.unwrap();
        }
        Self {
            bus,
            owner,
            asker,
            listening,
            session: Uuid::new_v4(),
        }
    }

    /// A call's stream at the owner.
    fn stream(&self) -> Arc<Stream> {
        let request: Box<RawValue> = serde_json::from_str("1").unwrap();
        let stream = self.owner.streams.call(self.session, &request);
        self.owner.streams.keep(&stream);
        stream
    }

    fn push(&self, stream: &Stream, message: &'static str) {
        let message = Bytes::from_static(message.as_bytes());
        self.owner.streams.push(stream, message);
    }

    /// Comes back at the other gateway.
    async fn resume(&self, stream: &Stream, after: u64) -> Resumed {
        let event = stream.address().event(after);
        self.asker.resume(self.session, &event).await
    }

    async fn relayed(&self, stream: &Stream, after: u64) -> Relayed {
        match self.resume(stream, after).await {
            Resumed::There(relayed) => relayed,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until neither keeps anything for the other.
    async fn nothing_left(&self) {
        while !(self.owner.streams.relays.is_empty() && self.asker.streams.relays.is_empty()) {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_at_another_gateway() {
    let pair = Pair::start().await;
    let stream = pair.stream();
    pair.push(&stream, "{\"n\": 1.0}");
    pair.push(&stream, "{\"n\":\r\n2}");
    let mut relayed = pair.relayed(&stream, 1).await;
    let (seq, message) = relayed.next().await.unwrap();
    assert_eq!((seq, &*message), (2, b"{\"n\":\r\n2}".as_slice()));
    pair.push(&stream, "3");
    assert_eq!(relayed.next().await.unwrap().0, 3);
    // Far longer than the owner would send without being asked again.
    sleep(LEASE * 3).await;
    let answer = Some(Bytes::from_static(b"4"));
    pair.owner.streams.finish(&stream, answer);
    let (seq, message) = relayed.next().await.unwrap();
    assert_eq!((seq, &*message), (4, b"4".as_slice()));
    assert!(relayed.next().await.is_none());
    drop(relayed);
    pair.nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_says_what_it_does_not_have() {
    let pair = Pair::start().await;
    let stream = pair.stream();
    assert!(
        matches!(pair.resume(&stream, 1).await, Resumed::Gone),
        "no such event"
    );
    let other = Uuid::new_v4();
    let event = stream.address().event(0);
    let resumed = pair.asker.resume(other, &event).await;
    assert!(
        matches!(resumed, Resumed::Gone),
        "the stream of another session"
    );
    pair.owner.streams.finish(&stream, None);
    assert!(matches!(pair.resume(&stream, 0).await, Resumed::Over));
    pair.nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_gone_is_noticed() {
    let mut pair = Pair::start().await;
    let stream = pair.stream();
    let mut relayed = pair.relayed(&stream, 0).await;
    pair.listening.shutdown().await;
    assert!(relayed.next().await.is_none(), "the asker notices");
    pair.nothing_left().await;
    let before = Instant::now();
    assert!(matches!(
        pair.resume(&stream, 0).await,
        Resumed::Gone | Resumed::Busy
    ));
    let nobody: EventId = "nobody.c1.1".parse().unwrap();
    let resumed = pair.asker.resume(pair.session, &nobody).await;
    assert!(matches!(resumed, Resumed::Gone | Resumed::Busy));
    assert!(before.elapsed() <= FIRST_WORD, "it does not take long");
}

#[tokio::test(start_paused = true)]
async fn an_asker_that_says_no_more_is_sent_nothing_more() {
    let pair = Pair::start().await;
    let stream = pair.stream();
    let relayed = pair.relayed(&stream, 0).await;
    drop(relayed);
    pair.nothing_left().await;
    assert!(stream.is_unread_for(Duration::ZERO));
    let silent = pair.relayed(&stream, 0).await;
    // It cannot take its wish back.
    pair.bus.go_away();
    advance(LEASE).await;
    pair.bus.come_back();
    while !stream.is_unread_for(Duration::ZERO) {
        sleep(Duration::from_millis(100)).await;
    }
    drop(silent);
    pair.nothing_left().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_too_slowly_loses_the_connection_and_nothing_else() {
    let pair = Pair::start().await;
    let stream = pair.stream();
    let mut relayed = pair.relayed(&stream, 0).await;
    for _ in 0..1000 {
        pair.push(&stream, "{}");
        sleep(Duration::from_millis(1)).await;
    }
    let mut last = 0;
    while let Some((seq, _)) = relayed.next().await {
        assert_eq!(seq, last + 1, "none is left out");
        last = seq;
    }
    assert!(last < 1000);
    drop(relayed);
    let mut again = pair.relayed(&stream, 990).await;
    assert_eq!(again.next().await.unwrap().0, 991);
}

#[tokio::test(start_paused = true)]
async fn words_of_others_doubled_words_and_gaps_do_no_harm() {
    let pair = Pair::start().await;
    let stream = pair.stream();
    let mut relayed = pair.relayed(&stream, 0).await;
    let relay = pair
        .asker
        .streams
        .relays
        .incoming()
        .keys()
        .next()
        .unwrap()
        .clone();
    let say = |sender: &str, number: u64, seq: u64| {
        let word = Word::Event {
            seq,
            message: "{}".to_owned(),
        };
        let relay = relay.clone();
        pair.asker.said(
            sender,
            Said {
                relay,
                number,
                word,
            },
        );
    };
    say("other", 1, 7);
    say("owner", 0, 8);
    say("owner", 1, 1);
    say("owner", 1, 1);
    say("owner", 3, 3);
    assert_eq!(relayed.next().await.unwrap().0, 1);
    assert!(relayed.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_from_elsewhere_ends_when_the_process_is_to_end() {
    let pair = Pair::start().await;
    let stream = pair.stream();
    let mut relayed = pair.relayed(&stream, 0).await;
    pair.asker.leaving.cancel();
    assert!(relayed.next().await.is_none());
    pair.nothing_left().await;
    assert!(matches!(pair.resume(&stream, 0).await, Resumed::Busy));
}
