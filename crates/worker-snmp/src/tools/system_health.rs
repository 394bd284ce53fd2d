//! `snmp_system_health`: how a device is.

use std::time::Duration;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, Summary, Tool};

use crate::device::health::{self, Cpu, Memory};
use crate::device::sensors::{self, Sensor};
use crate::device::storage::{self, Storage};
use crate::device::supplies::{self, Supply, Ups};
use crate::device::system::{self, System};
use crate::device::{Missing, Survey, days, missing_text, size};
use crate::options::SessionOptions;
use crate::{agent, markdown};

/// Parts that are read, for progress.
const N_PARTS: u32 = 7;
/// Hundredths of a disk in use that are worth a warning.
const FULL_DISK: f64 = 90.0;
/// Hundredths of memory or processors in use that are worth a warning.
const BUSY: f64 = 95.0;
/// Hundredths of toner or charge left that are worth a warning.
const NEARLY_EMPTY: f64 = 10.0;

/// Which device.
#[derive(Debug, Deserialize, JsonSchema)]
struct Arguments {
    #[serde(flatten)]
    options: SessionOptions,
}

/// How a device is.
#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    /// Address and port of the agent.
    agent: String,
    /// What is worth a look: disks above 90 %, memory or processors above 95 %, sensors that fail,
    /// batteries and supplies that run out. Empty when all is well as far as the device tells.
    warnings: Vec<String>,
    /// What the device says of itself.
    system: System,
    /// Processors and load.
    cpu: Cpu,
    /// Memory.
    memory: Memory,
    /// Disks, file systems and areas of memory.
    storage: Vec<Storage>,
    /// Temperatures, voltages, fans and the like.
    sensors: Vec<Sensor>,
    /// The battery of a power supply; absent of other devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    ups: Option<Ups>,
    /// What a printer uses up.
    supplies: Vec<Supply>,
    /// MIBs that the device lacks or could not answer for, with the reason.
    missing: Vec<Missing>,
}

/// The declaration of the tool.
pub(crate) fn tool() -> Tool {
    Tool::new("snmp_system_health", run)
        .title("SNMP system health")
        .description(
            "Reads how a device is: uptime, load of each processor, load average, memory and \
             swap, storage in use, sensors (temperature, voltage, fans), the battery of a UPS and \
             the supplies of a printer; from HOST-RESOURCES-MIB, UCD-SNMP-MIB, ENTITY-SENSOR-MIB, \
             LM-SENSORS-MIB, UPS-MIB, Printer-MIB and Cisco's. What is worth a look is in \
             `warnings`; MIBs that the device lacks are named in `missing`. Needs no session.",
        )
        .read_only()
        .deadline(Duration::from_mins(2), Duration::from_mins(10))
}

async fn run(context: Context, arguments: Arguments) -> Result<Health, ToolError> {
    let reader = agent::reach(&context, &arguments.options).await?;
    let mut survey = Survey::begin(&context, reader, N_PARTS).await?;
    let agent = survey.agent();
    let system = system::read(&mut survey).await;
    let cpu = health::cpu(&mut survey).await;
    let storage = storage::read(&mut survey).await;
    let memory = health::memory(&mut survey, &storage).await;
    let sensors = sensors::read(&mut survey).await;
    let ups = supplies::ups(&mut survey).await;
    let supplies = supplies::printer(&mut survey).await;
    let mut health = Health {
        agent,
        warnings: Vec::new(),
        system,
        cpu,
        memory,
        storage,
        sensors,
        ups,
        supplies,
        missing: survey.into_missing(),
    };
    health.warnings = health.warnings();
    Ok(health)
}

impl Health {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let busy = |what: &str, percent: Option<f64>| {
            let percent = percent.filter(|percent| *percent >= BUSY)?;
            Some(format!("{what}: {percent} % in use"))
        };
        warnings.extend(busy("processors", self.cpu.load_percent));
        warnings.extend(busy("memory", self.memory.used_percent));
        let disks = self.storage.iter().filter(|storage| storage.kind.is_disk());
        warnings.extend(disks.filter_map(|disk| {
            let percent = disk.used_percent.filter(|percent| *percent >= FULL_DISK)?;
            Some(format!("{}: {percent} % in use", disk.name))
        }));
        let faulty = |status: &&str| *status != "ok";
        warnings.extend(self.sensors.iter().filter_map(|sensor| {
            let status = sensor.status.as_deref().filter(faulty)?;
            Some(format!("sensor {}: {status}", sensor.name))
        }));
        warnings.extend(self.ups.iter().flat_map(ups_warnings));
        warnings.extend(self.supplies.iter().filter_map(|supply| {
            let level = supply.level_percent.filter(|level| *level < NEARLY_EMPTY)?;
            let is_waste = supply
                .kind
                .as_deref()
                .is_some_and(|kind| kind.starts_with("waste"));
            (!is_waste).then(|| format!("{}: {level} % left", supply.name))
        }));
        warnings
    }
}

fn ups_warnings(ups: &Ups) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(seconds) = ups.seconds_on_battery.filter(|seconds| *seconds > 0) {
        warnings.push(format!("on battery for {seconds} s"));
    }
    if let Some(status) = ups
        .battery_status
        .as_ref()
        .filter(|it| *it != "batteryNormal")
    {
        warnings.push(format!("battery: {status}"));
    }
    if let Some(alarms) = ups.alarms.filter(|alarms| *alarms > 0) {
        warnings.push(format!("{alarms} alarms of the power supply"));
    }
    warnings
}

impl Summary for Health {
    fn summary(&self) -> String {
        let percent = |percent: Option<f64>| {
            percent.map_or_else(|| "unknown".to_owned(), |percent| format!("{percent} %"))
        };
        let up = self
            .system
            .uptime_seconds
            .or(self.system.agent_uptime_seconds);
        let load: Vec<String> = self.cpu.load_average.iter().map(f64::to_string).collect();
        let load = if load.is_empty() {
            "unknown".to_owned()
        } else {
            load.join(" ")
        };
        let sensors = markdown::table(&["sensor", "reading"], &self.sensors, |sensor| {
            vec![
                sensor.name.clone(),
                format!("{} {}", sensor.value, sensor.unit),
            ]
        });
        format!(
            "{} at {}: up {}, processors {} busy, load {load}, memory {} of {} in use.\n{}\n{}\n{sensors}{}",
            markdown::plain(&markdown::or_dash(self.system.name.as_ref())),
            self.agent,
            markdown::or_dash(up.map(days).as_ref()),
            percent(self.cpu.load_percent),
            percent(self.memory.used_percent),
            markdown::or_dash(self.memory.total_bytes.map(size).as_ref()),
            markdown::notes("Warnings:", &self.warnings),
            storage::summary(&self.storage),
            missing_text(&self.missing),
        )
    }
}
