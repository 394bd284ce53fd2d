use std::fmt::Write as _;

use protocol::headers::dead;
use serde_json::Value;
use service::ExitError;

use super::{Letter, count, selection};
use crate::arguments::Filter;
use crate::output::{harmless, print};

/// Most characters of an error in the list; `show` has all of it.
const ERROR_WIDTH: usize = 60;
/// Most characters of what was called.
const NAME_WIDTH: usize = 32;
/// Seconds are enough in a list.
const TIME_WIDTH: usize = "2026-01-31T12:00:00".len();

const HEAD: [&str; 6] = [
    "ID",
    "TIME (UTC)",
    "CATEGORY",
    "CALL",
    "TAKEN",
    "LAST ERROR",
];

/// Prints the letters, one line each.
pub(super) fn run(letters: &[Letter], filter: &Filter, json: bool) -> Result<(), ExitError> {
    let width = selection::telling(letters);
    let listed: Vec<&Letter> = letters
        .iter()
        .filter(|letter| selection::passes(letter, filter))
        .collect();
    if json {
        let listed: Vec<Value> = listed.into_iter().map(Letter::json).collect();
        return print(&format!("{:#}\n", Value::from(listed)));
    }
    if listed.is_empty() {
        let what = if letters.is_empty() {
            "There are no dead letters."
        } else {
            "No dead letter is like that."
        };
        return print(&format!("{what}\n"));
    }
    let n_letters = count(listed.len());
    let rows: Vec<[String; 6]> = listed.iter().map(|letter| row(letter, width)).collect();
    print(&format!(
        "{}\n{n_letters}; discovery dead show ID tells all of one\n",
        table(&rows)
    ))
}

fn row(letter: &Letter, width: usize) -> [String; 6] {
    let time: String = letter
        .time()
        .unwrap_or_default()
        .chars()
        .take(TIME_WIDTH)
        .collect();
    let deliveries = letter.int(dead::DELIVERIES);
    [
        letter.id().chars().take(width).collect(),
        time.replace('T', " "),
        letter.category().to_owned(),
        cut(letter.name(), NAME_WIDTH),
        deliveries.map_or_else(String::new, |number| number.to_string()),
        cut(
            letter.text(dead::LAST_ERROR).unwrap_or_default(),
            ERROR_WIDTH,
        ),
    ]
    .map(|text| cell(&text))
}

/// One line, harmless, and a dash where there is nothing.
fn cell(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    harmless(text).replace(['\n', '\t'], " ")
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width - 1).collect();
    short.push('…');
    short
}

/// Columns as wide as their widest cell.
fn table(rows: &[[String; 6]]) -> String {
    let head = HEAD.map(str::to_owned);
    let mut widths = [0; 6];
    for row in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in [&head].into_iter().chain(rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use bus::{Headers, Message};
    use protocol::headers;

    use super::*;

    #[test]
    fn the_list_is_a_table_that_no_letter_can_break() {
        let evil = Letter::of(Message {
            message_id: Some("\x1b[2J".to_owned()),
            headers: Headers::default()
                .with(headers::NAME, "a\nb\tc")
                .with(dead::LAST_ERROR, "ä".repeat(70)),
            ..Message::default()
        });
        let plain = Letter::of(Message {
            message_id: Some("01a1fbf2-1cce-71cb".to_owned()),
            headers: Headers::default()
                .with(dead::TIME, 1_769_860_800_123_i64)
                .with(dead::CATEGORY, "network")
                .with(headers::NAME, "ping")
                .with(dead::DELIVERIES, 5_i64)
                .with(dead::LAST_ERROR, "it burns"),
            ..Message::default()
        });
        let rows = [row(&plain, 8), row(&evil, 8)];
        let expected = format!(
            "ID         TIME (UTC)           CATEGORY  CALL   TAKEN  LAST ERROR\n\
             01a1fbf2   2026-01-31 12:00:00  network   ping   5      it burns\n\
             \\u{{1b}}[2J  -                    -         a b c  -      {}…\n",
            "ä".repeat(59)
        );
        assert_eq!(table(&rows), expected);
    }
}
