//! Starting, signalling and ending one child.

use std::{
    ffi::{OsStr, OsString},
    io::Write as _,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};

use super::Lines;
use crate::{command::command, wait};

/// What to start: program, arguments, environment, folder.
///
/// The child gets no environment of the test's but `PATH`, `HOME`, `TMPDIR`, `CARGO_HOME` and
/// `RUSTUP_HOME`.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
}

impl Program {
    /// A program by its path, or by its name when it is found on `PATH`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
            env: Vec::new(),
            folder: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets one environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the folder that the child runs in.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    fn command(&self) -> std::process::Command {
        let mut command = command(&self.path);
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// Runs the program to its end with `input` on its standard input.
    ///
    /// # Errors
    /// It cannot be started, or has not ended within `deadline` (it is killed then).
    pub async fn run(&self, input: &[u8], deadline: Duration) -> Result<super::Output> {
        crate::command::run(self.command(), input, deadline).await
    }

    /// Starts the program for a client that speaks with it on its own: standard input and output
    /// are pipes, standard error is that of the test. Dropping the child kills it.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start_for_client(&self) -> Result<tokio::process::Child> {
        tokio::process::Command::from(self.command())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))
    }

    /// Starts the program with pipes on all three streams.
    ///
    /// # Errors
    /// The program, or the shell that guards it, cannot be started.
    pub fn start(&self) -> Result<Process> {
        let mut command = self.command();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            bail!("{} was started without pipes", self.path.display());
        };
        let mut process = Process {
            pid: Pid::from_raw(child.id().cast_signed()),
            name: self.path.display().to_string(),
            child: Mutex::new(child),
            guard: None,
            stdin: Mutex::new(Some(stdin)),
            stdout: Lines::read(stdout),
            stderr: Lines::read(stderr),
        };
        process.guard = Some(start_guard(process.pid)?);
        Ok(process)
    }
}

/// A running child; dropping it kills it.
///
/// The child is also killed when the test process itself is killed.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    name: String,
    child: Mutex<Child>,
    guard: Option<Child>,
    stdin: Mutex<Option<ChildStdin>>,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// What it wrote to standard output.
    #[must_use]
    pub fn stdout(&self) -> &Lines {
        &self.stdout
    }

    /// What it wrote to standard error.
    #[must_use]
    pub fn stderr(&self) -> &Lines {
        &self.stderr
    }

    /// Writes one line to its standard input.
    ///
    /// Meant for lines shorter than a pipe holds (64 KiB): a child that does not read blocks the
    /// caller beyond that.
    ///
    /// # Errors
    /// The input is closed already, by us or by the child.
    pub fn write_line(&self, line: &str) -> Result<()> {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        let stdin = stdin
            .as_mut()
            .with_context(|| format!("{}: input closed", self.name))?;
        stdin
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| stdin.flush())
            .with_context(|| format!("{} does not read its input", self.name))
    }

    /// Closes its standard input.
    pub fn close_stdin(&self) {
        self.stdin
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Asks it to end: `SIGTERM`.
    ///
    /// # Errors
    /// It has ended already.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Ends it at once: `SIGKILL`.
    ///
    /// # Errors
    /// It has ended already.
    pub fn kill_9(&self) -> Result<()> {
        self.signal(Signal::SIGKILL)
    }

    /// Freezes it: `SIGSTOP`. Its sockets stay open and nobody answers on them.
    ///
    /// # Errors
    /// It has ended already.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets a frozen process go on: `SIGCONT`.
    ///
    /// # Errors
    /// It has ended already.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Sends any signal.
    ///
    /// # Errors
    /// It has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // Looked up first: the number of an ended and reaped process may belong to another one.
        if let Some(status) = self.try_exit()? {
            bail!("{} cannot get {signal}: it has ended, {status}", self.name);
        }
        signal::kill(self.pid, signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn try_exit(&self) -> Result<Option<ExitStatus>> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child
            .try_wait()
            .with_context(|| format!("cannot look at {}", self.name))
    }

    /// Waits until it has ended; the number is its exit code, or 128 plus the signal that ended it.
    ///
    /// # Errors
    /// It still runs after `deadline`; the message carries its last lines.
    pub async fn exit_code(&self, deadline: Duration) -> Result<i32> {
        let ended = async || self.try_exit().transpose();
        let status = wait::until(&format!("{} ends", self.name), deadline, ended)
            .await
            .with_context(|| format!("its last lines: {}", self.stderr.tail()))??;
        status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))
            .with_context(|| format!("{} has neither exit code nor signal", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Both fail only for a child that has ended, which is what is wanted. The guard goes
        // second, so that no moment is left unguarded.
        let _ = child.kill().and_then(|()| child.wait());
        if let Some(guard) = &mut self.guard {
            let _ = guard.kill().and_then(|()| guard.wait());
        }
    }
}

/// A shell that kills `pid` when this process is gone, in a group of its own: what kills the
/// group of the test process must not kill the guard.
fn start_guard(pid: Pid) -> Result<Child> {
    let mut guard = command("/bin/sh");
    guard.args(["-c", include_str!("guard.sh"), "guard", &pid.to_string()]);
    guard
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    guard.spawn().context("cannot start /bin/sh")
}
