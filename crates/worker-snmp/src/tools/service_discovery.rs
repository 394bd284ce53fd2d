//! `snmp_service_discovery`: what runs on a device and where it listens.

use std::time::Duration;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, Page, Summary, Tool, paginate};

use crate::device::services::{self, Listener, ProcessInfo, Protocol, Software};
use crate::device::{Missing, Survey, missing_text, size};
use crate::options::SessionOptions;
use crate::{agent, markdown};

/// Parts that are read, for progress.
const N_PARTS: u32 = 3;

/// Which device, and which page of its lists.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    #[serde(flatten)]
    options: SessionOptions,
    /// Gives the parameters of processes too. They may hold passwords that somebody wrote there.
    #[serde(default)]
    parameters: bool,
    #[serde(flatten)]
    page: Page,
}

/// What runs on a device and where it listens.
#[derive(Debug, Serialize, JsonSchema)]
struct Services {
    /// Address and port of the agent.
    agent: String,
    /// Listening TCP and UDP ports on this page.
    ports: Vec<Listener>,
    /// Listening ports on all pages.
    port_count: usize,
    /// Processes on this page.
    processes: Vec<ProcessInfo>,
    /// Processes on all pages.
    process_count: usize,
    /// Installed software on this page.
    software: Vec<Software>,
    /// Installed software on all pages.
    software_count: usize,
    /// MIBs that the device lacks or could not answer for, with the reason.
    missing: Vec<Missing>,
    /// Whether one of the lists goes on after this page.
    truncated: bool,
    /// Where the next page of all lists begins; absent on the last page.
    #[serde(rename = "nextCursor", skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    Tool::new("snmp_service_discovery", run)
        .title("SNMP services")
        .description(
            "Reads what runs on a host: processes with their use of processor and memory, \
             listening TCP and UDP ports with their process where the host tells, and installed \
             software (HOST-RESOURCES-MIB, TCP-MIB, UDP-MIB). Parameters of processes are left \
             out unless asked for. MIBs that the device lacks are named in `missing`. Needs no \
             session.",
        )
        .read_only()
        .deadline(Duration::from_mins(2), Duration::from_mins(10))
}

async fn run(context: Context, arguments: Arguments) -> Result<Services, ToolError> {
    let reader = agent::reach(&context, &arguments.options).await?;
    let mut survey = Survey::begin(&context, reader, N_PARTS).await?;
    let agent = survey.agent();
    let processes = services::processes(&mut survey, arguments.parameters).await;
    let ports = services::ports(&mut survey, &processes).await;
    let software = services::software(&mut survey).await;
    let counts = (ports.len(), processes.len(), software.len());
    let ports = paginate(&arguments.page, ports)?;
    let processes = paginate(&arguments.page, processes)?;
    let software = paginate(&arguments.page, software)?;
    let next = ports
        .next_cursor
        .or(processes.next_cursor)
        .or(software.next_cursor);
    Ok(Services {
        agent,
        ports: ports.items,
        port_count: counts.0,
        processes: processes.items,
        process_count: counts.1,
        software: software.items,
        software_count: counts.2,
        missing: survey.into_missing(),
        truncated: next.is_some(),
        next_cursor: next,
    })
}

impl Summary for Services {
    fn summary(&self) -> String {
        let ports = markdown::table(&["port", "address", "process"], &self.ports, |port| {
            let protocol = match port.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            };
            vec![
                format!("{protocol}/{}", port.port),
                port.address.to_string(),
                markdown::or_dash(port.process.as_ref()),
            ]
        });
        let heads = ["pid", "process", "memory"];
        let processes = markdown::table(&heads, &self.processes, |process| {
            vec![
                process.pid.to_string(),
                markdown::or_dash(process.name.as_ref()),
                markdown::or_dash(process.memory_bytes.map(size).as_ref()),
            ]
        });
        format!(
            "{}: {}, {}, {} of installed software\n\n{ports}\n{processes}{}{}",
            self.agent,
            markdown::count(self.port_count, "listening port"),
            markdown::count(self.process_count, "process"),
            markdown::count(self.software_count, "item"),
            missing_text(&self.missing),
            markdown::more(self.next_cursor.as_ref()),
        )
    }
}
