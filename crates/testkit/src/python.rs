//! Python programs with pinned packages: clients that others wrote.
//!
//! The programs are in `crates/testkit/clients`; `requirements.txt` there names the packages.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::{Output, Program};

/// How long making the environment may take, downloads included.
const INSTALL: Duration = Duration::from_mins(5);

/// Runs a program of `crates/testkit/clients` with the interpreter that has the packages.
///
/// # Errors
/// The environment cannot be made, or the program has not ended within `deadline`. Its exit code
/// is the caller's to judge.
pub async fn run(program: &str, args: &[&str], deadline: Duration) -> Result<Output> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(program);
    Program::new(interpreter().await?)
        .arg(path)
        .args(args)
        .run(b"", deadline)
        .await
}

/// Visits an MCP server with the Python SDK: connects, lists the tools, calls one.
///
/// `args` are those of `mcp_client.py`, for instance
/// `["--mode", "legacy", "--url", url, "--call", "ping", "--arguments", "{}"]`; the value is the
/// report described there.
///
/// # Errors
/// The visit fails; the message carries the program's traceback.
pub async fn visit(args: &[&str], deadline: Duration) -> Result<Value> {
    let output = run("mcp_client.py", args, deadline).await?;
    ensure!(
        output.code == Some(0),
        "mcp_client.py {args:?}: {}",
        output.stderr
    );
    serde_json::from_str(&output.stdout)
        .with_context(|| format!("mcp_client.py printed: {}", output.stdout))
}

/// The interpreter; its environment is made on first use, which `scripts/test` does beforehand.
pub(crate) async fn interpreter() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let made = Program::new(root.join("scripts/venv"))
        .arg(root.join("target/testkit/venv"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/requirements.txt"))
        .run(b"", INSTALL)
        .await?;
    ensure!(
        made.code == Some(0),
        "no Python environment, run scripts/test: {}",
        made.stderr
    );
    Ok(PathBuf::from(made.stdout.trim()))
}
