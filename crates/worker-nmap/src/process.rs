//! nmap as a child process that cannot outlive its call or its worker.
//!
//! Two processes in a group of their own: a guard, which leads the group and waits for the end of
//! a pipe that only the worker holds, and nmap. When the worker is gone, however it went, the
//! guard ends the group; when the call is over, the worker does.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, set_capabilities,
};
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use crate::Error;

/// The guard's program: it gets no argument, so nothing that a caller says reaches a shell.
/// `0` stands for the guard's own process group.
const GUARD: [&str; 3] = ["/bin/sh", "-c", "read -r _; kill -KILL 0"];
/// How long the system may take to end a killed process.
const END_TIME: Duration = Duration::from_secs(1);
/// Bytes of nmap's complaints that are kept.
const MAX_COMPLAINTS: usize = 16 * 1024;

/// A running nmap; it ends, with all it started, when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    /// Before `nmap`, so that it is signalled while its identifier is still ours.
    group: Group,
    nmap: Child,
    guard: Child,
}

/// What nmap writes.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) output: BufReader<ChildStdout>,
    pub(crate) complaints: ChildStderr,
}

/// A process group that is killed on drop.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Process {
    /// Starts nmap with these arguments, no environment, and standard output and error as streams.
    ///
    /// # Errors
    /// [`Error::Start`].
    pub(crate) fn start(program: &Path, arguments: &[String]) -> Result<(Self, Streams), Error> {
        let failed = |program: &Path| {
            let program = program.display().to_string();
            move |source| Error::Start { program, source }
        };
        let guard = start_guard().map_err(failed(Path::new(GUARD[0])))?;
        let pid = guard.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.ok_or_else(|| io::Error::other("it ended at once"));
        let pid = pid.map_err(failed(Path::new(GUARD[0])))?;
        let group = Group(Some(pid));
        let mut nmap = start_nmap(program, arguments, pid).map_err(failed(program))?;
        let (Some(output), Some(complaints)) = (nmap.stdout.take(), nmap.stderr.take()) else {
            let source = io::Error::other("it was started without pipes");
            return Err(failed(program)(source));
        };
        let streams = Streams {
            output: BufReader::with_capacity(64 * 1024, output),
            complaints,
        };
        let process = Self { group, nmap, guard };
        Ok((process, streams))
    }

    /// Ends the group and gives nmap's exit status, if the system gives it in time.
    pub(crate) async fn end(mut self) -> Option<ExitStatus> {
        // One that ended by itself has closed its output; give its status the time to arrive.
        let status = timeout(END_TIME, self.nmap.wait()).await;
        self.group.kill();
        let status = match status {
            Ok(status) => status.ok(),
            Err(_) => timeout(END_TIME, self.nmap.wait()).await.ok()?.ok(),
        };
        let _ = timeout(END_TIME, self.guard.wait()).await;
        status
    }

    /// Ends the group at once.
    pub(crate) async fn kill(mut self) {
        self.group.kill();
        let both = async { tokio::join!(self.nmap.wait(), self.guard.wait()) };
        if timeout(END_TIME, both).await.is_err() {
            tracing::warn!("a killed nmap has not ended in time");
        }
    }
}

impl Group {
    fn kill(&mut self) {
        // Once only, and before the guard is waited for: later the identifier may be another
        // group's.
        if let Some(group) = self.0.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads the complaints to their end, and keeps the first of them. Whoever gives up waiting for that
/// has what came before.
pub(crate) async fn read_complaints(mut stream: ChildStderr, kept: &mut Vec<u8>) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        let room = MAX_COMPLAINTS - kept.len();
        kept.extend_from_slice(&piece[..length.min(room)]);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that starts processes, in a group with a guard"
)]
fn start_guard() -> io::Result<Child> {
    Command::new(GUARD[0])
        .args(&GUARD[1..])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that starts processes, in a group with a guard"
)]
fn start_nmap(program: &Path, arguments: &[String], group: Pid) -> io::Result<Child> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(group.as_raw_pid())
        .kill_on_drop(true);
    let lent = lend_raw_sockets();
    let spawned = command.spawn();
    if lent {
        // The thread goes on with other work, whose processes are none of nmap's business.
        let _ = clear_ambient_capability_set();
    }
    spawned
}

/// Lets the next process of this thread have the capability `NET_RAW`, where this one has it and is
/// not root: without root a program gets a capability from its parent's ambient set only, or
/// brings its own (capabilities(7)).
fn lend_raw_sockets() -> bool {
    if geteuid().is_root() {
        return false;
    }
    let Ok(own) = capabilities(None) else {
        return false;
    };
    if !own.permitted.contains(CapabilitySet::NET_RAW) {
        return false;
    }
    let inheritable = own.inheritable | CapabilitySet::NET_RAW;
    set_capabilities(None, CapabilitySets { inheritable, ..own })
        .and_then(|()| configure_capability_in_ambient_set(CapabilitySet::NET_RAW, true))
        .is_ok()
}
