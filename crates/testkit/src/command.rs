//! The one place that makes child processes.

use std::{ffi::OsStr, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// What a finished child said.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code, absent when a signal ended the child.
    pub code: Option<i32>,
    /// Standard output, as text.
    pub stdout: String,
    /// Standard error, as text.
    pub stderr: String,
}

/// A command with nothing of the caller's environment but what finds programs and temporary files.
///
/// A variable such as `AMQP_URL` in a developer's shell must not change what a test sees.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness starts brokers and binaries; every child is made here"
)]
pub(crate) fn command(program: impl AsRef<OsStr>) -> std::process::Command {
    const KEPT: [&str; 5] = ["PATH", "HOME", "TMPDIR", "CARGO_HOME", "RUSTUP_HOME"];
    let mut command = std::process::Command::new(program);
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| KEPT.iter().any(|kept| name == kept)));
    command
}

/// Runs a command to its end with `input` on its standard input.
///
/// # Errors
/// The program cannot be started, or has not ended within `deadline` (it is killed then).
/// An exit code other than 0 is not an error here: see [`Output::code`].
pub(crate) async fn run(
    command: std::process::Command,
    input: &[u8],
    deadline: Duration,
) -> Result<Output> {
    let program = PathBuf::from(command.get_program());
    let mut command = tokio::process::Command::from(command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let (Some(mut stdin), Some(mut stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        bail!("{} was started without pipes", program.display());
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let write = async move {
        // A child that does not read its input closes the pipe; its exit code tells the rest.
        let _ = stdin.write_all(input).await;
        drop(stdin);
    };
    let all = async {
        let (read_out, read_err, ()) = tokio::join!(
            stdout.read_to_end(&mut out),
            stderr.read_to_end(&mut err),
            write
        );
        read_out?;
        read_err?;
        child.wait().await
    };
    let status = timeout(deadline, all)
        .await
        .with_context(|| format!("{} has not ended within {deadline:?}", program.display()))?
        .with_context(|| format!("cannot read from {}", program.display()))?;
    Ok(Output {
        code: status.code(),
        stdout: String::from_utf8_lossy(&out).into_owned(),
        stderr: String::from_utf8_lossy(&err).into_owned(),
    })
}
