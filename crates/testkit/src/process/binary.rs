//! Finding, and where needed building, a binary of the workspace.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::command::{command, run};

/// How long one build may take.
const BUILD: Duration = Duration::from_mins(10);
/// How long `cargo metadata` may take.
const METADATA: Duration = Duration::from_mins(1);

/// The path of binary `name` of `package`, built from the sources as they are now.
///
/// A test run of the whole workspace has built it already. A test run of another package alone has
/// not, so a binary that is missing, or older than its package and what that depends on, is built
/// here in the profile of the calling test.
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
    let built = fs::metadata(&path).and_then(|data| data.modified());
    if built.is_err() || built.ok() < newest_source(package).await? {
        build(package, name, folder).await?;
    }
    Ok(path)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// Absent for an ordinary dependency, otherwise `dev` or `build`.
    kind: Option<String>,
}

/// When a source of the package, or of one of ours that it is built from, was last changed.
async fn newest_source(package: &str) -> Result<Option<SystemTime>> {
    let mut cargo = command("cargo");
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = run(cargo, b"", METADATA).await?;
    let metadata: Metadata = serde_json::from_str(&output.stdout)
        .with_context(|| format!("cargo metadata: {}", output.stderr))?;
    let ours: HashMap<&str, &Package> = metadata
        .packages
        .iter()
        .map(|package| (package.name.as_str(), package))
        .collect();
    let mut needed = vec![
        *ours
            .get(package)
            .with_context(|| format!("no package {package}"))?,
    ];
    let mut n_seen = 0;
    while let Some(package) = needed.get(n_seen) {
        n_seen += 1;
        let direct = package
            .dependencies
            .iter()
            .filter(|it| it.kind.as_deref() != Some("dev"));
        for dependency in direct.filter_map(|it| ours.get(it.name.as_str())) {
            if !needed.iter().any(|known| known.name == dependency.name) {
                needed.push(dependency);
            }
        }
    }
    Ok(needed
        .iter()
        .filter_map(|package| newest_of_package(&package.manifest_path))
        .max())
}

fn newest_of_package(manifest: &Path) -> Option<SystemTime> {
    let sources = manifest
        .parent()
        .and_then(|folder| newest_in(&folder.join("src")));
    let manifest = fs::metadata(manifest).and_then(|data| data.modified()).ok();
    sources.max(manifest)
}

fn newest_in(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let changed = entries.filter_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => newest_in(&entry.path()),
        _ => entry.metadata().and_then(|data| data.modified()).ok(),
    });
    changed.max()
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
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
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
