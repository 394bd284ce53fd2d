//! Reads the files of names.

use super::{Form, IndexKind, IndexPart, Object, Role};
use crate::Oid;

/// The objects of a file, or which line is wrong.
pub(super) fn objects(file: &'static str) -> Vec<Result<Object, String>> {
    let mut module = "";
    let mut entry: Option<Oid> = None;
    let mut objects = Vec::new();
    for line in file.lines() {
        let words: Vec<&'static str> = line.split_ascii_whitespace().collect();
        let read = match words.as_slice() {
            [] => continue,
            [comment, ..] if comment.starts_with('#') => continue,
            ["module", name] => {
                module = name;
                entry = None;
                continue;
            }
            [name, number, form @ ..] if line.starts_with(' ') => {
                column(module, name, number, form, entry.as_ref())
            }
            ["node", name, oid] => object(module, name, oid, Form::Plain, Role::Node),
            ["scalar", name, oid, form @ ..] => {
                self::form(form).and_then(|form| object(module, name, oid, form, Role::Scalar))
            }
            ["table", name, oid, index @ ..] => {
                entry = oid.parse().ok();
                index_parts(index)
                    .and_then(|index| object(module, name, oid, Form::Plain, Role::Table(index)))
            }
            _ => None,
        };
        objects.push(read.ok_or_else(|| line.to_owned()));
    }
    objects
}

fn object(
    module: &'static str,
    name: &'static str,
    oid: &str,
    form: Form,
    role: Role,
) -> Option<Object> {
    let oid = oid.parse().ok()?;
    Some(Object {
        module,
        name,
        oid,
        form,
        role,
    })
}

fn column(
    module: &'static str,
    name: &'static str,
    number: &str,
    form: &[&'static str],
    entry: Option<&Oid>,
) -> Option<Object> {
    let entry = entry?.clone();
    Some(Object {
        module,
        name,
        oid: entry.join(&[number.parse().ok()?]),
        form: self::form(form)?,
        role: Role::Column(entry),
    })
}

fn form(words: &[&'static str]) -> Option<Form> {
    Some(match words {
        [] => Form::Plain,
        ["text"] => Form::Text,
        ["hex"] => Form::Hex,
        ["mac"] => Form::Mac,
        ["inet"] => Form::Inet,
        ["identifier"] => Form::Identifier,
        ["date"] => Form::Date,
        ["truth"] => Form::Truth,
        ["float"] => Form::Float,
        ["hidden"] => Form::Hidden,
        ["units", unit] => Form::Units(unit),
        ["enum", values @ ..] => Form::Enum(named(values)?),
        ["bits", values @ ..] => Form::Bits(named(values)?),
        _ => return None,
    })
}

/// Values written as `name=number`.
fn named(values: &[&'static str]) -> Option<Vec<(i64, &'static str)>> {
    let value = |text: &&'static str| {
        let (name, number) = text.split_once('=')?;
        Some((number.parse().ok()?, name))
    };
    values.iter().map(value).collect()
}

/// Parts written as `name:kind`.
fn index_parts(words: &[&'static str]) -> Option<Vec<IndexPart>> {
    let part = |text: &&'static str| {
        let (name, kind) = text.split_once(':')?;
        let kind = match kind {
            "number" => IndexKind::Number,
            "ipv4" => IndexKind::Ipv4,
            "mac" => IndexKind::Mac,
            "inet" => IndexKind::Inet,
            _ => return None,
        };
        Some(IndexPart { name, kind })
    };
    words.iter().map(part).collect()
}
