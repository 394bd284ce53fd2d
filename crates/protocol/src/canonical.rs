use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 128;

/// One spelling for all texts of a JSON value: keys in order, no spaces, one way to escape.
///
/// Numbers keep the spelling they have. As floating point two large integers could become one,
/// and a client that sends a request again writes its numbers as it did before.
///
/// `None` when an object names a key twice, a string is no Unicode, or the value is nested
/// deeper than 128 levels.
#[must_use]
pub fn canonical_json(value: &RawValue) -> Option<String> {
    let mut reader = Reader { rest: value.get() };
    let mut text = String::with_capacity(value.get().len());
    reader.value(MAX_DEPTH, &mut text)?;
    Some(text)
}

/// Walks a text that is known to be JSON.
struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize, out: &mut String) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.skip_space();
        match self.rest.as_bytes().first()? {
            b'{' => self.object(depth, out),
            b'[' => self.array(depth, out),
            b'"' => {
                out.push_str(&quoted(self.string()?));
                Some(())
            }
            _ => {
                out.push_str(self.scalar());
                Some(())
            }
        }
    }

    fn object(&mut self, depth: usize, out: &mut String) -> Option<()> {
        self.eat('{')?;
        let mut members = BTreeMap::new();
        while self.eat('}').is_none() {
            let key = self.string()?;
            self.eat(':')?;
            let mut value = String::new();
            self.value(depth, &mut value)?;
            if members.insert(key, value).is_some() {
                return None;
            }
            // Between the last member and the end there is no comma.
            let _ = self.eat(',');
        }
        out.push('{');
        for (index, (key, value)) in members.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(&quoted(key));
            out.push(':');
            out.push_str(&value);
        }
        out.push('}');
        Some(())
    }

    fn array(&mut self, depth: usize, out: &mut String) -> Option<()> {
        self.eat('[')?;
        out.push('[');
        let mut is_first = true;
        while self.eat(']').is_none() {
            if !is_first {
                out.push(',');
            }
            is_first = false;
            self.value(depth, out)?;
            let _ = self.eat(',');
        }
        out.push(']');
        Some(())
    }

    fn string(&mut self) -> Option<String> {
        self.skip_space();
        let bytes = self.rest.as_bytes();
        let mut end = 1;
        loop {
            match bytes.get(end)? {
                b'\\' => end += 2,
                b'"' => break,
                _ => end += 1,
            }
        }
        let (text, rest) = self.rest.split_at_checked(end + 1)?;
        self.rest = rest;
        serde_json::from_str(text).ok()
    }

    /// A number, true, false or null.
    fn scalar(&mut self) -> &str {
        let end = self.rest.find([',', ']', '}', ' ', '\t', '\r', '\n']);
        let (text, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        text
    }

    fn eat(&mut self, expected: char) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }
}

fn quoted(text: String) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> Option<String> {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        canonical_json(&raw)
    }

    #[test]
    fn order_space_and_escapes_do_not_matter() {
        let check = |left: &str, right: &str| assert_eq!(of(left), of(right), "{left} {right}");
        check(
            r#"{"a":1,"b":[1,{"d":2,"c":3}]}"#,
            "{ \"b\" : [ 1 ,\n{\"c\":3, \"d\":2} ],\t\"a\":1 }",
        );
        check(r#"{"\u0061b":"\u00e4\/"}"#, r#"{"ab":"ä/"}"#);
        check("{}", " { } ");
        assert_eq!(of(r#"{"b":[ ],"a":null}"#).unwrap(), r#"{"a":null,"b":[]}"#);
    }

    #[test]
    fn what_differs_stays_different() {
        for (left, right) in [
            ("1", "1.0"),
            ("12345678901234567890123", "12345678901234567890124"),
            ("[1,2]", "[2,1]"),
            (r#"{"a":"1"}"#, r#"{"a":1}"#),
            (r#"{"a,b":1}"#, r#"{"a":1}"#),
            (r#""}""#, r#""]""#),
            ("[[]]", "[]"),
        ] {
            assert_ne!(of(left).unwrap(), of(right).unwrap());
        }
    }

    #[test]
    fn what_has_two_meanings_or_no_end_has_no_canonical_form() {
        assert_eq!(of(r#"{"a":{"b":1,"\u0062":2}}"#), None);
        assert_eq!(of(r#""\ud800""#), None);
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let raw = RawValue::from_string(deep);
        assert!(raw.is_err() || canonical_json(&raw.unwrap()).is_none());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::hash_map("\\PC{0,4}", inner, 0..5)
                    .prop_map(|members| json!(members)),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_meaning_is_kept_and_the_form_is_final(value in any_json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let text = of(&pretty).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
            prop_assert_eq!(&of(&text).unwrap(), &text);
            prop_assert_eq!(of(&value.to_string()).unwrap(), text);
        }
    }
}
