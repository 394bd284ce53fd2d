//! Faults of a broker of the test's own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::amqp::{AmqpBus, Options, Tls};
use bus::{Backoff, Bus, Caller, Error, Link, supervise};
use futures::StreamExt;
use protocol::{Category, Names, headers};
use testkit::certificates::Authority;
use testkit::rabbitmq::Node;
use testkit::tcp_proxy::TcpProxy;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::calls::{answer_of, reply, request};
use crate::site::{connect, within};

/// A worker that answers slowly enough for calls to be in flight, and survives outages.
fn slow_echo(bus: Arc<dyn Bus>, names: Names, tasks: &mut JoinSet<()>) {
    tasks.spawn(async move {
        let session = |link: Arc<dyn Link>| {
            let (bus, names) = (Arc::clone(&bus), names.clone());
            async move {
                let queue = bus::Queue::work(&names, &Category::network());
                link.declare(&queue).await?;
                let consumer = link
                    .consume(&queue.name, std::num::NonZeroU16::new(64))
                    .await?;
                consumer
                    .for_each_concurrent(None, |delivery| {
                        let bus = Arc::clone(&bus);
                        async move {
                            tokio::time::sleep(Duration::from_millis(300)).await;
                            let body = delivery.message.body.clone();
                            reply(&bus, &delivery, 0, headers::kind::RESPONSE, body).await;
                            let _ = delivery.ack().await;
                        }
                    })
                    .await;
                Err(Error::Lost("the consumer ended".to_owned()))
            }
        };
        let shutdown = CancellationToken::new();
        supervise(&bus, "worker", &Backoff::default(), &shutdown, session)
            .await
            .unwrap();
    });
}

fn call_request(body: &str) -> bus::CallRequest {
    request(body, Duration::from_mins(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_get_their_results_when_the_broker_is_killed_and_restarted() {
    let mut node = Node::start().await.expect("a broker: run scripts/test");
    let (worker_bus, caller_bus) = (connect(&node.amqp_url("/")), connect(&node.amqp_url("/")));
    let mut tasks = JoinSet::new();
    slow_echo(worker_bus, Names::default(), &mut tasks);
    let hour = Duration::from_hours(1);
    let caller = Caller::new(Arc::clone(&caller_bus), Names::default(), "caller", hour);
    let running = caller.clone();
    tasks.spawn(async move {
        running
            .run(&Backoff::default(), &CancellationToken::new())
            .await
            .unwrap();
    });
    within(caller.connected()).await;
    let queue = Names::default().work_queue(&Category::network());
    // It is bound before it is consumed.
    let consumed = |state: Option<bus::QueueState>| state.is_some_and(|it| it.consumers == 1);
    crate::site::until_state(&caller_bus, &queue, consumed).await;
    // RabbitMQ writes what it knows of a new quorum queue to disk with a delay of seconds; a kill
    // in between leaves a queue that no client can repair.
    let sync = "begin disk_log:sync(latest_log), [dets:sync(T) || T <- dets:all()], \"ok\" end";
    node.eval(sync).await.unwrap();
    for round in 0..5 {
        let calls = (0..64).map(|number| {
            let caller = &caller;
            async move {
                let body = format!("{round}-{number}");
                let mut call = caller.call(call_request(&body)).unwrap();
                let frame = tokio::time::timeout(Duration::from_mins(1), call.next()).await;
                assert_eq!(frame.unwrap().unwrap(), bus::Frame::Final(body.into()));
            }
        });
        let breaking = async {
            let all_in_flight = async || (caller.pending() == 64).then_some(());
            testkit::wait::until("64 calls", Duration::from_secs(10), all_in_flight)
                .await
                .unwrap();
            node.kill_9().unwrap();
            node.restart().await.unwrap();
            let back = Instant::now();
            let answer = answer_of(&caller, call_request("after")).await;
            assert_eq!(answer.unwrap(), "after");
            assert!(
                back.elapsed() < Duration::from_secs(10),
                "{:?}",
                back.elapsed()
            );
        };
        tokio::join!(futures::future::join_all(calls), breaking);
    }
}

async fn try_tls(url: String, tls: Tls) -> Result<(), Error> {
    let bus = AmqpBus::start(Options {
        urls: vec![url],
        tls: Some(tls),
        ..Options::default()
    })?;
    bus.open("test").await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_trusts_the_named_authority_and_nothing_else() {
    let authority = Authority::new().unwrap();
    let stranger = Authority::new().unwrap();
    let check = |files: testkit::certificates::Files,
                 ca: std::path::PathBuf,
                 expected: &'static str| async move {
        let node = Node::builder()
            .tls(files)
            .start()
            .await
            .expect("a broker: run scripts/test");
        let url = format!("amqps://guest:guest@localhost:{}", node.tls_port().unwrap());
        let outcome = within(try_tls(
            url,
            Tls {
                ca: Some(ca),
                ..Tls::default()
            },
        ))
        .await;
        match (outcome, expected) {
            (Ok(()), "") => {}
            (Err(error), expected) if !expected.is_empty() => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
        }
    };
    let good = || authority.server(&["localhost", "127.0.0.1"]).unwrap();
    check(good(), authority.ca(), "").await;
    check(good(), stranger.ca(), "UnknownIssuer").await;
    let other_name = authority.server(&["elsewhere.example"]).unwrap();
    check(other_name, authority.ca(), "not valid for name").await;
    let expired = authority.expired_server(&["localhost"]).unwrap();
    check(expired, authority.ca(), "expired").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_shown_where_the_broker_wants_one() {
    let authority = Authority::new().unwrap();
    let files = authority.server(&["localhost"]).unwrap();
    let node = Node::builder()
        .mutual_tls(files)
        .start()
        .await
        .expect("a broker: run scripts/test");
    let url = format!("amqps://guest:guest@localhost:{}", node.tls_port().unwrap());
    let bare = Tls {
        ca: Some(authority.ca()),
        ..Tls::default()
    };
    within(try_tls(url.clone(), bare.clone()))
        .await
        .unwrap_err();
    let client = authority.client("gateway").unwrap();
    let shown = Tls {
        certificate: Some(client.certificate),
        key: Some(client.key),
        ..bare
    };
    within(try_tls(url, shown)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_under_tls_that_goes_half_open_is_given_up_within_three_heartbeats() {
    const HEARTBEAT: Duration = Duration::from_secs(1);
    let authority = Authority::new().unwrap();
    let node = Node::builder()
        .tls(authority.server(&["localhost"]).unwrap())
        .start()
        .await
        .expect("a broker: run scripts/test");
    let tls_port = node.tls_port().unwrap();
    let proxy = TcpProxy::start(([127, 0, 0, 1], tls_port).into())
        .await
        .unwrap();
    let bus = AmqpBus::start(Options {
        urls: vec![format!(
            "amqps://guest:guest@localhost:{}",
            proxy.address().port()
        )],
        tls: Some(Tls {
            ca: Some(authority.ca()),
            ..Tls::default()
        }),
        heartbeat: HEARTBEAT,
        ..Options::default()
    })
    .unwrap();
    within(bus.connected()).await;
    let link = within(bus.open("test")).await.unwrap();
    let n_before = proxy.n_accepted();

    let forgotten = Instant::now();
    proxy.forget();
    within(link.lost()).await;
    let noticed = forgotten.elapsed();
    assert!(noticed < 4 * HEARTBEAT, "{noticed:?}");
    // The one for publishing has noticed too, and is there again.
    let again = async || (proxy.n_accepted() > n_before).then_some(());
    testkit::wait::until("it connects again", Duration::from_secs(10), again)
        .await
        .unwrap();
    within(bus.connected()).await;
    let link = within(bus.open("test")).await.unwrap();
    let queue = bus::Queue::work(&Names::default(), &Category::network());
    within(link.declare(&queue)).await.unwrap();
}
