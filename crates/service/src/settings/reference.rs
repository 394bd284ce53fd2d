//! `docs/configuration.md`, written from the types.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Settings;
use super::entries::{Description, descriptions, values};
use super::groups::GROUPS;

/// The reference of all settings in Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let descriptions = descriptions();
    let defaults = values(&Settings::default());
    let mut page = include_str!("reference/head.md").to_owned();
    for group in GROUPS {
        let _ = write!(page, "\n## {}\n{}\n\n", group.title, group.about);
        page.push_str("| variable | default | allowed | meaning |\n|---|---|---|---|\n");
        for key in group.keys {
            page.push_str(&row(key, &descriptions, &defaults));
        }
    }
    page.push_str(include_str!("reference/tail.md"));
    page
}

fn row(
    key: &str,
    descriptions: &BTreeMap<String, Description>,
    defaults: &BTreeMap<String, String>,
) -> String {
    let Some(Description { about, allowed, .. }) = descriptions.get(key) else {
        return String::new();
    };
    let variable = key.to_uppercase();
    let default = match defaults.get(key).map(String::as_str) {
        None | Some("") => "none".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    let cells = [
        format!("`{variable}`"),
        default,
        allowed.clone(),
        about.clone(),
    ];
    format!(
        "| {} |\n",
        cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_in_docs_is_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == reference_markdown(),
            "write it anew: cargo run -p service --example configuration > docs/configuration.md"
        );
    }

    #[test]
    fn the_example_of_the_page_is_a_valid_file() {
        let page = reference_markdown();
        let example = page
            .split("```toml\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("discovery.toml");
        std::fs::write(&path, example.unwrap()).unwrap();
        let loaded = Settings::from_sources(Some(&path), Vec::<(String, String)>::new()).unwrap();
        assert!(loaded.settings != Settings::default());
    }
}
