//! How soon the first call is answered, and what processes keep while they do nothing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use testkit::http::{Request, RpcClient};
use tokio::time::sleep;

use super::Effort;
use super::figures::milliseconds;
use crate::measure::statistics::median;
use crate::measure::usage::memory;
use crate::report::{Goal, Section, Table};
use crate::run::say;
use crate::site::{Server, Site};

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two tries to be answered.
const STEP: Duration = Duration::from_millis(1);
/// Starts for each round.
const STARTS: usize = 3;
/// Time in which a process comes to rest.
const SETTLE: Duration = Duration::from_secs(5);

pub(super) async fn measure(site: &Site, effort: Effort) -> Result<Section> {
    let mut starts = Vec::new();
    for _ in 0..effort.rounds * STARTS {
        let begun = Instant::now();
        let server = site.discovery_up()?;
        answered(&server).await?;
        starts.push(milliseconds(begun.elapsed()));
    }
    say(&format!("start: {starts:.0?} ms"));
    let longest = starts.iter().copied().fold(0.0, f64::max);
    let mut goals = Table::of_goals();
    goals.goal(
        "`discovery up` until the first answered call",
        &Goal::AtMost(150.0, " ms"),
        median(starts).context("no start")?,
    );
    goals.note("the longest of them", format!("{longest:.2} ms"));
    let mut figures = Table::new(&["process at rest", "resident MB", "its own MB"]);
    let up = site.discovery_up()?;
    let gateway = site.gateway()?;
    let worker = site.network_worker()?;
    answered(&up).await?;
    answered(&gateway).await?;
    sleep(SETTLE).await;
    for (name, pid, limit) in [
        ("discovery up", up.process.pid(), None),
        ("discovery-gateway", gateway.process.pid(), Some(25.0)),
        ("discovery-worker-network", worker.pid(), Some(15.0)),
    ] {
        let memory = memory(pid)?;
        let (resident, own) = (megabytes(memory.resident), megabytes(memory.anonymous));
        if let Some(limit) = limit {
            let figure = format!("memory of an idle `{name}`, resident");
            goals.goal(&figure, &Goal::AtMost(limit, " MB"), resident);
        }
        figures.row([
            name.to_owned(),
            format!("{resident:.1}"),
            format!("{own:.1}"),
        ]);
    }
    Ok(Section {
        title: "Start and rest",
        method: format!(
            "From the start of the process until a call of `ifconfig` over HTTP is answered, tried every millisecond; the median of {} starts.\n\
             Memory {} s after that: all that is resident, and the part that is no page of the program's file. 1 MB is 10^6 bytes.",
            effort.rounds * STARTS,
            SETTLE.as_secs()
        ),
        tables: vec![goals, figures],
    })
}

/// Waits until a call is answered by its tool.
async fn answered(server: &Server) -> Result<()> {
    let client = RpcClient::new(format!("http://{}/mcp", server.address));
    let call = Request::modern_call(1, "ifconfig", &json!({}));
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let reply = client.send(&call, PATIENCE).await;
        let answer = reply.and_then(|reply| reply.answer().cloned());
        match answer {
            Ok(answer) if answer["result"]["isError"] == false => return Ok(()),
            _ => sleep(STEP).await,
        }
        if server.process.try_exit()?.is_some() {
            bail!(
                "the server has ended: {}",
                server.process.stderr().all().join("\n")
            );
        }
    }
    bail!("no call was answered within {PATIENCE:?}")
}

#[expect(clippy::cast_precision_loss, reason = "no process has 2^52 bytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
