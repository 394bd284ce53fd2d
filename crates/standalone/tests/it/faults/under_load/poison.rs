//! A call that ends every worker that takes it.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::wait;
use tokio::time::sleep;

use super::load::Tool;
use super::scene::{start_conformance, until_serving};
use super::{Allowed, Books, Load, Plan, calm, median, write_ratio};
use crate::site::{Running, SOON, Site, Target};

/// The code of "handed out again and again".
const POISON: i64 = -31005;
/// Where letters are kept.
const LETTERS: &str = "mcp.discovery.dead";
/// Workers of the category: one more than the call may end one after the other.
const N_WORKERS: usize = 6;
/// How long the calls beside it are measured, each time.
const MEASURED: Duration = Duration::from_secs(4);
/// They may become slower by this factor.
const SLOWER: f64 = 3.0;
/// Alternations in a full run.
const ALTERNATIONS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_answered_and_kept_while_other_calls_go_on() {
    let plan = Plan::read();
    let site = Site::new().await;
    let (_network, gateway) = tokio::join!(site.worker(), site.gateway());
    let mut workers = Vec::new();
    for _ in 0..N_WORKERS {
        workers.push(start_conformance(&site).await);
    }
    for worker in &workers {
        worker.ready().await;
    }
    until_serving(&gateway).await;
    let target = Target::echo().await;
    let load = Load::of(Tool::Text);
    let (mut ratios, mut all) = (Vec::new(), Books::default());
    for round in 0..plan.rounds.min(ALTERNATIONS) {
        let url = gateway.url();
        let ((), alone) = load.during(&url, &target, sleep(MEASURED)).await;
        let fault = async {
            calm().await;
            let answer = poison(&site, &gateway, &mut workers).await;
            sleep(MEASURED).await;
            answer
        };
        let (answer, beside) = load.during(&url, &target, fault).await;
        assert_eq!(answer["error"]["code"], POISON, "{answer}");
        until_letters(&site, round + 1).await;
        println!("p99 alone {:?}, beside {:?}", alone.p99(), beside.p99());
        ratios.push(beside.p99().as_secs_f64() / alone.p99().as_secs_f64());
        for books in [alone, beside] {
            books.balance(load.deadline, &target, Allowed::default());
            all.entries.extend(books.entries);
        }
    }
    let fault = "poison message";
    write_ratio(&plan, fault, "p99 of other calls", &all, &ratios);
    plan.check(fault, median(&mut ratios), SLOWER);
}

/// Calls what ends its worker, and starts workers again as a service manager does.
async fn poison(site: &Site, gateway: &Running, workers: &mut [Running]) -> Value {
    let restart = async {
        loop {
            for worker in &mut *workers {
                if worker.try_exit().unwrap().is_some() {
                    *worker = start_conformance(site).await;
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = tokio::select! {
        answer = gateway.call("test_abort", json!({})) => answer,
        never = restart => never,
    };
    for worker in workers {
        if worker.try_exit().unwrap().is_some() {
            *worker = start_conformance(site).await;
        }
        worker.ready().await;
    }
    answer
}

async fn until_letters(site: &Site, expected: usize) {
    let kept = async || {
        let counts = site.queue(LETTERS).await?;
        (counts.ready == expected as u64).then_some(())
    };
    wait::until("the letter is kept", SOON, kept).await.unwrap();
}
