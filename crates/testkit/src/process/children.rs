//! What a process has started, by `proc_pid_stat(5)`.

use std::{fs, time::Duration};

use anyhow::Result;

use crate::wait;

/// A process that another one has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Its identifier.
    pub pid: u32,
    /// The name of its program.
    pub program: String,
}

impl Child {
    /// Whether it still runs. One that has ended and that nobody waited for yet does not.
    #[must_use]
    pub fn runs(&self) -> bool {
        stat(self.pid).is_some_and(|(program, _)| program == self.program)
    }
}

/// The children of a process that run.
#[must_use]
pub fn children(parent: u32) -> Vec<Child> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| {
        let (program, of) = stat(pid)?;
        (of == parent).then_some(Child { pid, program })
    })
    .collect()
}

/// Waits until a process runs this program, and gives all its children at that moment.
///
/// # Errors
/// It does not within `deadline`.
pub async fn children_with(parent: u32, program: &str, deadline: Duration) -> Result<Vec<Child>> {
    let what = format!("process {parent} runs {program}");
    let started = async || {
        let found = children(parent);
        let is_there = found.iter().any(|child| child.program == program);
        is_there.then_some(found)
    };
    wait::until(&what, deadline, started).await
}

/// Waits until none of these processes runs any more.
///
/// # Errors
/// One still does after `deadline`.
pub async fn all_end(processes: &[Child], deadline: Duration) -> Result<()> {
    let what = format!("{processes:?} end");
    let ended = async || (!processes.iter().any(Child::runs)).then_some(());
    wait::until(&what, deadline, ended).await
}

/// Name of a process's program, and its parent; `None` when it has ended.
fn stat(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.split_once('(')?;
    let (program, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let has_ended = fields.next() == Some("Z");
    let parent = fields.next()?.parse().ok()?;
    (!has_ended).then(|| (program.to_owned(), parent))
}
