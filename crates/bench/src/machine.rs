//! Where and when it was measured.

use std::fmt;

use anyhow::Result;
use procfs::{CpuInfo, Current as _, LoadAverage, Meminfo};
use testkit::rabbitmq::Node;
use time::OffsetDateTime;

/// What one has to know to compare figures.
#[derive(Debug)]
pub(crate) struct Machine {
    date: String,
    processor: String,
    cores: usize,
    /// In bytes.
    memory: u64,
    kernel: String,
    broker: String,
    /// Processes that ran or waited on average in the minute before.
    load: f32,
}

impl Machine {
    /// This machine before anything is measured.
    pub(crate) fn now() -> Result<Self> {
        let cpus = CpuInfo::current()?;
        let kernel = procfs::sys::kernel::Version::current()?;
        let model = cpus.model_name(0).unwrap_or("unknown processor");
        Ok(Self {
            date: OffsetDateTime::now_utc().date().to_string(),
            processor: model.to_owned(),
            cores: cpus.num_cores(),
            memory: Meminfo::current()?.mem_total,
            kernel: format!("Linux {}.{}", kernel.major, kernel.minor),
            broker: "no broker".to_owned(),
            load: LoadAverage::current()?.one,
        })
    }

    /// The same with the version of a broker.
    pub(crate) async fn with(mut self, node: &Node) -> Result<Self> {
        let rabbitmq = node.eval("rabbit_misc:version()").await?;
        let erlang = node.eval("erlang:system_info(otp_release)").await?;
        self.broker = format!("RabbitMQ {rabbitmq} on Erlang {erlang}");
        Ok(self)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gibibytes = self.memory >> 30;
        write!(
            f,
            "Measured on {}: {}, {} cores, {gibibytes} GiB of memory, {}, {}; load average before the run {:.2}.",
            self.date, self.processor, self.cores, self.kernel, self.broker, self.load
        )
    }
}
