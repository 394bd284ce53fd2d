//! One category has far more calls than it can run; others go on.

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::time::sleep;

use super::load::Tool;
use super::scene::until_serving;
use super::{Allowed, Books, Load, Plan, answering, calm, median, write_ratio};
use crate::site::Site;

/// Calls that the flooded worker runs at once.
const CAPACITY: usize = 8;
/// How long each half of an alternation is measured.
const MEASURED: Duration = Duration::from_secs(4);
/// The other category may become slower by this factor.
const SLOWER: f64 = 3.0;
/// Alternations in a full run.
const ALTERNATIONS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flooded_category_leaves_another_one_alone() {
    let plan = Plan::read();
    let site = Site::new().await;
    let prefetch = NonZeroUsize::new(CAPACITY).unwrap().to_string();
    let settings = [("AMQP_PREFETCH_COUNT", prefetch.as_str())];
    let (_worker, _other, gateway) = tokio::join!(
        site.worker_with(&settings),
        site.conformance_worker(),
        site.gateway()
    );
    until_serving(&gateway).await;
    let target = answering().await;
    let flood = Load {
        n_clients: 10 * CAPACITY,
        pace: Duration::ZERO,
        ..Load::fetches()
    };
    let other = Load::of(Tool::Text);
    let (mut ratios, mut all) = (Vec::new(), Books::default());
    for _ in 0..plan.rounds.min(ALTERNATIONS) {
        let url = gateway.url();
        let ((), alone) = other.during(&url, &target, sleep(MEASURED)).await;
        let both = async {
            calm().await;
            other.during(&url, &target, sleep(MEASURED)).await
        };
        let (((), beside), flooded) = flood.during(&url, &target, both).await;
        println!(
            "p99 alone {:?}, beside a flood of {} calls {:?}",
            alone.p99(),
            flooded.entries.len(),
            beside.p99()
        );
        ratios.push(beside.p99().as_secs_f64() / alone.p99().as_secs_f64());
        for books in [alone, beside, flooded] {
            let allowed = Allowed::default();
            books.balance(flood.deadline, &target, allowed);
            all.entries.extend(books.entries);
        }
    }
    let fault = "a category flooded at 10 x its capacity";
    write_ratio(&plan, fault, "p99 of another category", &all, &ratios);
    plan.check(fault, median(&mut ratios), SLOWER);
}
