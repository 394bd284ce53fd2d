//! Finding, and where needed building, a binary of the workspace.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::command::{command, run};

/// How long one build may take.
const BUILD: Duration = Duration::from_mins(10);

/// The path of binary `name` of `package`, built from the sources as they are now.
///
/// The tests of the whole workspace find it built already. A test run of another package alone
/// does not, so what is missing or older than its sources is built here, in the profile of the
/// calling test.
///
/// # Errors
/// The build fails, with the compiler's words.
pub async fn binary(package: &str, name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe().context("the test's own path is unknown")?;
    let folder = test
        .ancestors()
        .find(|folder| folder.join("deps").is_dir())
        .with_context(|| format!("{} is not in a target folder", test.display()))?;
    let path = folder.join(name);
    if !is_fresh(&path) {
        build(package, name, folder).await?;
    }
    Ok(path)
}

/// Whether the binary is younger than each source that its dependency file lists.
fn is_fresh(binary: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let Some(built) = modified(binary) else {
        return false;
    };
    let Ok(sources) = fs::read_to_string(binary.with_extension("d")) else {
        return false;
    };
    let Some((_, sources)) = sources.split_once(": ") else {
        return false;
    };
    // Cargo escapes a space in a path with a backslash; such a path is not found, which counts as
    // old and only costs a build that does nothing.
    sources
        .split_whitespace()
        .all(|source| modified(Path::new(source)).is_some_and(|changed| changed <= built))
}

async fn build(package: &str, name: &str, folder: &Path) -> Result<()> {
    let mut cargo = command("cargo");
    cargo.args([
        "build",
        "--locked",
        "--quiet",
        "--package",
        package,
        "--bin",
        name,
    ]);
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    if let Some(target) = folder.parent() {
        cargo.arg("--target-dir").arg(target);
    }
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let output = run(cargo, b"", BUILD).await?;
    ensure!(
        output.code == Some(0),
        "cannot build {name}; see `cargo build -p {package}`:\n{}",
        output.stderr
    );
    Ok(())
}
