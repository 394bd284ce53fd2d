//! Which broker, as whom, and how calls are shared there.

use testkit::wait;

use super::{ends, operator::Operator};
use crate::site::{SOON, Site, WORK_QUEUE};

#[tokio::test]
async fn without_an_address_gateway_and_worker_look_on_this_host() {
    let site = Site::new().await;
    for program in [site.gateway_program().await, site.worker_program().await] {
        // Whatever may listen there, it takes no such user.
        let program = program
            .env("AMQP_URL", "")
            .env("AMQP_USERNAME", "nobody-of-that-name")
            .env("AMQP_PASSWORD", "wrong")
            .env("AMQP_MAX_RECONNECT_ATTEMPTS", "1")
            .env("HTTP_PORT", "0");
        let parts = ["amqp://localhost:5672", "fix: check AMQP_URL"];
        ends(program, 69, &parts).await;
    }
}

#[tokio::test]
async fn user_and_password_take_the_place_of_those_in_the_address() {
    let site = Site::new().await;
    let operator = Operator::of(&site).await;
    let user = format!("user-{}", uuid::Uuid::new_v4().simple());
    operator.add_user(&user, "p@ss/word:%").await;
    let settings = [
        ("AMQP_USERNAME", user.as_str()),
        ("AMQP_PASSWORD", "p@ss/word:%"),
    ];
    let gateway = site.gateway_program().await;
    let gateway = settings
        .iter()
        .fold(gateway, |it, (name, value)| it.env(name, value));
    let gateway = crate::site::Running::gateway(gateway);
    let (worker, ()) = tokio::join!(site.worker_with(&settings), gateway.ready());
    gateway.lists("ping").await;
    let connections = operator.connections().await;
    assert!(connections.len() >= 4, "{connections:#?}");
    assert!(
        connections.iter().all(|it| it.user == user),
        "{connections:#?}"
    );
    drop((gateway, worker));

    let refused = site
        .worker_program()
        .await
        .env("AMQP_USERNAME", &user)
        .env("AMQP_PASSWORD", "hunter2")
        .env("AMQP_MAX_RECONNECT_ATTEMPTS", "1")
        .env("RUST_LOG", "debug");
    let output = ends(refused, 69, &["cannot connect", "password"]).await;
    assert!(!output.stderr.contains("hunter2"), "{}", output.stderr);
    operator.remove_user(&user).await;
}

#[tokio::test]
async fn the_broker_knows_so_many_consumers_with_so_much_prefetch() {
    let check = async |settings: &[(&str, &str)], expected: &[u64]| {
        let site = Site::new().await;
        let operator = Operator::of(&site).await;
        let _worker = site.worker_with(settings).await;
        let consumed = async || {
            let prefetches = operator.prefetches(WORK_QUEUE).await;
            (prefetches.len() == expected.len()).then_some(prefetches)
        };
        let prefetches = wait::until("the consumers", SOON, consumed).await.unwrap();
        assert_eq!(prefetches, expected, "{settings:?}");
        let counts = site.work_queue().await.unwrap();
        assert_eq!(counts.consumers, u64::try_from(expected.len()).unwrap());
    };
    check(&[], &[64]).await;
    check(
        &[("AMQP_PREFETCH_COUNT", "5"), ("AMQP_WORKERS", "3")],
        &[5, 5, 5],
    )
    .await;
}

#[tokio::test]
async fn a_broker_shares_calls_in_one_way_only() {
    let site = Site::new().await;
    for program in [site.gateway_program().await, site.worker_program().await] {
        let parts = [
            "AMQP_LOAD_BALANCE",
            "`least_busy`",
            "allowed: `round_robin`",
        ];
        ends(program.env("AMQP_LOAD_BALANCE", "least_busy"), 64, &parts).await;
    }
    // Two workers of one call at a time: each takes its share.
    let settings = [
        ("AMQP_LOAD_BALANCE", "round_robin"),
        ("AMQP_PREFETCH_COUNT", "1"),
    ];
    let gateway = site.gateway().await;
    let workers = [
        site.worker_with(&settings).await,
        site.worker_with(&settings).await,
    ];
    gateway.lists("telnet").await;
    let n_calls = 10;
    for _ in 0..n_calls {
        let arguments = serde_json::json!({ "host": "127.0.0.1", "port": 1 });
        let answer = gateway.call("telnet", arguments).await;
        assert!(answer["result"].is_object(), "{answer}");
    }
    // A worker counts a call once it is settled, which is after its answer.
    let counted = async || {
        let [one, two] = &workers;
        let (one, two) = tokio::join!(
            one.metric("discovery_calls_total", ""),
            two.metric("discovery_calls_total", "")
        );
        (one + two >= f64::from(n_calls)).then_some([one, two])
    };
    let n_taken = wait::until("all calls are counted", SOON, counted)
        .await
        .unwrap();
    assert!(
        n_taken.iter().all(|n| (3.0..=7.0).contains(n)),
        "{n_taken:?}"
    );
}
