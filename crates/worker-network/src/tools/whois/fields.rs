//! The `key: value` lines that nearly all registries answer with.

/// Longest key; what is longer is a sentence with a colon.
const MAX_KEY: usize = 50;

/// The fields of an answer in their order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a [Field]);

/// One line, or one line of the block below a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// In lower case.
    pub(super) key: String,
    pub(super) value: String,
}

/// Reads an answer. Comments and prose are left out.
///
/// Read are `key: value`, `key.......: value`, `[Key] value` and, under a key without a value,
/// the lines of its block up to the next blank line.
pub(super) fn read(text: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            block = None;
            continue;
        }
        // Registries put their terms of use behind these.
        if trimmed.starts_with(['%', '#']) || trimmed.starts_with(">>>") {
            continue;
        }
        match split(trimmed) {
            Some((key, "")) => block = Some(key),
            Some((key, value)) => {
                let value = value.to_owned();
                fields.push(Field { key, value });
            }
            None => {
                if let Some(key) = block.clone() {
                    let value = trimmed.to_owned();
                    fields.push(Field { key, value });
                }
            }
        }
    }
    fields
}

fn split(line: &str) -> Option<(String, &str)> {
    let (key, value) = match bracketed(line) {
        Some(parts) => parts,
        None => colon(line)?,
    };
    let key = key.trim_matches(['.', '*', ' ', '\t']);
    let is_key = !key.is_empty() && key.len() <= MAX_KEY && key.chars().any(char::is_alphabetic);
    is_key.then(|| (key.to_ascii_lowercase(), value.trim()))
}

/// A colon that a blank or the end follows, so that neither addresses nor URLs are split.
fn colon(line: &str) -> Option<(&str, &str)> {
    line.match_indices(':').find_map(|(position, _)| {
        let (key, value) = (&line[..position], &line[position + 1..]);
        (value.is_empty() || value.starts_with([' ', '\t'])).then_some((key, value))
    })
}

/// `[Key] value`, with a letter in front where the registry numbers its lines.
fn bracketed(line: &str) -> Option<(&str, &str)> {
    let line = match line.split_once(". ") {
        Some((letter, rest)) if letter.len() == 1 => rest,
        _ => line,
    };
    line.strip_prefix('[')?.split_once(']')
}

impl<'a> Fields<'a> {
    pub(super) fn new(fields: &'a [Field]) -> Self {
        Self(fields)
    }

    /// The first value of the first of these keys that has one.
    pub(super) fn first(&self, keys: &[&str]) -> Option<String> {
        keys.iter().find_map(|key| {
            let field = self.0.iter().find(|field| field.key == *key)?;
            Some(field.value.clone())
        })
    }

    /// All values of these keys, in the order of the answer.
    pub(super) fn all(&self, keys: &[&str]) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |field| keys.contains(&field.key.as_str()))
            .map(|field| field.value.as_str())
    }

    /// The stretches of fields that begin with one of these keys, up to the next such key.
    pub(super) fn objects(&self, keys: &[&str]) -> Vec<Fields<'a>> {
        let starts: Vec<usize> = (0..self.0.len())
            .filter(|&position| keys.contains(&self.0[position].key.as_str()))
            .collect();
        let ends = starts.iter().skip(1).copied().chain([self.0.len()]);
        starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| Fields(&self.0[start..end]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let fields = read(text);
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|field| (field.key.as_str(), field.value.as_str()))
            .collect();
        assert_eq!(fields, expected, "{text}");
    }

    #[test]
    fn the_styles_of_registries_are_read() {
        check(
            "   Domain Name: EXAMPLE.COM\n   Registrar URL: http://a.example:80/x\n",
            &[
                ("domain name", "EXAMPLE.COM"),
                ("registrar url", "http://a.example:80/x"),
            ],
        );
        check(
            "inetnum:        192.0.2.0 - 192.0.2.255",
            &[("inetnum", "192.0.2.0 - 192.0.2.255")],
        );
        check(
            "** Domain Name: example.tr",
            &[("domain name", "example.tr")],
        );
        check(
            "created............: 1.1.1991 00:00:00",
            &[("created", "1.1.1991 00:00:00")],
        );
        check(
            "Domain Name                 : example.kr",
            &[("domain name", "example.kr")],
        );
        check(
            "a. [Domain Name]                EXAMPLE.JP",
            &[("domain name", "EXAMPLE.JP")],
        );
        check(
            "[Status]                        Active",
            &[("status", "Active")],
        );
    }

    #[test]
    fn a_block_belongs_to_the_key_above_it() {
        check(
            "    Registrar:\n        Example Ltd\n        URL: https://r.example\n\n    Name servers:\n        ns1.example 2001:db8::1\n        ns2.example\n\n    prose\n",
            &[
                ("registrar", "Example Ltd"),
                ("url", "https://r.example"),
                ("name servers", "ns1.example 2001:db8::1"),
                ("name servers", "ns2.example"),
            ],
        );
    }

    #[test]
    fn comments_and_prose_are_left_out() {
        check(
            "% note: x\n# a: b\n>>> Last update: now <<<\njust words\n12: 30\n",
            &[],
        );
        let sentence = format!("{}: x", "word ".repeat(20));
        check(&sentence, &[]);
    }

    proptest! {
        #[test]
        fn any_answer_can_be_read(text in "[ \\t\\n\\[\\]:.a-zé%-]{0,200}") {
            for field in read(&text) {
                prop_assert!(!field.key.is_empty() && field.key.len() <= MAX_KEY);
                prop_assert!(!field.value.is_empty() && !field.value.contains('\n'));
            }
        }
    }
}
