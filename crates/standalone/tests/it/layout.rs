//! The rooms of the workspace and the arrows between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;
use testkit::process::Program;

/// How long `cargo metadata` may take while other builds run.
const METADATA: Duration = Duration::from_secs(30);
/// The header of the table in `docs/architecture.md`.
const HEADER: [&str; 3] = ["crate", "one responsibility", "depends on"];
/// Lines of code that a `main.rs` may have: comments and empty lines do not count.
const MAIN_LINES: usize = 15;

/// One package of the workspace.
struct Package {
    name: String,
    folder: PathBuf,
    /// Packages of ours that it is built from.
    needs: BTreeSet<String>,
    data: Value,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

async fn packages() -> Vec<Package> {
    let cargo = Program::new("cargo")
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .folder(root());
    let output = cargo.run(b"", METADATA).await.unwrap();
    let metadata: Value = serde_json::from_str(&output.stdout)
        .unwrap_or_else(|error| panic!("cargo metadata: {error}: {}", output.stderr));
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(package)
        .collect()
}

fn package(data: &Value) -> Package {
    let is_built_from = |dependency: &&Value| {
        // Only what lies in the workspace has a path; `dev` alone is not part of a build.
        dependency["path"].is_string() && dependency["kind"] != "dev"
    };
    let manifest = Path::new(data["manifest_path"].as_str().unwrap());
    Package {
        name: data["name"].as_str().unwrap().to_owned(),
        folder: manifest.parent().unwrap().to_owned(),
        needs: data["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(is_built_from)
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .collect(),
        data: data.clone(),
    }
}

/// What the table says: crate and what it depends on.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let path = root().join("docs/architecture.md");
    let text = fs::read_to_string(&path).expect("docs/architecture.md");
    let mut rows = text.lines().map(cells);
    rows.find(|row| row.iter().map(String::as_str).eq(HEADER))
        .unwrap_or_else(|| panic!("docs/architecture.md has no table with the columns {HEADER:?}"));
    let mut table = BTreeMap::new();
    for row in rows.skip(1).take_while(|row| row.len() == HEADER.len()) {
        let names = words(&row[0]);
        let needs = words(&row[2]);
        for name in names {
            let again = table.insert(name.clone(), needs.clone());
            assert!(again.is_none(), "{name} stands twice in the table");
        }
    }
    table
}

fn cells(line: &str) -> Vec<String> {
    let inner = line
        .trim()
        .strip_prefix('|')
        .and_then(|line| line.strip_suffix('|'));
    let cells = inner.map(|inner| inner.split('|').map(|cell| cell.trim().to_lowercase()));
    cells.into_iter().flatten().collect()
}

/// The crate names of a cell; `-` alone stands for none.
fn words(cell: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    cell.split(|c| !is_name(c))
        .filter(|word| !word.trim_matches('-').is_empty())
        .map(str::to_owned)
        .collect()
}

/// The lines that are code.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn crates_depend_on_each_other_as_the_architecture_says() {
    let packages = packages().await;
    let real: BTreeMap<String, BTreeSet<String>> = packages
        .into_iter()
        .map(|package| (package.name, package.needs))
        .collect();
    assert_eq!(
        real,
        table(),
        "left: the manifests; right: the table in docs/architecture.md"
    );
}

#[tokio::test]
async fn every_package_keeps_the_rules_of_the_workspace() {
    let crates = root().join("crates").canonicalize().unwrap();
    for package in packages().await {
        let name = &package.name;
        let folder = package.folder.canonicalize().unwrap();
        assert_eq!(
            folder,
            crates.join(name),
            "the folder is called like its package"
        );
        assert_eq!(
            package.data["publish"],
            Value::Array(Vec::new()),
            "{name} is not published"
        );
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{name} has the lints of the workspace"
        );
    }
}

#[tokio::test]
async fn only_tests_and_benchmarks_use_the_harness_and_no_worker_knows_another() {
    for package in packages().await {
        let Package { name, needs, .. } = &package;
        assert!(
            !needs.contains("testkit") || name == "bench",
            "{name} needs testkit to be built"
        );
        assert!(!needs.contains("bench"), "{name} needs the benchmarks");
        let is_worker = |name: &str| name.starts_with("worker-");
        if is_worker(name) {
            let foreign: Vec<&String> = needs
                .iter()
                .filter(|needed| is_worker(needed) || *needed == "gateway")
                .collect();
            assert!(foreign.is_empty(), "{name} needs {foreign:?}");
        }
    }
}

#[tokio::test]
async fn a_main_only_hands_over() {
    for package in packages().await {
        let lines = code(&package.folder.join("src/main.rs")).len();
        assert!(
            lines <= MAIN_LINES,
            "main.rs of {} has {lines} lines of code",
            package.name
        );
    }
}

#[tokio::test]
async fn a_lib_is_a_table_of_contents() {
    for package in packages().await {
        // The one function that puts a category's tools together is its table of contents.
        let mut functions = usize::from(package.name.starts_with("worker-"));
        for line in code(&package.folder.join("src/lib.rs")) {
            let item = line.strip_prefix("pub ").unwrap_or(&line);
            let keyword = item.split([' ', '(', '<', '!']).next().unwrap_or_default();
            match keyword {
                "fn" if functions > 0 => functions -= 1,
                "fn" | "async" | "struct" | "enum" | "trait" | "impl" | "type" | "static"
                | "macro_rules" => {
                    panic!("lib.rs of {} has more than names: {line}", package.name)
                }
                _ => {}
            }
        }
    }
}
