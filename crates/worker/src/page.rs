use protocol::ToolError;
use schemars::JsonSchema;
use serde::Deserialize;

/// Items of a page whose caller names no limit.
const DEFAULT_LIMIT: u32 = 100;
/// Beginning of every cursor, so that a number made up by a caller is none.
const CURSOR: &str = "from-";

/// Which part of a long list a caller wants; flattened into the arguments of list tools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Page {
    /// At most this many items.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 1000), with = "u32")]
    pub limit: Option<u32>,
    /// `nextCursor` of the page before; the first page has none.
    #[schemars(length(max = 64))]
    pub cursor: Option<String>,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "serde and the schema take the field's default from here"
)]
fn default_limit() -> Option<u32> {
    Some(DEFAULT_LIMIT)
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paged<T> {
    /// The items, in the order of the list.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last page.
    pub next_cursor: Option<String>,
    /// Whether items follow that are not in this page.
    pub truncated: bool,
}

/// Cuts the page that the caller asked for out of the whole list.
///
/// The list must have the same order in every call. Items that appear or go between two
/// calls shift the pages after them.
///
/// # Errors
/// `invalid_arguments` when the limit is not 1 to 1000 or the cursor is not one of ours.
pub fn paginate<T>(page: &Page, items: Vec<T>) -> Result<Paged<T>, ToolError> {
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=1000).contains(&limit) {
        let message = format!("argument limit is {limit}; allowed: 1 to 1000");
        return Err(ToolError::invalid(message));
    }
    let limit = limit as usize;
    let start = match page.cursor.as_deref() {
        None => 0,
        Some(cursor) => start_of(cursor)?,
    };
    let end = start.saturating_add(limit);
    let truncated = end < items.len();
    Ok(Paged {
        items: items.into_iter().skip(start).take(limit).collect(),
        next_cursor: truncated.then(|| format!("{CURSOR}{end}")),
        truncated,
    })
}

fn start_of(cursor: &str) -> Result<usize, ToolError> {
    let digits = cursor
        .strip_prefix(CURSOR)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            ToolError::invalid(format!(
                "argument cursor is {cursor:?}, which no page ended with"
            ))
            .hint("take nextCursor of the page before, or leave cursor out for the first page")
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(limit: u32, cursor: Option<&str>) -> Page {
        Page {
            limit: Some(limit),
            cursor: cursor.map(str::to_owned),
        }
    }

    #[test]
    fn the_default_page_has_a_hundred_items() {
        let paged = paginate(&Page::default(), (0..250).collect()).unwrap();
        assert_eq!(paged.items.len(), 100);
        assert!(paged.truncated);
    }

    #[test]
    fn a_cursor_of_nobody_is_refused() {
        for cursor in [
            "",
            "100",
            "from-",
            "from--1",
            "from-x",
            "from-99999999999999999999",
        ] {
            assert!(
                paginate(&page(1, Some(cursor)), vec![1]).is_err(),
                "{cursor}"
            );
        }
        assert!(paginate(&page(0, None), vec![1]).is_err());
        assert!(paginate(&page(1001, None), vec![1]).is_err());
    }

    #[test]
    fn a_cursor_beyond_a_list_that_shrank_gives_an_empty_last_page() {
        let paged = paginate(&page(10, Some("from-50")), vec![1, 2]).unwrap();
        assert_eq!(
            (paged.items.len(), paged.next_cursor, paged.truncated),
            (0, None, false)
        );
    }

    proptest! {
        #[test]
        fn the_pages_together_are_the_list(n_items in 0usize..300, limit in 1u32..=50) {
            let list: Vec<usize> = (0..n_items).collect();
            let mut seen = Vec::new();
            let mut cursor = None;
            loop {
                let paged = paginate(&page(limit, cursor.as_deref()), list.clone()).unwrap();
                prop_assert_eq!(paged.truncated, paged.next_cursor.is_some());
                seen.extend(paged.items);
                cursor = paged.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            prop_assert_eq!(seen, list);
        }
    }
}
