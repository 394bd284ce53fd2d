//! How a generator is led: an order is a line on its standard input, which it answers with a line.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use testkit::process::Process;

use super::{Pace, Plan, Window};
use crate::role::Role;

/// How long a generator may take to connect all its clients, or to obey an order.
const ANSWER: Duration = Duration::from_mins(1);

/// What a generator is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Order {
    /// Call at this pace.
    Begin(Pace),
    /// Tell what there was since the last mark.
    Mark,
    /// Begin no more calls; answered when the last has ended.
    Pause,
}

/// An order with its number, counted from 1.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) order: Order,
}

/// That an order was obeyed. The number 0 says that the generator is ready.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Obeyed {
    pub(super) number: u64,
    pub(super) window: Option<Window>,
}

/// A generator in a process of its own; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Load {
    process: Process,
    orders: u64,
}

impl Load {
    /// Starts a generator; it makes no calls yet.
    pub(crate) async fn start(plan: Plan) -> Result<Self> {
        let process = Role::Load(plan).program()?.start()?;
        let load = Self { process, orders: 0 };
        load.obeyed().await?;
        Ok(load)
    }

    /// The generator's process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Lets it call.
    pub(crate) async fn begin(&mut self, pace: Pace) -> Result<()> {
        self.order(Order::Begin(pace)).await.map(drop)
    }

    /// What there was since the last mark.
    pub(crate) async fn mark(&mut self) -> Result<Window> {
        let window = self.order(Order::Mark).await?;
        window.context("the generator has not said what there was")
    }

    /// Lets it rest, with its connections open.
    pub(crate) async fn pause(&mut self) -> Result<()> {
        self.order(Order::Pause).await.map(drop)
    }

    async fn order(&mut self, order: Order) -> Result<Option<Window>> {
        self.orders += 1;
        let number = self.orders;
        let line = serde_json::to_string(&Numbered { number, order })?;
        self.process.write_line(&line)?;
        self.obeyed().await
    }

    /// Waits until the last order was obeyed.
    async fn obeyed(&self) -> Result<Option<Window>> {
        let read = |line: &str| serde_json::from_str::<Obeyed>(line).ok();
        let is_answer = |line: &str| read(line).is_some_and(|it| it.number == self.orders);
        let lines = self.process.stdout();
        let line = lines.line("the generator obeys", ANSWER, is_answer).await;
        let line = line.with_context(|| self.process.stderr().all().join("\n"))?;
        let Obeyed { window, number } = read(&line).unwrap_or_default();
        ensure!(number == self.orders, "an answer to another order");
        Ok(window)
    }
}
