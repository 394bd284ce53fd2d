//! Graphs as text that other programs draw.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::{Graph, Link, Node};

/// As a flowchart of Mermaid; links that are not sure are dotted.
pub(crate) fn mermaid(graph: &Graph) -> String {
    let numbers: HashMap<&str, usize> = numbers(graph);
    let mut text = "graph LR\n".to_owned();
    for (number, node) in graph.nodes.iter().enumerate() {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "  n{number}[\"{}\"]", mermaid_text(&caption(node)));
    }
    for link in &graph.links {
        let ends = [&link.a, &link.b].map(|end| numbers.get(end.node.as_str()));
        let [Some(a), Some(b)] = ends else {
            continue;
        };
        let line = if is_sure(link) { "---" } else { "-.-" };
        let label = mermaid_text(&label(link));
        let _ = writeln!(text, "  n{a} {line}|\"{label}\"| n{b}");
    }
    text
}

/// In the language of Graphviz; links that are not sure are dotted.
pub(crate) fn dot(graph: &Graph) -> String {
    let mut text = "graph topology {\n  node [shape=box];\n".to_owned();
    for node in &graph.nodes {
        let (id, caption) = (dot_text(&node.id), dot_text(&caption(node)));
        let _ = writeln!(text, "  \"{id}\" [label=\"{caption}\"];");
    }
    for link in &graph.links {
        let [a, b] = [&link.a, &link.b].map(|end| dot_text(&end.node));
        let [tail, head] =
            [&link.a, &link.b].map(|end| dot_text(end.interface.as_deref().unwrap_or_default()));
        let style = if is_sure(link) { "" } else { ", style=dotted" };
        let _ = writeln!(
            text,
            "  \"{a}\" -- \"{b}\" [taillabel=\"{tail}\", headlabel=\"{head}\"{style}];"
        );
    }
    text.push_str("}\n");
    text
}

fn numbers(graph: &Graph) -> HashMap<&str, usize> {
    let nodes = graph.nodes.iter().enumerate();
    nodes
        .map(|(number, node)| (node.id.as_str(), number))
        .collect()
}

/// Whether an end announces it.
fn is_sure(link: &Link) -> bool {
    link.confidence >= 0.8
}

fn caption(node: &Node) -> String {
    match node.addresses.first() {
        Some(address) if address.to_string() != node.name => format!("{} ({address})", node.name),
        _ => node.name.clone(),
    }
}

/// The interfaces of both ends.
pub(crate) fn label(link: &Link) -> String {
    let name = |interface: &Option<String>| interface.clone().unwrap_or_else(|| "?".to_owned());
    format!("{} - {}", name(&link.a.interface), name(&link.b.interface))
}

/// Text within quotes of Mermaid, which takes entities with `#` for what would end them.
fn mermaid_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '#' | '&' | '<' | '>' | '`' | ';' | '\\' => {
                let _ = write!(escaped, "#{};", u32::from(character));
            }
            _ if character.is_control() => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Text within quotes of DOT.
fn dot_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ if character.is_control() => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}
