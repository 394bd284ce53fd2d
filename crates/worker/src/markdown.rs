//! The short text that accompanies a structured result.

use std::fmt::Write as _;

/// Rows that a summary shows; the structured result holds them all.
const SHOWN: usize = 20;

/// A Markdown table of the first 20 rows, and a line that says how many there are besides;
/// nothing where there is no row.
///
/// Cells come from the network, so what could break out of a cell is escaped.
pub fn table<T, const N: usize>(
    columns: [&str; N],
    items: &[T],
    row: impl Fn(&T) -> [String; N],
) -> String {
    table_of(&columns, items, |item| row(item).into())
}

/// [`table`] whose columns are known only when it is made.
pub fn table_of<T>(columns: &[&str], items: &[T], row: impl Fn(&T) -> Vec<String>) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut text = line(columns.iter().map(|column| plain(column)));
    text.push_str(&line(columns.iter().map(|_| "---".to_owned())));
    for item in items.iter().take(SHOWN) {
        text.push_str(&line(row(item).iter().map(|cell| plain(cell))));
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

/// What to add where a page is not the last one.
#[must_use]
pub fn more(next_cursor: Option<&String>) -> &'static str {
    if next_cursor.is_some() {
        "\nThere are more: call again with `cursor` set to `nextCursor`.\n"
    } else {
        ""
    }
}

/// Text on one line without what Markdown would read as markup.
#[must_use]
pub fn plain(text: &str) -> String {
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

/// `1 route`, `2 routes`.
#[must_use]
pub fn count(n_items: usize, what: &str) -> String {
    let plural = if n_items == 1 { "" } else { "s" };
    format!("{n_items} {what}{plural}")
}

/// The value, or a dash where there is none.
#[must_use]
pub fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), T::to_string)
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
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

    #[test]
    fn a_long_table_says_how_many_rows_it_leaves_out() {
        let text = table(["n"], &[0_u8; 23], |n| [n.to_string()]);
        assert_eq!(
            text.lines().filter(|line| line.contains("| 0 |")).count(),
            20
        );
        assert!(text.contains("3 more"), "{text}");
    }

    #[test]
    fn no_rows_are_no_table() {
        assert_eq!(table(["n"], &[0_u8; 0], |n| [n.to_string()]), "");
    }
}
