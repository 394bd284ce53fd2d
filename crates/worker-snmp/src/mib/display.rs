//! Values in words.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::{Form, Object, name};
use crate::client::Index;
use crate::value::Value;

/// What a value of an object says, for people: enumerations by name, times, addresses, units.
pub(crate) fn display(object: Option<&Object>, value: &Value) -> String {
    let form = object.map_or(&Form::Plain, |object| &object.form);
    let by_form = match form {
        Form::Hidden => Some("***".to_owned()),
        Form::Enum(_) | Form::Truth => value.number().map(|number| {
            let label = object.and_then(|object| object.label(number));
            label.map_or_else(|| number.to_string(), |label| format!("{label}({number})"))
        }),
        Form::Units(unit) => value.number().map(|number| format!("{number} {unit}")),
        Form::Float => value
            .octets()
            .and_then(float)
            .map(|float| float.to_string()),
        _ => value.octets().and_then(|octets| octets_by(form, octets)),
    };
    by_form.unwrap_or_else(|| plain(value))
}

/// The value itself as JSON: a number, or text. Bytes that are not text are `0x` and hexadecimal
/// digits, and text that begins so is written like that too, so that nothing is unclear.
pub(crate) fn raw(object: Option<&Object>, value: &Value) -> Json {
    if object.is_some_and(|object| object.form == Form::Hidden) {
        return Json::Null;
    }
    match value {
        Value::Integer(number) => (*number).into(),
        Value::Counter32(number) | Value::Gauge32(number) | Value::TimeTicks(number) => {
            (*number).into()
        }
        Value::Counter64(number) => (*number).into(),
        Value::Octets(bytes) => readable(bytes)
            .filter(|text| !text.starts_with("0x"))
            .map_or_else(|| hex(bytes), str::to_owned)
            .into(),
        Value::Opaque(bytes) | Value::Other(_, bytes) => hex(bytes).into(),
        Value::Oid(oid) => oid.to_string().into(),
        Value::IpAddress(address) => address.to_string().into(),
        Value::Null
        | Value::NoSuchObject
        | Value::NoSuchInstance
        | Value::EndOfMibView
        | Value::Failed(_) => Json::Null,
    }
}

/// A MAC address in its usual form, `00:1b:21:0a:0b:0c`; `None` of anything but six bytes.
#[must_use]
pub(crate) fn mac(octets: &[u8]) -> Option<String> {
    (octets.len() == 6).then(|| colons(octets))
}

/// `DateAndTime` (RFC 2579) as RFC 3339 has it: `2026-03-01T08:30:00.5+01:00`, without the zone
/// where the agent tells none.
#[must_use]
pub(crate) fn date_and_time(octets: &[u8]) -> Option<String> {
    let [y1, y2, month, day, hour, minute, second, tenths, zone @ ..] = octets else {
        return None;
    };
    let year = u16::from_be_bytes([*y1, *y2]);
    if !(1..=12).contains(month) || !(1..=31).contains(day) || *hour > 23 || *minute > 59 {
        return None;
    }
    let zone = match zone {
        [sign @ (b'+' | b'-'), hours, minutes] => {
            format!("{}{hours:02}:{minutes:02}", char::from(*sign))
        }
        [] => String::new(),
        _ => return None,
    };
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{tenths}{zone}"
    ))
}

fn octets_by(form: &Form, octets: &[u8]) -> Option<String> {
    match form {
        Form::Mac => mac(octets).or_else(|| (!octets.is_empty()).then(|| colons(octets))),
        Form::Inet => Index::address(octets).map(|address| address.to_string()),
        Form::Date => date_and_time(octets),
        Form::Text => Value::Octets(octets.to_vec().into()).text(),
        Form::Hex => Some(hex(octets)),
        Form::Identifier => readable(octets).map(str::to_owned).or_else(|| mac(octets)),
        Form::Bits(names) => Some(bits(names, octets)),
        _ => None,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Octets(bytes) => readable(bytes).map_or_else(|| hex(bytes), str::to_owned),
        Value::Opaque(bytes) => float(bytes).map_or_else(|| hex(bytes), |float| float.to_string()),
        Value::Other(_, bytes) => hex(bytes),
        Value::TimeTicks(ticks) => time(*ticks),
        Value::Oid(oid) => name(oid).unwrap_or_else(|| oid.to_string()),
        Value::IpAddress(address) => address.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Counter32(number) | Value::Gauge32(number) => number.to_string(),
        Value::Counter64(number) => number.to_string(),
        Value::Null => String::new(),
        Value::NoSuchObject => "the agent has no such object".to_owned(),
        Value::NoSuchInstance => "the agent has no such instance of the object".to_owned(),
        Value::EndOfMibView => "nothing follows".to_owned(),
        Value::Failed(fault) => format!("the agent answers {fault}"),
    }
}

/// Hundredths of a second as days, hours, minutes and seconds: `12d 03:04:05.60`.
fn time(ticks: u32) -> String {
    let (seconds, hundredths) = (ticks / 100, ticks % 100);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    format!(
        "{}d {:02}:{:02}:{:02}.{hundredths:02}",
        hours / 24,
        hours % 24,
        minutes % 60,
        seconds % 60
    )
}

/// Bytes as text, if they are such to the last one.
fn readable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_readable = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    text.chars().all(is_readable).then_some(text)
}

/// Bytes as `0x` and hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = "0x".to_owned();
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn colons(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

/// The names of the bits that are set.
fn bits(names: &[(i64, &'static str)], octets: &[u8]) -> String {
    let is_set = |bit: i64| {
        let bit = usize::try_from(bit).unwrap_or(usize::MAX);
        let byte = octets.get(bit / 8).copied().unwrap_or_default();
        byte & (0x80 >> (bit % 8)) != 0
    };
    let set = names.iter().filter(|(bit, _)| is_set(*bit));
    let set: Vec<&str> = set.map(|(_, name)| *name).collect();
    set.join(" ")
}

/// A float as net-snmp wraps it: context tag 0x9f78, length 4, IEEE 754 single precision.
fn float(opaque: &[u8]) -> Option<f32> {
    let bytes = opaque.strip_prefix(&[0x9f, 0x78, 4])?;
    Some(f32::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::{lookup, resolve};
    use super::*;
    use crate::Oid;

    fn object(place: &str) -> Option<&'static Object> {
        let oid = resolve(place).unwrap();
        lookup(&oid).map(|(object, _)| object)
    }

    fn octets(bytes: &'static [u8]) -> Value {
        Value::Octets(Bytes::from_static(bytes))
    }

    #[test]
    fn values_are_said_as_people_say_them() {
        let check = |place: &str, value: Value, expected: &str| {
            assert_eq!(display(object(place), &value), expected, "{place}");
        };
        check("ifOperStatus.1", Value::Integer(1), "up(1)");
        check("ifOperStatus.1", Value::Integer(99), "99");
        check("ifPromiscuousMode.1", Value::Integer(2), "false(2)");
        check("ifSpeed.1", Value::Gauge32(1000), "1000 bit/s");
        let mac = octets(&[0, 0x1b, 0x21, 10, 11, 12]);
        check("ifPhysAddress.1", mac.clone(), "00:1b:21:0a:0b:0c");
        check("lldpRemChassisId.0.1.1", mac, "00:1b:21:0a:0b:0c");
        check("ifPhysAddress.1", octets(b""), "");
        check(
            "sysUpTime.0",
            Value::TimeTicks(104_704_560),
            "12d 02:50:45.60",
        );
        check("cdpCacheAddress.1.1", octets(&[10, 0, 0, 1]), "10.0.0.1");
        let date = octets(&[0x07, 0xea, 3, 1, 8, 30, 0, 5, b'+', 1, 0]);
        check("hrSystemDate.0", date, "2026-03-01T08:30:00.5+01:00");
        check("hrSystemDate.0", octets(b"\0\0"), "0x0000");
        let router_and_bridge = octets(&[0x28, 0]);
        check(
            "lldpRemSysCapEnabled.0.1.1",
            router_and_bridge,
            "bridge router",
        );
        let linux = Oid::new(&[1, 3, 6, 1, 4, 1, 8072, 3, 2, 10]);
        check(
            "sysObjectID.0",
            Value::Oid(linux),
            "NET-SNMP-TC::netSnmpLinux",
        );
        check("1.3.6.1.4.1.1.1", octets(b"\x01\xff"), "0x01ff");
        check("1.3.6.1.4.1.1.1", octets(b"text\n"), "text\n");
        let load = Value::Opaque(Bytes::from_static(&[0x9f, 0x78, 4, 0x3f, 0xc0, 0, 0]));
        check("laLoadFloat.1", load, "1.5");
        check("entLogicalCommunity.1", octets(b"hunter2"), "***");
        check("snmpCommunityName.1.1", octets(b"hunter2"), "***");
    }

    #[test]
    fn raw_values_are_never_unclear() {
        let check = |value: Value, expected: Json| {
            assert_eq!(raw(object("1.3.6.1.4.1.1.1"), &value), expected);
        };
        check(octets(b"text"), json!("text"));
        check(octets(b"0xff"), json!("0x30786666"));
        check(octets(&[0xff]), json!("0xff"));
        check(octets(b""), json!(""));
        check(Value::Counter64(u64::MAX), json!(u64::MAX));
        check(Value::Integer(-1), json!(-1));
        check(Value::NoSuchObject, Json::Null);
        let community = object("entLogicalCommunity.1");
        assert_eq!(raw(community, &octets(b"hunter2")), Json::Null);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_displayed(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            for place in [
                "ifPhysAddress.1", "hrSystemDate.0", "cdpCacheAddress.1.1", "sysDescr.0",
                "laLoadFloat.1", "lldpRemSysCapEnabled.1", "lldpRemChassisId.1", "ifIndex.1",
            ] {
                for value in [Value::Octets(bytes.clone().into()), Value::Opaque(bytes.clone().into())] {
                    let object = object(place);
                    let _ = (display(object, &value), raw(object, &value));
                }
            }
        }
    }
}
