//! Sweeps of the loopback network.

use tokio::net::UdpSocket;

use super::*;
use crate::client::Secret;

/// An agent that answers from the `from`-th request on, as what it was asked.
async fn agent(from: usize) -> (u16, tokio::task::JoinSet<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        let mut buffer = vec![0; 2048];
        let mut n_asked = 0;
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            n_asked += 1;
            if n_asked >= from {
                let answer = probe::tests::answer_to(&buffer[..length]);
                socket.send_to(&answer, client).await.unwrap();
                // Twice, as networks do.
                socket.send_to(&answer, client).await.unwrap();
            }
        }
    });
    (port, tasks)
}

fn plan(port: u16, addresses: &[&str]) -> Plan {
    Plan {
        addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
        port,
        probe: Probe::v2c(Secret::from("public")),
        timeout: Duration::from_millis(300),
        retries: 2,
        rate: 1000,
        end: Instant::now() + Duration::from_secs(30),
    }
}

#[tokio::test]
async fn who_answers_late_is_asked_again_and_counted_once() {
    let (port, _tasks) = agent(2).await;
    // Nobody listens at the second address.
    let plan = plan(port, &["127.0.0.1", "127.0.0.2"]);
    let (found, tally) = sweep(&plan, |_| ()).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].address, IpAddr::from([127, 0, 0, 1]));
    assert_eq!(found[0].n_asked, 2);
    assert_eq!(found[0].answer.name.as_deref(), Some("switch-1"));
    assert_eq!((tally.n_sent, tally.n_retried, tally.n_answered), (5, 3, 1));
    assert!(tally.receive_buffer > 0);
}

#[tokio::test]
async fn it_ends_when_everybody_has_answered() {
    let (port, _tasks) = agent(1).await;
    let mut plan = plan(port, &["127.0.0.1"]);
    plan.timeout = Duration::from_secs(20);
    let started = Instant::now();
    let (found, tally) = sweep(&plan, |_| ()).await.unwrap();
    assert_eq!((found.len(), tally.n_sent), (1, 1));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn it_stops_at_its_end() {
    let addresses = vec!["127.0.0.9"; 500];
    let mut plan = plan(9, &addresses);
    plan.rate = 1000;
    plan.end = Instant::now() + Duration::from_millis(100);
    let (_, tally) = sweep(&plan, |_| ()).await.unwrap();
    assert!(tally.n_unasked > 0 && tally.n_sent > 0, "{tally:?}");
}

#[tokio::test]
async fn a_sweep_says_where_it_was_cut() {
    // Nobody answers there.
    let addresses: Vec<String> = (1..=100).map(|n| format!("127.0.9.{n}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let check = async |rate: u32, time: u64, is_cut: bool, n_unasked: Option<usize>| {
        let mut plan = plan(9, &addresses);
        plan.rate = rate;
        plan.timeout = Duration::from_millis(100);
        plan.end = Instant::now() + Duration::from_millis(time);
        let (_, tally) = sweep(&plan, |_| ()).await.unwrap();
        assert_eq!(tally.is_cut, is_cut, "{tally:?}");
        let first = plan.addresses.get(100 - tally.n_unasked).copied();
        assert_eq!(tally.first_unasked, first, "{tally:?}");
        if let Some(n_unasked) = n_unasked {
            assert_eq!(tally.n_unasked, n_unasked, "{tally:?}");
        }
        assert_eq!(tally.n_sent - tally.n_retried + tally.n_unasked, 100);
    };
    // In the first round: ten requests are sent at most.
    tokio::time::pause();
    check(100, 200, true, None).await;
    // In a later one.
    check(1000, 500, true, Some(0)).await;
    check(1000, 60_000, false, Some(0)).await;
}

#[tokio::test(start_paused = true)]
async fn no_more_is_sent_than_the_rate_allows() {
    for (rate, n_addresses) in [(10, 11), (700, 1401), (1000, 2001)] {
        let addresses = vec!["127.0.0.9"; n_addresses];
        let mut plan = plan(9, &addresses);
        (plan.rate, plan.retries, plan.timeout) = (rate, 0, Duration::ZERO);
        let started = Instant::now();
        let (_, tally) = sweep(&plan, |_| ()).await.unwrap();
        assert_eq!(tally.n_sent, n_addresses);
        let seconds = f64::from(u32::try_from(n_addresses - 1).unwrap()) / f64::from(rate);
        // The first burst is sent at once.
        let least = Duration::from_secs_f64(seconds).saturating_sub(Duration::from_millis(4));
        assert!(
            started.elapsed() >= least,
            "{:?} at {rate}",
            started.elapsed()
        );
        assert!(
            started.elapsed() < 2 * least,
            "{:?} at {rate}",
            started.elapsed()
        );
    }
}

#[tokio::test]
async fn who_could_not_be_sent_to_is_asked_in_the_next_round() {
    let (port, _tasks) = agent(1).await;
    // A datagram socket must not send to this address.
    let mut plan = plan(port, &["127.0.0.1", "255.255.255.255"]);
    plan.timeout = Duration::from_millis(50);
    let mut sweep = Sweep::open(&plan).unwrap();
    sweep.states[0].is_unreachable = true;
    for _round in 0..2 {
        assert!(sweep.round(&mut |_| ()).await);
        assert!(sweep.wait(&mut |_| ()).await);
    }
    let (found, tally) = sweep.finish();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (tally.n_answered, tally.n_unreachable, tally.n_unasked),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn an_echo_is_no_agent() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut echo = tokio::task::JoinSet::new();
    echo.spawn(async move {
        let mut buffer = vec![0; 2048];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            socket.send_to(&buffer[..length], client).await.unwrap();
        }
    });
    for probe in [Probe::v1("a".into()), Probe::v2c("a".into()), Probe::v3()] {
        let mut plan = plan(port, &["127.0.0.1"]);
        plan.probe = probe;
        let (found, tally) = sweep(&plan, |_| ()).await.unwrap();
        assert_eq!((found, tally.n_answered), (Vec::new(), 0));
    }
}

#[tokio::test]
async fn who_guesses_identifiers_answers_for_nobody_else() {
    let plan = plan(9, &["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    let mut sweep = Sweep::open(&plan).unwrap();
    for index in 0..3 {
        sweep.asked(index);
    }
    let ids = [0, 1, 2].map(|index| sweep.ids.of(index).unwrap());
    let strange = (0..4).find(|id| !ids.contains(id)).unwrap();
    // A device with several addresses answers from another one.
    sweep.take(ids[0], [127, 0, 0, 9].into(), Answer::default());
    assert_eq!(sweep.found.len(), 1);
    let guesser: IpAddr = [127, 0, 0, 3].into();
    sweep.take(strange, guesser, Answer::default());
    sweep.take(ids[1], guesser, Answer::default());
    assert_eq!(sweep.found.len(), 1);
    sweep.take(ids[2], guesser, Answer::default());
    assert_eq!(sweep.found.len(), 2);
    assert_eq!(sweep.n_open, 1);
}
