//! Processor time and memory of processes, as `/proc` has them.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use procfs::process::{Process, Stat, all_processes};

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All that is in memory, pages of the program's file included.
    pub(crate) resident: u64,
    /// What is the process's own.
    pub(crate) anonymous: u64,
}

/// Memory of a process now.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let read = || Process::new(pid.cast_signed())?.status();
    let status = read().with_context(|| format!("process {pid} cannot be looked at"))?;
    let bytes = |kibibytes: Option<u64>| kibibytes.map(|it| it * 1024);
    Ok(Memory {
        resident: bytes(status.vmrss).context("no resident memory")?,
        anonymous: bytes(status.rssanon).context("no anonymous memory")?,
    })
}

/// Processor time of a process so far, user and system, in steps of 10 ms.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    Ok(time_of(&stat(pid)?))
}

/// The same of a process and of all that it has started, those that have ended included.
pub(crate) fn cpu_of_tree(pid: u32) -> Result<Duration> {
    let mut children: HashMap<i32, Vec<Stat>> = HashMap::new();
    for process in all_processes().context("/proc cannot be read")? {
        // Processes may end while they are listed.
        if let Ok(stat) = process.and_then(|process| process.stat()) {
            children.entry(stat.ppid).or_default().push(stat);
        }
    }
    let mut total = Duration::ZERO;
    let mut open = vec![stat(pid)?];
    while let Some(stat) = open.pop() {
        total += time_of(&stat);
        let waited_for = stat.cutime.saturating_add(stat.cstime);
        total += of_ticks(waited_for.unsigned_abs());
        open.extend(children.remove(&stat.pid).unwrap_or_default());
    }
    Ok(total)
}

fn stat(pid: u32) -> Result<Stat> {
    let read = || Process::new(pid.cast_signed())?.stat();
    read().with_context(|| format!("process {pid} cannot be looked at"))
}

fn time_of(stat: &Stat) -> Duration {
    of_ticks(stat.utime + stat.stime)
}

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_nanos(ticks * (1_000_000_000 / procfs::ticks_per_second().max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_memory_is_a_part_of_what_is_resident() {
        let memory = memory(std::process::id()).unwrap();
        assert!(0 < memory.anonymous && memory.anonymous < memory.resident);
    }

    #[test]
    fn a_tree_has_used_what_its_root_has() {
        let pid = std::process::id();
        let root = cpu(pid).unwrap();
        assert!(cpu_of_tree(pid).unwrap() >= root);
    }
}
