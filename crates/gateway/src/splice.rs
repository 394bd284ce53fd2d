//! Changes single places of a JSON text and leaves every other byte as it was.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use protocol::json::Members;
use protocol::{Error, RequestParams};
use serde_json::Value;
use serde_json::value::RawValue;

/// Adds members to `params._meta` where the sender gave none of that name.
///
/// `params` must be borrowed from `text`; each default is a key and the JSON text of its
/// value. `_meta` is made where it is missing.
///
/// # Errors
/// [`Error::Params`] when `params` or `_meta` is not an object or names a key twice.
pub(crate) fn complete_meta(
    text: &str,
    params: &RawValue,
    defaults: &[(&str, Cow<'_, str>)],
) -> Result<Bytes, Error> {
    let members = RequestParams::parse(params)?;
    let meta = members.meta()?;
    let mut addition = String::new();
    for (key, value) in defaults {
        if meta.get(key).is_none() {
            let comma = if addition.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(addition, "{comma}{key:?}:{value}");
        }
    }
    if addition.is_empty() {
        return Ok(Bytes::copy_from_slice(text.as_bytes()));
    }
    let (object, is_empty) = if let Some(raw) = members.get("_meta") {
        (raw, meta.iter().next().is_none())
    } else {
        addition = format!(r#""_meta":{{{addition}}}"#);
        (params, members.iter().next().is_none())
    };
    if !is_empty {
        addition.push(',');
    }
    let at = offset(text, object.get()) + 1;
    let (head, tail) = text.split_at(at);
    Ok(Bytes::from([head, &addition, tail].concat()))
}

/// Gives members of `object`, which must be borrowed from `text`, these values, given as JSON
/// texts: in the place of the value that a member has, otherwise in front of the others.
///
/// # Errors
/// [`Error::NotJson`] when `object` is no object or names a key twice.
pub(crate) fn set_members(
    text: &str,
    object: &RawValue,
    values: &[(&str, &str)],
) -> Result<Bytes, Error> {
    let members = Members::parse(object.get())?;
    let mut addition = String::new();
    let mut edits: Vec<(usize, usize, &str)> = Vec::new();
    for (key, value) in values {
        if let Some(old) = members.get(key) {
            edits.push((offset(text, old.get()), old.get().len(), value));
        } else {
            let comma = if addition.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(addition, "{comma}{}:{value}", Value::from(*key));
        }
    }
    if !addition.is_empty() && members.iter().next().is_some() {
        addition.push(',');
    }
    edits.push((offset(text, object.get()) + 1, 0, &addition));
    edits.sort_unstable_by_key(|edit| edit.0);
    let mut edited = String::with_capacity(text.len() + addition.len());
    let mut done = 0;
    for (start, length, replacement) in edits {
        edited.push_str(&text[done..start]);
        edited.push_str(replacement);
        done = start + length;
    }
    edited.push_str(&text[done..]);
    Ok(Bytes::from(edited))
}

/// Removes members of `object`, which must be borrowed from `text`; `None` when it has
/// none of them and the text can stay as it is.
pub(crate) fn without_members(text: &str, object: &RawValue, keys: &[&str]) -> Option<Bytes> {
    let members = Members::parse(object.get()).ok()?;
    if !keys.iter().any(|key| members.get(key).is_some()) {
        return None;
    }
    let kept: Vec<String> = members
        .iter()
        .filter(|(key, _)| !keys.contains(key))
        .map(|(key, value)| format!("{}:{}", Value::from(key), value.get()))
        .collect();
    let start = offset(text, object.get());
    let head = &text[..start];
    let tail = &text[start + object.get().len()..];
    Some(Bytes::from(format!("{head}{{{}}}{tail}", kept.join(","))))
}

/// Where a slice begins in the text it was borrowed from.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::{Envelope, Kind};

    use super::*;

    fn completed(params: &str) -> String {
        let text = format!(r#" {{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}} "#);
        let envelope = Envelope::parse(text.as_bytes()).unwrap();
        let Kind::Request {
            params: Some(raw), ..
        } = envelope.kind
        else {
            panic!("a request")
        };
        let defaults = [("a/b", "1".into()), ("c", r#"{"x":1.0}"#.into())];
        let body = complete_meta(&text, raw, &defaults).unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn defaults_are_added_and_everything_else_is_kept() {
        let check = |params: &str, expected: &str| {
            let text = completed(params);
            assert_eq!(
                text,
                format!(r#" {{"jsonrpc":"2.0","id":1,"method":"m","params":{expected}}} "#)
            );
        };
        check("{}", r#"{"_meta":{"a/b":1,"c":{"x":1.0}}}"#);
        check(
            r#"{ "name":"n"}"#,
            r#"{"_meta":{"a/b":1,"c":{"x":1.0}}, "name":"n"}"#,
        );
        check(
            r#"{"n":1.0,"_meta": { "progressToken":7 }}"#,
            r#"{"n":1.0,"_meta": {"a/b":1,"c":{"x":1.0}, "progressToken":7 }}"#,
        );
        check(r#"{"_meta":{}}"#, r#"{"_meta":{"a/b":1,"c":{"x":1.0}}}"#);
        check(r#"{"_meta":{"c":null}}"#, r#"{"_meta":{"a/b":1,"c":null}}"#);
        check(
            r#"{"_meta":{"c":2,"a/b":3}}"#,
            r#"{"_meta":{"c":2,"a/b":3}}"#,
        );
    }

    #[test]
    fn metadata_that_is_no_object_is_refused() {
        for params in [
            r#"{"_meta":null}"#,
            r#"{"_meta":[]}"#,
            r#"{"_meta":{"a":1,"a":2}}"#,
        ] {
            let raw: Box<RawValue> = serde_json::from_str(params).unwrap();
            assert!(
                complete_meta(raw.get(), &raw, &[("k", "1".into())]).is_err(),
                "{params}"
            );
        }
    }

    #[test]
    fn members_are_removed_at_the_top_level_only() {
        let text = r#"{"id":1,"result":{"resultType":"complete","x":{"ttlMs":1.0},"ttlMs":5}}"#;
        let members = Members::parse(text).unwrap();
        let result = members.get("result").unwrap();
        let stripped = without_members(text, result, &["resultType", "ttlMs"]).unwrap();
        assert_eq!(stripped, r#"{"id":1,"result":{"x":{"ttlMs":1.0}}}"#);
        assert!(without_members(text, result, &["cacheScope"]).is_none());
    }

    #[test]
    fn members_are_replaced_in_their_place_and_new_ones_come_first() {
        let check = |object: &str, values: &[(&str, &str)], expected: &str| {
            let text = format!(r#"{{"id":1.0,"result": {object}}} "#);
            let members = Members::parse(&text).unwrap();
            let edited = set_members(&text, members.get("result").unwrap(), values).unwrap();
            assert_eq!(edited, format!(r#"{{"id":1.0,"result": {expected}}} "#));
        };
        check("{}", &[("a", "1"), ("b", "2")], r#"{"a":1,"b":2}"#);
        check("{}", &[], "{}");
        check(r#"{ "n":1.0 }"#, &[("a", "1")], r#"{"a":1, "n":1.0 }"#);
        check(
            r#"{"b" : "x", "n":1e3,"a":[ ]}"#,
            &[("a", "{}"), ("b", r#""longer""#), ("c", "3")],
            r#"{"c":3,"b" : "longer", "n":1e3,"a":{}}"#,
        );
        check(r#"{"a":{"a":1}}"#, &[("a", "2")], r#"{"a":2}"#);
        check(r#"{"\u0061":1}"#, &[("a", "2")], r#"{"\u0061":2}"#);
        let twice: Box<RawValue> = serde_json::from_str(r#"{"a":1,"a":2}"#).unwrap();
        assert!(set_members(twice.get(), &twice, &[("a", "3")]).is_err());
    }

    proptest! {
        #[test]
        fn a_completed_request_is_json_with_all_members(
            members in proptest::collection::btree_map("[a-z]{1,8}", "\\PC{0,20}", 0..5),
            meta in proptest::option::of(proptest::collection::btree_map("[a-z]{1,8}", any::<i64>(), 0..4)),
        ) {
            let mut params = serde_json::json!(members);
            if let Some(meta) = &meta {
                params["_meta"] = serde_json::json!(meta);
            }
            let text = completed(&params.to_string());
            let read: Value = serde_json::from_str(&text).unwrap();
            for (key, value) in &members {
                prop_assert_eq!(&read["params"][key], value);
            }
            prop_assert_eq!(&read["params"]["_meta"]["a/b"], 1);
            for (key, value) in meta.unwrap_or_default() {
                prop_assert_eq!(&read["params"]["_meta"][&key], value);
            }
        }
    }
}
