use service::ExitError;

use super::Letter;
use crate::arguments::{Filter, Which};
use crate::output::harmless;

/// Fewest characters of an ID that a list shows.
const SHORTEST: usize = 8;

/// The letters that a command names, in the order of the queue.
pub(super) fn choose<'a>(
    letters: &'a [Letter],
    which: &Which,
) -> Result<Vec<&'a Letter>, ExitError> {
    let mut chosen: Vec<&Letter> = Vec::new();
    for id in &which.ids {
        let letter = find(letters, id)?;
        if !chosen.iter().any(|other| other.id() == letter.id()) {
            chosen.push(letter);
        }
    }
    if which.all {
        chosen.extend(letters);
    }
    chosen.retain(|letter| passes(letter, &which.filter));
    Ok(chosen)
}

/// The letter of an ID, or of what only its ID begins with.
pub(super) fn find<'a>(letters: &'a [Letter], id: &str) -> Result<&'a Letter, ExitError> {
    if let Some(letter) = letters
        .iter()
        .find(|letter| letter.id() == id && !id.is_empty())
    {
        return Ok(letter);
    }
    let begins = |letter: &&Letter| !id.is_empty() && letter.id().starts_with(id);
    let mut found = letters.iter().filter(begins);
    match (found.next(), found.next()) {
        (Some(letter), None) => Ok(letter),
        (None, _) => {
            let error = format!("there is no dead letter {id:?}");
            Err(ExitError::usage(error).hint("discovery dead list shows those that there are"))
        }
        (Some(one), Some(other)) => {
            let error = format!("more than one dead letter begins with {id:?}");
            let (one, other) = (harmless(one.id()), harmless(other.id()));
            let hint = format!("write more of it: {one}, {other}, …");
            Err(ExitError::usage(error).hint(hint))
        }
    }
}

/// Whether a letter is of those that a command is about.
pub(super) fn passes(letter: &Letter, filter: &Filter) -> bool {
    use protocol::headers::dead::{FIRST_ERROR, LAST_ERROR, REASON};
    let says = |text: &String| {
        let parts = [REASON, FIRST_ERROR, LAST_ERROR];
        let mut parts = parts.iter().filter_map(|header| letter.text(header));
        parts.any(|part| part.contains(text.as_str()))
    };
    filter
        .category
        .as_ref()
        .is_none_or(|category| letter.category() == category)
        && filter.reason.as_ref().is_none_or(says)
}

/// How many characters tell every ID from every other one.
pub(super) fn telling(letters: &[Letter]) -> usize {
    let mut ids: Vec<&str> = letters.iter().map(Letter::id).collect();
    ids.sort_unstable();
    let common = |pair: &[&str]| {
        let (one, other) = (pair[0].chars(), pair[1].chars());
        one.zip(other).take_while(|(a, b)| a == b).count()
    };
    let longest = ids.windows(2).map(common).max().unwrap_or(0);
    (longest + 1).max(SHORTEST)
}

#[cfg(test)]
mod tests {
    use bus::{Headers, Message};
    use protocol::headers::dead;

    use super::*;

    fn letters() -> Vec<Letter> {
        let letter = |id: &str, category: &str, error: &str| {
            Letter::of(Message {
                message_id: Some(id.to_owned()),
                headers: Headers::default()
                    .with(dead::CATEGORY, category)
                    .with(dead::REASON, "handed out too often")
                    .with(dead::LAST_ERROR, error),
                ..Message::default()
            })
        };
        vec![
            letter("0123456789-a", "network", "it burns"),
            letter("0123456789-b", "snmp", "it smokes"),
            letter("0123", "snmp", "it burns"),
            letter("other", "network", "it smokes"),
            letter("", "network", "it burns"),
        ]
    }

    fn check(ids: &[&str], all: bool, filter: (Option<&str>, Option<&str>), expected: &[&str]) {
        let which = Which {
            ids: ids.iter().map(ToString::to_string).collect(),
            all,
            yes: true,
            filter: Filter {
                category: filter.0.map(str::to_owned),
                reason: filter.1.map(str::to_owned),
            },
        };
        let letters = letters();
        let chosen: Vec<&str> = choose(&letters, &which)
            .unwrap()
            .into_iter()
            .map(Letter::id)
            .collect();
        assert_eq!(chosen, expected);
    }

    #[test]
    fn letters_are_chosen_by_id_and_by_what_they_say() {
        let all = (None, None);
        check(&["0123456789-a"], false, all, &["0123456789-a"]);
        check(&["o", "other", "0123"], false, all, &["other", "0123"]);
        check(&[], true, (Some("snmp"), None), &["0123456789-b", "0123"]);
        check(
            &[],
            true,
            (None, Some("smokes")),
            &["0123456789-b", "other"],
        );
        check(&[], true, (Some("snmp"), Some("burns")), &["0123"]);
        check(
            &[],
            true,
            (None, Some("too often")),
            &["0123456789-a", "0123456789-b", "0123", "other", ""],
        );
        check(&[], true, (Some("nothing"), None), &[]);
    }

    #[test]
    fn an_id_that_names_none_or_several_is_refused() {
        for (id, part) in [
            ("012", "more than one"),
            ("x", "no dead letter"),
            ("", "no dead"),
        ] {
            let error = find(&letters(), id).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.code(), 64);
        }
    }

    #[test]
    fn a_list_shows_as_much_as_tells_ids_apart() {
        assert_eq!(telling(&letters()), "0123456789-a".len());
        assert_eq!(telling(&letters()[3..]), SHORTEST);
        assert_eq!(telling(&[]), SHORTEST);
    }
}
