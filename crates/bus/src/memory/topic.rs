/// AMQP 0-9-1 section 3.1.3.3: `*` matches one word, `#` matches zero or more words.
pub(super) fn matches(pattern: &str, routing_key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let key: Vec<&str> = routing_key.split('.').collect();
    words_match(&pattern, &key)
}

fn words_match(pattern: &[&str], key: &[&str]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((&"#", rest)) => (0..=key.len()).any(|taken| words_match(rest, &key[taken..])),
        Some((&word, rest)) => key.split_first().is_some_and(|(&first, others)| {
            (word == "*" || word == first) && words_match(rest, others)
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_wildcards_match_as_the_specification_says() {
        for (pattern, key, expected) in [
            ("a.tools.network.#", "a.tools.network.ping", true),
            ("a.tools.network.#", "a.tools.network", true),
            ("a.tools.network.#", "a.tools.networks.ping", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.c", false),
            ("#", "", true),
            ("#.c", "a.b.c", true),
            ("a.#.c", "a.c", true),
        ] {
            assert_eq!(matches(pattern, key), expected, "{pattern} {key}");
        }
    }

    proptest! {
        #[test]
        fn a_literal_pattern_matches_only_itself(a in "[a-c]{1,2}(\\.[a-c]{1,2}){0,3}", b in "[a-c]{1,2}(\\.[a-c]{1,2}){0,3}") {
            prop_assert!(matches(&a, &a));
            prop_assert_eq!(matches(&a, &b), a == b);
            let (both, head, tail) = (format!("{a}.{b}"), format!("{a}.#"), format!("#.{b}"));
            prop_assert!(matches(&head, &both) && matches(&tail, &both));
        }
    }
}
