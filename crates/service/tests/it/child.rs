//! The example `process`, run as a child.

use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Time for anything that a child is expected to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running child; killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    log: Vec<String>,
    _directory: TempDir,
}

/// A child that has ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Starts the example with these variables alone, in an empty directory with this
/// `discovery.toml`.
pub(crate) fn start(work: &str, toml: Option<&str>, environment: &[(&str, &str)]) -> Running {
    let directory = tempfile::tempdir().unwrap();
    if let Some(toml) = toml {
        std::fs::write(directory.path().join("discovery.toml"), toml).unwrap();
    }
    let mut child = command(example())
        .arg(work)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = sync_channel(1000);
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Running {
        child,
        lines,
        log: Vec::new(),
        _directory: directory,
    }
}

impl Running {
    /// Waits for a line on standard error that contains this text.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line =
                line.unwrap_or_else(|error| panic!("no `{text}` ({error}) in {:#?}", self.log));
            let found = line.contains(text);
            self.log.push(line);
            if found {
                return;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = command(PathBuf::from("/bin/sh"))
            .args(["-c", &kill])
            .status()
            .unwrap();
        assert!(status.success());
    }

    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:#?}", self.log),
            }
        }
        let code = self.child.wait().unwrap().code();
        let mut stdout = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut stdout)
            .unwrap();
        Ended {
            code,
            stdout,
            stderr: self.log.join("\n"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It fails only if the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of the loopback network that belongs to this test process alone.
pub(crate) fn own_address() -> Ipv4Addr {
    let [_, b, c, d] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | b, c, d.max(1))
}

fn example() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let profile = tests.parent().and_then(|deps| deps.parent()).unwrap();
    let example = profile.join("examples/process");
    assert!(
        example.exists(),
        "build it: cargo build -p service --examples"
    );
    example
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test starts the process that it is about"
)]
fn command(program: PathBuf) -> Command {
    Command::new(program)
}
