//! A node of one test's own.

use std::{
    fs,
    io::Write as _,
    ops::Deref,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use tempfile::TempDir;

use super::{
    broker::Broker,
    files::{self, Membership, Tls},
};
use crate::{certificates::Files, command::command, wait};

/// How long a node may take to speak AMQP; measured 5 to 14 s on a busy machine.
const START: Duration = Duration::from_secs(90);
/// How long a node may take to end when asked to; measured 1 to 3 s.
const STOP: Duration = Duration::from_secs(30);
/// How long the watchdog may take to end everything and clean up.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// How the watchdog of a node learns that nobody needs the node any more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until<'a> {
    /// The test process closes a pipe, by ending or on purpose.
    PipeCloses,
    /// Nobody has held a lock on this file for so long.
    Unused(&'a Path, Duration),
}

/// A node that belongs to one test. Dropping it kills it and removes its folder.
#[derive(Debug)]
pub struct Node {
    broker: Broker,
    folder: TempDir,
    watchdog: Option<Child>,
}

/// The choices for a node, see [`Node::builder`].
#[derive(Debug, Default)]
pub struct NodeBuilder {
    tls: Option<Tls>,
    member: Option<Membership>,
}

impl NodeBuilder {
    /// Adds a TLS listener with this certificate, open to clients without one.
    #[must_use]
    pub fn tls(mut self, files: Files) -> Self {
        self.tls = Some(Tls {
            files,
            client_certificate: false,
        });
        self
    }

    /// Adds a TLS listener that refuses clients without a certificate of the same authority.
    #[must_use]
    pub fn mutual_tls(mut self, files: Files) -> Self {
        self.tls = Some(Tls {
            files,
            client_certificate: true,
        });
        self
    }

    /// Makes the node one of a cluster.
    pub(super) fn member(mut self, member: Membership) -> Self {
        self.member = Some(member);
        self
    }

    /// Starts the node and waits until it speaks AMQP.
    ///
    /// # Errors
    /// `RabbitMQ` is not installed, or does not start; the message carries its console.
    pub async fn start(self) -> Result<Node> {
        let folder = tempfile::Builder::new()
            .prefix("testkit-rabbitmq-")
            .tempdir()?;
        let member = self.member.map_or_else(Membership::alone, Ok)?;
        let broker = files::create(folder.path(), self.tls.as_ref(), member)?;
        let mut node = Node {
            broker,
            folder,
            watchdog: None,
        };
        node.run().await?;
        Ok(node)
    }
}

impl Deref for Node {
    type Target = Broker;

    fn deref(&self) -> &Broker {
        &self.broker
    }
}

impl Node {
    /// A node with choices, for instance TLS.
    #[must_use]
    pub fn builder() -> NodeBuilder {
        NodeBuilder::default()
    }

    /// Starts a plain node and waits until it speaks AMQP.
    ///
    /// # Errors
    /// `RabbitMQ` is not installed, or does not start; the message carries its console.
    pub async fn start() -> Result<Self> {
        Self::builder().start().await
    }

    /// Kills the node with `SIGKILL`. Its folder and ports stay for [`Node::restart`].
    ///
    /// # Errors
    /// The node does not run.
    pub fn kill_9(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.end(true);
        Ok(())
    }

    /// Stops the node in good order and waits for its end. Its folder and ports stay.
    ///
    /// # Errors
    /// The node does not run, or has not ended within 30 s.
    pub async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        let exited = self.folder.path().join("exited");
        wait::until("RabbitMQ stops", STOP, async || {
            exited.exists().then_some(())
        })
        .await?;
        self.end(true);
        Ok(())
    }

    /// Starts the node again on the same folder and ports; a running one is killed first.
    ///
    /// # Errors
    /// It does not start; the message carries its console.
    pub async fn restart(&mut self) -> Result<()> {
        self.end(true);
        self.run().await
    }

    /// Freezes the node: its sockets stay open and nobody answers on them.
    ///
    /// # Errors
    /// The node does not run.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets a frozen node go on.
    ///
    /// # Errors
    /// The node does not run.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    async fn run(&mut self) -> Result<()> {
        let watchdog = start_watchdog(self.folder.path(), &self.broker, Until::PipeCloses)?;
        self.watchdog = Some(watchdog);
        wait_until_ready(self.folder.path(), &self.broker).await
    }

    /// The process id of the node itself.
    ///
    /// # Errors
    /// The node does not run.
    pub fn pid(&self) -> Result<u32> {
        ensure!(self.watchdog.is_some(), "the node does not run");
        let pid = fs::read_to_string(self.folder.path().join("pid")).context("no pid file")?;
        pid.trim().parse().context("the pid file holds no number")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid()?.cast_signed());
        signal::kill(pid, signal).with_context(|| format!("{signal} to RabbitMQ"))
    }

    /// Ends the watchdog and, through it, everything that it started.
    fn end(&mut self, keep_folder: bool) {
        let Some(mut watchdog) = self.watchdog.take() else {
            return;
        };
        if let Some(mut pipe) = watchdog.stdin.take()
            && keep_folder
        {
            let _ = pipe.write_all(b"keep\n");
        }
        let end = Instant::now() + CLEAN_UP;
        // A killed process can hold its port a little longer, and a restart needs it.
        while Instant::now() < end
            && (matches!(watchdog.try_wait(), Ok(None)) || self.broker.is_listening())
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// Starts a node's watchdog, which starts the node.
pub(super) fn start_watchdog(folder: &Path, broker: &Broker, until: Until<'_>) -> Result<Child> {
    for name in ["exited", "pid"] {
        let _ = fs::remove_file(folder.join(name));
    }
    let (mode, lease, idle) = match until {
        Until::PipeCloses => ("pipe", Path::new("-"), Duration::ZERO),
        Until::Unused(lease, idle) => ("lease", lease, idle),
    };
    let mut shell = command("/bin/sh");
    shell.args(["-c", include_str!("watchdog.sh"), "watchdog", mode]);
    shell
        .arg(lease)
        .arg(idle.as_secs().to_string())
        .arg(folder)
        .arg(files::server()?);
    shell.envs(files::environment(folder, broker));
    // A group of its own, because what kills the group of the test must leave the watchdog alive.
    shell
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    shell.spawn().context("cannot start /bin/sh")
}

/// Waits until a node that was just started speaks AMQP and answers Erlang calls.
pub(super) async fn wait_until_ready(folder: &Path, broker: &Broker) -> Result<()> {
    let exited = folder.join("exited");
    let ready = async || {
        if exited.exists() {
            return Some(false);
        }
        broker.is_ready().then_some(true)
    };
    let console = || console(folder);
    let alive = wait::until("RabbitMQ speaks AMQP", START, ready)
        .await
        .with_context(console)?;
    if !alive {
        bail!("RabbitMQ ended at its start; its console:\n{}", console());
    }
    Ok(())
}

/// The end of what the node printed.
fn console(folder: &Path) -> String {
    let path: PathBuf = folder.join("log/console");
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(40)..)
        .unwrap_or_default()
        .join("\n")
}
