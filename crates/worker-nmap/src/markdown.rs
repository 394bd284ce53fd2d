//! The short text that accompanies a structured result.

use std::fmt::Write as _;

/// Rows that a summary shows; the structured result holds them all.
const SHOWN: usize = 20;

/// A Markdown table of the first rows, and a line that says how many there are besides.
///
/// Cells come from the network, so what could break out of a cell is escaped.
pub(crate) fn table<T, const N: usize>(
    columns: [&str; N],
    items: &[T],
    row: impl Fn(&T) -> [String; N],
) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut text = line(&columns.map(str::to_owned));
    text.push_str(&line(&[const { "---" }; N].map(str::to_owned)));
    for item in items.iter().take(SHOWN) {
        text.push_str(&line(&row(item).map(|cell| plain(&cell))));
    }
    if items.len() > SHOWN {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\n… and {} more in the structured result.",
            items.len() - SHOWN
        );
    }
    text
}

/// Text on one line without what Markdown would read as markup.
pub(crate) fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '`' | '<' | '>' | '[' | ']' | '*' | '\\' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ if character.is_control() => {
                let _ = write!(escaped, "{}", character.escape_default());
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// The value, or a dash where there is none.
pub(crate) fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), T::to_string)
}

fn line<const N: usize>(cells: &[String; N]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_break_out_of_its_table() {
        let text = table(["a"], &["x|y\n# z `"], |cell| [(*cell).to_owned()]);
        assert_eq!(text, "| a |\n| --- |\n| x\\|y\\n# z \\` |\n");
    }
}
