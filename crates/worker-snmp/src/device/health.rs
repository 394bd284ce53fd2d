//! Processors, memory and load: HOST-RESOURCES-MIB, UCD-SNMP-MIB and Cisco's.

use schemars::JsonSchema;
use serde::Serialize;

use super::storage::{Kind, Storage};
use super::{Survey, percent};
use crate::client::Row;

/// Processors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Cpu {
    /// Hundredths of their time that all processors together were busy, over the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) load_percent: Option<f64>,
    /// Hundredths that each processor was busy, over the last minute.
    pub(crate) processors: Vec<u64>,
    /// Hundredths of time in programs of users, where the device tells (UCD-SNMP-MIB).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user_percent: Option<u64>,
    /// Hundredths of time in the operating system, where the device tells (UCD-SNMP-MIB).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) system_percent: Option<u64>,
    /// Hundredths of time without work, where the device tells (UCD-SNMP-MIB).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_percent: Option<u64>,
    /// Average number of processes that run or wait to run, over 1, 5 and 15 minutes.
    pub(crate) load_average: Vec<f64>,
    /// MIBs that these numbers come from.
    pub(crate) sources: Vec<String>,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Memory {
    /// Bytes there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total_bytes: Option<u64>,
    /// Bytes that programs can still have, caches that would be given up included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) available_bytes: Option<u64>,
    /// Hundredths that programs hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) used_percent: Option<f64>,
    /// Bytes of buffers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) buffer_bytes: Option<u64>,
    /// Bytes of caches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cached_bytes: Option<u64>,
    /// Bytes of swap space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) swap_total_bytes: Option<u64>,
    /// Bytes of swap space that are free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) swap_available_bytes: Option<u64>,
    /// MIB that these numbers come from; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
}

/// Reads processors and load.
pub(crate) async fn cpu(survey: &mut Survey<'_>) -> Cpu {
    survey.part("processors");
    let mut cpu = Cpu::default();
    let columns = ["hrProcessorLoad"];
    let table = survey
        .table("HOST-RESOURCES-MIB", "hrProcessorTable", &columns)
        .await;
    let loads = table
        .rows()
        .filter_map(|(_, row)| row.unsigned("hrProcessorLoad"));
    cpu.processors = loads.collect();
    if cpu.processors.is_empty() {
        let columns = ["cpmCPUTotal1minRev", "cpmCPUTotal1min"];
        let table = survey.optional_table("cpmCPUTotalTable", &columns).await;
        let loads = table.rows().filter_map(|(_, row)| {
            row.unsigned("cpmCPUTotal1minRev")
                .or_else(|| row.unsigned("cpmCPUTotal1min"))
        });
        cpu.processors = loads.collect();
        cpu.source_if(!cpu.processors.is_empty(), "CISCO-PROCESS-MIB");
    } else {
        cpu.source_if(true, "HOST-RESOURCES-MIB");
    }
    cpu.load_percent = average(&cpu.processors);
    let names = ["ssCpuUser", "ssCpuSystem", "ssCpuIdle"];
    let ucd = survey.scalars("UCD-SNMP-MIB systemStats", &names).await;
    cpu.user_percent = ucd.unsigned("ssCpuUser");
    cpu.system_percent = ucd.unsigned("ssCpuSystem");
    cpu.idle_percent = ucd.unsigned("ssCpuIdle");
    let loads = survey.table("UCD-SNMP-MIB", "laTable", &["laLoad"]).await;
    let loads = loads
        .rows()
        .filter_map(|(_, row)| row.text("laLoad")?.parse().ok());
    cpu.load_average = loads.filter(|load: &f64| load.is_finite()).collect();
    cpu.source_if(
        !ucd.is_empty() || !cpu.load_average.is_empty(),
        "UCD-SNMP-MIB",
    );
    if cpu.load_percent.is_none() {
        let busy = cpu.idle_percent.map(|idle| 100_u64.saturating_sub(idle));
        cpu.load_percent = busy.and_then(|busy| percent(busy, 100));
    }
    cpu
}

/// Reads memory; `storage` is what the device says of its storage.
pub(crate) async fn memory(survey: &mut Survey<'_>, storage: &[Storage]) -> Memory {
    survey.part("memory");
    let names = [
        "memTotalReal",
        "memAvailReal",
        "memBuffer",
        "memCached",
        "memTotalSwap",
        "memAvailSwap",
        "memTotalRealX",
        "memAvailRealX",
        "memBufferX",
        "memCachedX",
        "memTotalSwapX",
        "memAvailSwapX",
        "memSysAvail",
    ];
    let row = survey.scalars("UCD-SNMP-MIB memory", &names).await;
    if !row.is_empty() {
        return ucd_memory(&row);
    }
    if let Some(memory) = host_memory(storage) {
        return memory;
    }
    let columns = ["ciscoMemoryPoolUsed", "ciscoMemoryPoolFree"];
    let pools = survey
        .optional_table("ciscoMemoryPoolTable", &columns)
        .await;
    // The first pool is that of the processor.
    pools
        .rows()
        .next()
        .map_or_else(Memory::default, |(_, row)| {
            let used = row.unsigned("ciscoMemoryPoolUsed");
            let free = row.unsigned("ciscoMemoryPoolFree");
            let total = used.zip(free).map(|(used, free)| used.saturating_add(free));
            Memory {
                total_bytes: total,
                available_bytes: free,
                used_percent: used
                    .zip(total)
                    .and_then(|(used, total)| percent(used, total)),
                source: Some("CISCO-MEMORY-POOL-MIB".to_owned()),
                ..Memory::default()
            }
        })
}

/// Memory as net-snmp counts it, in KiB; the objects with an X are wide enough for more than
/// 2 TiB.
fn ucd_memory(row: &Row) -> Memory {
    let bytes = |wide: &str, narrow: &str| {
        let kibibytes = row.unsigned(wide).or_else(|| row.unsigned(narrow))?;
        Some(kibibytes.saturating_mul(1024))
    };
    let total = bytes("memTotalRealX", "memTotalReal");
    let free = bytes("memAvailRealX", "memAvailReal");
    let buffer = bytes("memBufferX", "memBuffer");
    let cached = bytes("memCachedX", "memCached");
    let reclaimed = free.map(|free| {
        free.saturating_add(buffer.unwrap_or_default())
            .saturating_add(cached.unwrap_or_default())
    });
    let available = bytes("memSysAvail", "memSysAvail").or(reclaimed);
    let used = total
        .zip(available)
        .map(|(total, free)| total.saturating_sub(free));
    Memory {
        total_bytes: total,
        available_bytes: available,
        used_percent: used
            .zip(total)
            .and_then(|(used, total)| percent(used, total)),
        buffer_bytes: buffer,
        cached_bytes: cached,
        swap_total_bytes: bytes("memTotalSwapX", "memTotalSwap"),
        swap_available_bytes: bytes("memAvailSwapX", "memAvailSwap"),
        source: Some("UCD-SNMP-MIB".to_owned()),
    }
}

/// Memory as one of the storage areas. Of several of that kind the largest is the whole.
fn host_memory(storage: &[Storage]) -> Option<Memory> {
    let ram = storage.iter().filter(|area| area.kind == Kind::Ram);
    let ram = ram.max_by_key(|area| area.size_bytes)?;
    let (total, used) = (ram.size_bytes?, ram.used_bytes?);
    Some(Memory {
        total_bytes: Some(total),
        available_bytes: Some(total.saturating_sub(used)),
        used_percent: percent(used, total),
        source: Some("HOST-RESOURCES-MIB".to_owned()),
        ..Memory::default()
    })
}

impl Cpu {
    fn source_if(&mut self, is_one: bool, mib: &str) {
        if is_one {
            self.sources.push(mib.to_owned());
        }
    }
}

fn average(percents: &[u64]) -> Option<f64> {
    let n_percents = u64::try_from(percents.len()).ok()?;
    // A device may say anything.
    let sum = percents.iter().copied().fold(0, u64::saturating_add);
    percent(sum, n_percents.saturating_mul(100))
}

#[cfg(test)]
mod tests {
    use worker::{Context, Scope};

    use super::*;
    use crate::client::Version;
    use crate::client::scripted::{Agent, reader, text};
    use crate::value::Value;

    #[tokio::test]
    async fn the_load_of_an_agent_without_processors_is_what_is_not_idle() {
        let agent = Agent::new(Version::V2c)
            .with("1.3.6.1.4.1.2021.10.1.3.1", text("0.25"))
            .with("1.3.6.1.4.1.2021.11.9.0", Value::Integer(7))
            .with("1.3.6.1.4.1.2021.11.10.0", Value::Integer(3))
            .with("1.3.6.1.4.1.2021.11.11.0", Value::Integer(90));
        let context = Context::for_test(Scope::default());
        let mut survey = Survey::begin(&context, reader(agent), 1).await.unwrap();
        let cpu = cpu(&mut survey).await;
        assert_eq!(cpu.load_percent, Some(10.0));
        assert_eq!((cpu.user_percent, cpu.system_percent), (Some(7), Some(3)));
        assert_eq!(cpu.load_average, [0.25]);
        assert_eq!(cpu.sources, ["UCD-SNMP-MIB"]);
    }

    #[test]
    fn the_load_is_the_average_of_the_processors() {
        assert_eq!(average(&[]), None);
        assert_eq!(average(&[10, 20]), Some(15.0));
        assert_eq!(average(&[1, 2, 2]), Some(1.6));
        assert!(average(&[u64::MAX, u64::MAX]).is_some());
    }
}
