//! The short text that accompanies a structured result. What devices say may be long.

pub(crate) use worker::markdown::{count, more, or_dash, plain};

/// Characters of a cell that a summary shows.
const CELL: usize = 120;

/// A Markdown table of the first rows, as all workers write it, with cells cut short.
pub(crate) fn table<T>(columns: &[&str], items: &[T], row: impl Fn(&T) -> Vec<String>) -> String {
    let cut = |item: &T| row(item).iter().map(|cell| short(cell)).collect();
    worker::markdown::table_of(columns, items, cut)
}

/// Notes as a list, with a line before it.
pub(crate) fn notes(title: &str, notes: &[String]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    notes.iter().fold(format!("\n{title}\n"), |text, note| {
        format!("{text}- {}\n", plain(&short(note)))
    })
}

fn short(cell: &str) -> String {
    let mut short: String = cell.chars().take(CELL).collect();
    if short.len() < cell.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cell_is_cut() {
        let text = table(&["n"], &["é".repeat(500)], |cell| vec![cell.clone()]);
        assert!(text.chars().count() < 200, "{text}");
    }
}
