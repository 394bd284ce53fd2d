//! `snmp_interface_discovery`: the interfaces of a device.

use std::time::Duration;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, Page, Summary, Tool, paginate};

use crate::device::interfaces::{self, Interface};
use crate::device::{Missing, Survey, missing_text};
use crate::options::SessionOptions;
use crate::{agent, markdown};

/// Parts that are read, for progress.
const N_PARTS: u32 = 2;

/// Which device, and which page.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    #[serde(flatten)]
    options: SessionOptions,
    #[serde(flatten)]
    page: Page,
}

/// The interfaces of a device.
#[derive(Debug, Serialize, JsonSchema)]
struct Answer {
    /// Address and port of the agent.
    agent: String,
    /// Interfaces on this page, in the order of their numbers.
    interfaces: Vec<Interface>,
    /// Interfaces on all pages.
    total: usize,
    /// How many of all work.
    up: usize,
    /// How many of all are meant to work and do not.
    down: usize,
    /// MIBs that the device lacks or could not answer for, with the reason.
    missing: Vec<Missing>,
    /// Whether interfaces follow that are not on this page.
    truncated: bool,
    /// Where the next page begins; absent on the last page.
    #[serde(rename = "nextCursor", skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    Tool::new("snmp_interface_discovery", run)
        .title("SNMP interfaces")
        .description(
            "Reads the interfaces of a device: names, kind, MAC and IP addresses with prefix \
             lengths, administrative and operational status, speed, MTU, and counters of bytes, \
             packets, errors and discards, of 64 bits where the device has them (ifTable, \
             ifXTable, ipAddressTable, ipAddrTable). Needs no session.",
        )
        .read_only()
        .deadline(Duration::from_mins(2), Duration::from_mins(10))
}

async fn run(context: Context, arguments: Arguments) -> Result<Answer, ToolError> {
    let reader = agent::reach(&context, &arguments.options).await?;
    let mut survey = Survey::begin(&context, reader, N_PARTS).await?;
    let agent = survey.agent();
    let all = interfaces::read(&mut survey).await;
    let is = |status: Option<&String>, word: &str| status.is_some_and(|status| status == word);
    let up = all
        .iter()
        .filter(|it| is(it.oper_status.as_ref(), "up"))
        .count();
    let should = all.iter().filter(|it| is(it.admin_status.as_ref(), "up"));
    let down = should
        .filter(|it| is(it.oper_status.as_ref(), "down"))
        .count();
    let total = all.len();
    let paged = paginate(&arguments.page, all)?;
    Ok(Answer {
        agent,
        interfaces: paged.items,
        total,
        up,
        down,
        missing: survey.into_missing(),
        truncated: paged.truncated,
        next_cursor: paged.next_cursor,
    })
}

impl Summary for Answer {
    fn summary(&self) -> String {
        format!(
            "{} of {}: {} up, {} down that should be up\n\n{}{}{}",
            markdown::count(self.total, "interface"),
            self.agent,
            self.up,
            self.down,
            interfaces::summary(&self.interfaces),
            missing_text(&self.missing),
            markdown::more(self.next_cursor.as_ref()),
        )
    }
}
