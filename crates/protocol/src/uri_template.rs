use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::Error;

/// A URI template of RFC 6570, level 1 with reserved expansion: `{name}` and `{+name}`.
///
/// What other operators expand to cannot be read back without doubt, so they are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriTemplate {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Variable {
        name: String,
        /// Written with `+`: the value may hold `/`, `?` and `#`.
        is_reserved: bool,
    },
}

impl UriTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`Error::UriTemplate`] when a brace has no partner, an expression is neither `{name}`
    /// nor `{+name}`, a variable comes twice, two variables stand side by side, or a
    /// character is one that no URI has.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parts(text)
            .map(|parts| Self {
                text: text.to_owned(),
                parts,
            })
            .map_err(|why| Error::UriTemplate {
                template: text.to_owned(),
                why,
            })
    }

    /// The template as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the variables, in their order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Variable { name, .. } => Some(name.as_str()),
        })
    }

    /// The values with which the template gives this URI, percent-decoded; `None` when no
    /// values do.
    ///
    /// A value has at least one character; that of `{name}` holds none of `/`, `?` and `#`
    /// before it is decoded. Where several readings are possible, earlier values are the
    /// shortest. Takes time proportional to the length of the URI times the parts of the
    /// template, whatever the URI is.
    #[must_use]
    pub fn matches(&self, uri: &str) -> Option<BTreeMap<String, String>> {
        // Most templates differ from the URI in the beginning, which costs nothing to see.
        if let Some(Part::Literal(first)) = self.parts.first()
            && !uri.starts_with(first.as_str())
        {
            return None;
        }
        let fits = self.fits(uri.as_bytes());
        let mut position = 0;
        fits[0][0].then_some(())?;
        let mut values = BTreeMap::new();
        for (part, rest_fits) in self.parts.iter().zip(&fits[1..]) {
            match part {
                Part::Literal(literal) => position += literal.len(),
                Part::Variable { name, .. } => {
                    let end = (position + 1..=uri.len()).find(|end| rest_fits[*end])?;
                    let value = percent_decode_str(uri.get(position..end)?);
                    let value = value.decode_utf8().ok()?.into_owned();
                    values.insert(name.clone(), value);
                    position = end;
                }
            }
        }
        Some(values)
    }

    /// For each part and each position of the URI, whether the part and all after it can
    /// begin there; worked out from the end, so that nothing is tried twice.
    fn fits(&self, uri: &[u8]) -> Vec<Vec<bool>> {
        let mut at_end = vec![false; uri.len() + 1];
        at_end[uri.len()] = true;
        let mut rows = vec![at_end];
        for part in self.parts.iter().rev() {
            let rest = &rows[rows.len() - 1];
            let mut row = vec![false; uri.len() + 1];
            for position in (0..uri.len()).rev() {
                row[position] = match part {
                    Part::Literal(literal) => {
                        uri[position..].starts_with(literal.as_bytes())
                            && rest[position + literal.len()]
                    }
                    Part::Variable { is_reserved, .. } => {
                        (*is_reserved || !b"/?#".contains(&uri[position]))
                            && (rest[position + 1] || row[position + 1])
                    }
                };
            }
            rows.push(row);
        }
        rows.reverse();
        rows
    }
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut names = BTreeSet::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        if !literal.is_empty() {
            check_literal(literal)?;
            parts.push(Part::Literal(literal.to_owned()));
        }
        let Some(expression) = after.strip_prefix('{') else {
            break;
        };
        let (expression, after) = expression
            .split_once('}')
            .ok_or_else(|| "an opening brace has no closing one".to_owned())?;
        if let Some(Part::Variable { name, .. }) = parts.last() {
            return Err(format!(
                "nothing stands between {{{name}}} and {{{expression}}}, so that nobody could \
                 tell their values apart"
            ));
        }
        let (name, is_reserved) = variable(expression)?;
        if !names.insert(name) {
            return Err(format!("variable {name} comes twice"));
        }
        parts.push(Part::Variable {
            name: name.to_owned(),
            is_reserved,
        });
        rest = after;
    }
    Ok(parts)
}

/// The name of a variable, and whether it may hold reserved characters.
fn variable(expression: &str) -> Result<(&str, bool), String> {
    let (name, is_reserved) = match expression.strip_prefix('+') {
        Some(name) => (name, true),
        None => (expression, false),
    };
    // RFC 6570 section 2.3; its percent-encoded names are of no use here.
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if name.split('.').all(is_word) {
        Ok((name, is_reserved))
    } else {
        Err(format!(
            "expression {{{expression}}} is neither {{name}} nor {{+name}} with a name of \
             letters, digits, underscores and dots between them; other operators, lists and \
             modifiers are not supported"
        ))
    }
}

/// RFC 6570 section 2.1: what may stand outside of expressions.
fn check_literal(literal: &str) -> Result<(), String> {
    let is_bad = |character: char| {
        character.is_control() || character == ' ' || "\"<>\\^`{|}".contains(character)
    };
    match literal.chars().find(|character| is_bad(*character)) {
        None => Ok(()),
        Some('}') => Err("a closing brace has no opening one".to_owned()),
        Some(bad) => Err(format!("a URI has no character {bad:?}; percent-encode it")),
    }
}

impl FromStr for UriTemplate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for UriTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(template: &str, uri: &str, expected: Option<&[(&str, &str)]>) {
        let expected = expected.map(|values| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            values.iter().map(owned).collect::<BTreeMap<_, _>>()
        });
        let template = UriTemplate::parse(template).unwrap();
        assert_eq!(template.matches(uri), expected, "{template} of {uri}");
    }

    #[test]
    fn values_are_read_back_from_the_uri() {
        check("test://a", "test://a", Some(&[]));
        check("test://{id}/data", "test://7/data", Some(&[("id", "7")]));
        check("test://{id}", "test://a%20b%2Fc", Some(&[("id", "a b/c")]));
        check(
            "file:///{+path}",
            "file:///a/b?c",
            Some(&[("path", "a/b?c")]),
        );
        let both = [("dir", "a/b"), ("file", "c")];
        check("x:{+dir}/{file}", "x:a/b/c", Some(&both));
        check("x:{a}.{b}", "x:1.2.3", Some(&[("a", "1"), ("b", "2.3")]));
        check("x:{a.b_1}é", "x:%C3%A9é", Some(&[("a.b_1", "é")]));
    }

    #[test]
    fn a_uri_of_another_form_does_not_match() {
        for (template, uri) in [
            ("test://a", "test://b"),
            ("test://a", "test://a/"),
            ("test://a", ""),
            ("test://{id}/data", "test:///data"),
            ("test://{id}/data", "test://1/2/data"),
            ("test://{id}/data", "test://1/data/"),
            ("test://{id}", "test://1?x"),
            ("test://{id}", "test://1#x"),
            ("test://{id}", "test://%FF"),
            ("test://{id}", "TEST://1"),
        ] {
            check(template, uri, None);
        }
    }

    #[test]
    fn a_template_that_cannot_be_read_back_is_refused_with_why() {
        for (template, part) in [
            ("", "empty"),
            ("x:{", "no closing"),
            ("x:}", "no opening"),
            ("x:{}", "neither"),
            ("x:{#a}", "neither"),
            ("x:{?a}", "neither"),
            ("x:{a,b}", "neither"),
            ("x:{a*}", "neither"),
            ("x:{a:3}", "neither"),
            ("x:{.a}", "neither"),
            ("x:{a}{b}", "between {a} and {b}"),
            ("x:{a}/{a}", "twice"),
            ("x: {a}", "' '"),
            ("x:\n{a}", "'\\n'"),
        ] {
            let error = UriTemplate::parse(template).unwrap_err().to_string();
            assert!(error.contains(part), "{template} gave {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(template in "\\PC{0,30}", uri in "\\PC{0,60}") {
            if let Ok(template) = UriTemplate::parse(&template) {
                let _ = template.matches(&uri);
            }
        }

        #[test]
        fn what_was_put_in_comes_out(id in "[a-z0-9._~-]{1,9}", path in "[a-z/]{1,20}") {
            let template = UriTemplate::parse("x:{id}/of/{+path}").unwrap();
            let values = template.matches(&format!("x:{id}/of/{path}")).unwrap();
            prop_assert_eq!(&values["id"], &id);
            prop_assert_eq!(&values["path"], &path);
        }
    }

    #[test]
    fn a_long_uri_takes_no_long_time() {
        let template = UriTemplate::parse("x:{+a}/{+b}/{+c}/{+d}/{+e}!").unwrap();
        assert_eq!(
            template.matches(&format!("x:{}", "/".repeat(100_000))),
            None
        );
    }
}
