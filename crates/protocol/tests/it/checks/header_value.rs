//! A header that mirrors a part of its request.

use protocol::{ParamHeaders, header_value};
use serde_json::json;
use serde_json::value::RawValue;

/// Any value is read or refused, any text becomes a value that is read as that text, and an
/// argument always agrees with its own header.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(decoded) = header_value::decode(text) {
        check_text(&decoded);
    }
    check_text(text);
    if let Ok(value) = serde_json::from_str(text) {
        check_argument(value);
    }
}

fn check_text(text: &str) {
    let value = header_value::encode(text);
    let is_plain = |byte| matches!(byte, b'\t' | b' '..=b'~');
    assert!(value.bytes().all(is_plain), "{text:?} gave {value:?}");
    assert_eq!(value.trim_ascii(), value, "{text:?} gave {value:?}");
    assert_eq!(header_value::decode(&value).expect(&value), text);
}

fn check_argument(value: &RawValue) {
    let schema = json!({ "properties": { "p": { "type": "string", "x-mcp-header": "P" } } });
    let headers = ParamHeaders::of_schema(&schema).expect("a valid schema");
    let arguments = RawValue::from_string(format!("{{\"p\":{value}}}")).expect("an object");
    let Ok(read) = headers.read(Some(&arguments)) else {
        return;
    };
    for (name, value) in read {
        let header = value.to_string();
        let sent = header_value::encode(&header);
        let received = header_value::decode(&sent).expect(&sent);
        assert_eq!(name, "p");
        assert!(value.matches(&received), "{value:?} is not {received:?}");
    }
}
