//! Reading JSON without losing or repairing anything.
//!
//! Values are borrowed as raw text, so what is passed on is passed on byte for byte.
//! An object that names a key twice is refused, because two readers could take two
//! different values from it (RFC 8259 section 4).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use crate::Error;

/// The members of one JSON object in their order, values unread.
#[derive(Debug, Clone, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// [`Error::NotJson`] when the text is not JSON, is not an object or names a key twice.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(Error::NotJson)
    }

    /// The value of a member.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .find_map(|(name, value)| (name == key).then_some(*value))
    }

    /// The value of a member that is a string; `None` when absent or something else.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key).and_then(as_string)
    }

    /// All members in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }
}

/// Up to so many keys of an object are compared one by one.
const FEW: usize = 8;

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a JSON string; `None` for any other value.
#[must_use]
pub fn as_string(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get())
        .ok()
        .map(|text| text.0)
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members: Vec<(Cow<'de, str>, _)> = Vec::with_capacity(FEW);
                let mut seen = HashSet::new();
                while let Some(Text(key)) = map.next_key()? {
                    // Most objects are small, and comparing a few keys is faster than hashing one.
                    let is_new = if members.len() < FEW {
                        members.iter().all(|(name, _)| *name != key)
                    } else {
                        if seen.is_empty() {
                            seen.extend(members.iter().map(|(name, _)| name.clone()));
                        }
                        seen.insert(key.clone())
                    };
                    if !is_new {
                        return Err(duplicate(&key));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

fn duplicate<E: de::Error>(key: &str) -> E {
    E::custom(format_args!("key {key:?} appears twice in one object"))
}

/// Checks that no object at any depth names a key twice.
///
/// # Errors
/// [`Error::NotJson`] naming the key; also when the text is not JSON at all, or nested
/// deeper than 127 levels.
pub fn reject_duplicate_keys(text: &str) -> Result<(), Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Unique
        .deserialize(&mut deserializer)
        .map_err(Error::NotJson)?;
    deserializer.end().map_err(Error::NotJson)
}

/// Walks a value, keeping nothing but the keys of the objects it is inside of.
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(Text(key)) = map.next_key()? {
            if seen.contains(&key) {
                return Err(duplicate(&key));
            }
            seen.insert(key);
            map.next_value_seed(Self)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_byte_for_byte() {
        let members = Members::parse(r#"{"a": 1.0, "b": 123456789012345678901234567890}"#).unwrap();
        assert_eq!(members.get("a").unwrap().get(), "1.0");
        assert_eq!(
            members.get("b").unwrap().get(),
            "123456789012345678901234567890"
        );
    }

    #[test]
    fn a_key_that_appears_twice_is_refused_at_any_depth() {
        assert!(Members::parse(r#"{"a":1,"a":2}"#).is_err());
        assert!(Members::parse(r#"{"a":1,"\u0061":2}"#).is_err());
        assert!(reject_duplicate_keys(r#"{"a":[{"b":1,"b":2}]}"#).is_err());
        assert!(reject_duplicate_keys(r#"{"a":[{"b":1},{"b":2.5}],"c":null,"d":true}"#).is_ok());
    }

    #[test]
    fn a_key_that_appears_twice_is_refused_among_many() {
        let object = |n_keys: usize, last: &str| {
            let keys = (0..n_keys).map(|number| format!("\"{number}\":0,"));
            format!("{{{}\"{last}\":0}}", keys.collect::<String>())
        };
        for n_keys in 1..4 * FEW {
            assert!(Members::parse(&object(n_keys, "new")).is_ok());
            for number in 0..n_keys {
                let twice = object(n_keys, &number.to_string());
                assert!(Members::parse(&twice).is_err(), "{twice}");
            }
        }
    }

    #[test]
    fn deep_nesting_is_refused_instead_of_overflowing_the_stack() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(reject_duplicate_keys(&deep).is_err());
    }
}
