//! The text form of a setting.
//!
//! Every setting has exactly one text form, read by [`FromStr`] and written by [`Display`].
//! An environment variable is that text; in the file a number, a boolean, an array or a table
//! stands for the text that it would have in the environment.
//! So both layers share one parser and cannot disagree about what is allowed.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};

/// Reads any scalar, array (joined by commas) or table (`key=value`, joined by commas) as text
/// and parses it.
pub(super) fn parse<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    deserializer.deserialize_any(Text(PhantomData))
}

/// Like [`parse`], for a setting without a default.
pub(super) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    parse(deserializer).map(Some)
}

/// Splits a comma list; blanks around an item do not count, an empty item is an error.
pub(super) fn items(list: &str) -> Result<Vec<&str>, String> {
    if list.trim().is_empty() {
        return Ok(Vec::new());
    }
    let items: Vec<&str> = list.split(',').map(str::trim).collect();
    if items.contains(&"") {
        return Err("the list has an empty item".to_owned());
    }
    Ok(items)
}

struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err: Display>> Text<T> {
    fn read<E: Error>(text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de, T: FromStr<Err: Display>> Visitor<'de> for Text<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text, a whole number, true or false, an array or a table")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Self::read(text)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        Self::read(&value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        Self::read(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        Self::read(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        Self::read(&value.to_string())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<T, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = array.next_element::<String>()? {
            if item.contains(',') {
                return Err(A::Error::custom(
                    "an item of an array must not contain a comma",
                ));
            }
            items.push(item);
        }
        Self::read(&items.join(","))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<T, A::Error> {
        let mut items = Vec::new();
        while let Some((key, value)) = table.next_entry::<String, String>()? {
            if key.contains([',', '=']) || value.contains(',') {
                return Err(A::Error::custom(
                    "a key or value of a table must not contain a comma or an equals sign",
                ));
            }
            items.push(format!("{key}={value}"));
        }
        Self::read(&items.join(","))
    }
}

/// Gives a type with a text form the traits of a setting: it is read by its `FromStr`, written by
/// its `Display`, and its schema says what is allowed.
macro_rules! setting {
    ($type:ty, allowed: $allowed:expr $(, $key:literal: $value:expr)*) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::settings::text::parse(deserializer)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "x-allowed": $allowed
                    $(, $key: $value)*
                })
            }
        }
    };
}

pub(super) use setting;
