use axum::http::{HeaderMap, HeaderValue};
use protocol::mcp::code;
use protocol::response::RpcError;
use protocol::{ParamHeaders, ParamValue, header_value, headers};

use crate::request::{Request, Speaker};

/// Most bytes of all mirrored arguments of a call: they travel in the head of a message.
const MAX_BYTES: usize = 16 * 1024;

/// The arguments of a call that its tool wants mirrored, under the names of their headers.
///
/// # Errors
/// Header mismatch when the headers of a request of the stateless era do not say the same; invalid
/// params when an argument cannot be mirrored.
pub(super) fn mirrored(
    request: &Request<'_>,
    speaker: Speaker<'_>,
    annotated: &ParamHeaders,
) -> Result<Vec<(String, String)>, RpcError> {
    let invalid = |why| RpcError::new(code::INVALID_PARAMS, why);
    let params = annotated
        .read(request.params.arguments())
        .map_err(invalid)?;
    if let (Speaker::Modern, Some(headers)) = (speaker, request.headers) {
        check(headers, annotated, &params)?;
    }
    let params: Vec<(String, String)> = params
        .into_iter()
        .map(|(name, value)| (name, value.to_string()))
        .collect();
    if params.iter().map(|(_, value)| value.len()).sum::<usize>() > MAX_BYTES {
        let why = "the arguments that travel as headers are longer than";
        return Err(invalid(format!("{why} {MAX_BYTES} bytes together")));
    }
    Ok(params)
}

/// Checks that `Mcp-Param-*` headers say what the arguments of their tool say (MCP 2026-07-28,
/// "Server Behavior for Custom Headers"). Headers that the tool's schema does not name are none
/// of ours.
///
/// A header without its argument is refused like an argument without its header: whoever routed
/// the request by the header took a value from it that the tool never sees.
///
/// # Errors
/// Header mismatch, naming the header.
fn check(
    sent: &HeaderMap,
    annotated: &ParamHeaders,
    arguments: &[(String, ParamValue)],
) -> Result<(), RpcError> {
    for name in annotated.names() {
        let argument = arguments.iter().find(|(other, _)| other == name);
        let mut values = sent
            .get_all(format!("{}{name}", headers::PARAM_PREFIX))
            .iter();
        let outcome = match (values.next(), values.next(), argument) {
            (_, Some(_), _) => Err("is there more than once".to_owned()),
            (None, None, Some(_)) => Err("is missing, its argument is not".to_owned()),
            (Some(_), None, None) => Err("is there, its argument is not".to_owned()),
            (Some(header), None, Some((_, value))) => compare(header, value),
            (None, None, None) => Ok(()),
        };
        outcome.map_err(|why| {
            let message = format!(
                "header Mcp-Param-{name} {why}; tools/list says which arguments travel as headers"
            );
            RpcError::new(code::HEADER_MISMATCH, message)
        })?;
    }
    Ok(())
}

fn compare(header: &HeaderValue, value: &ParamValue) -> Result<(), String> {
    let text = header
        .to_str()
        .map_err(|_| "has characters beyond ASCII".to_owned())?;
    let decoded = header_value::decode(text.trim()).map_err(|error| error.to_string())?;
    if value.matches(&decoded) {
        Ok(())
    } else {
        Err("does not say what its argument says".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;
    use serde_json::json;
    use serde_json::value::RawValue;

    use super::*;

    fn check_all(arguments: &str, headers: &[(&str, &str)], expected: Option<&str>) {
        let annotated = ParamHeaders::of_schema(&json!({ "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "count": { "type": "integer", "x-mcp-header": "Count" },
        }}))
        .unwrap();
        let sent: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
            })
            .collect();
        let raw: Box<RawValue> = serde_json::from_str(arguments).unwrap();
        let read = annotated.read(Some(&raw)).unwrap();
        match (check(&sent, &annotated, &read), expected) {
            (Ok(()), None) => {}
            (Err(error), Some(expected)) => {
                assert_eq!(error.code, code::HEADER_MISMATCH);
                assert!(error.message.contains(expected), "{}", error.message);
            }
            (outcome, _) => panic!("{arguments} with {headers:?} gave {outcome:?}"),
        }
    }

    #[test]
    fn headers_say_what_the_arguments_say() {
        let hello = r#"{"region":"Hello"}"#;
        for good in ["Hello", "  Hello\t", "=?base64?SGVsbG8=?="] {
            check_all(hello, &[("Mcp-Param-Region", good)], None);
        }
        check_all(
            hello,
            &[("MCP-PARAM-REGION", "hello")],
            Some("does not say"),
        );
        check_all(hello, &[], Some("is missing"));
        let twice = [("mcp-param-region", "Hello"), ("Mcp-Param-Region", "Hello")];
        check_all(hello, &twice, Some("more than once"));
        for (bad, expected) in [
            ("=?base64?SGVsbG8?=", "not valid Base64"),
            ("=?base64?SGVs!!!bG8=?=", "not valid Base64"),
            ("Hellö", "beyond ASCII"),
        ] {
            check_all(hello, &[("mcp-param-region", bad)], Some(expected));
        }
        let encoded = r#"{"region":"SGVsbG8="}"#;
        check_all(encoded, &[("mcp-param-region", "SGVsbG8=")], None);
        let half = r#"{"region":"=?base64?SGVsbG8="}"#;
        check_all(half, &[("mcp-param-region", "=?base64?SGVsbG8=")], None);
    }

    #[test]
    fn what_is_null_or_absent_has_no_header() {
        for arguments in ["{}", r#"{"region":null,"count":null}"#] {
            check_all(arguments, &[], None);
            check_all(
                arguments,
                &[("mcp-param-region", "")],
                Some("its argument is not"),
            );
        }
        check_all("{}", &[("mcp-param-other", "x"), ("x-region", "y")], None);
    }

    #[test]
    fn integers_are_compared_as_numbers() {
        check_all(r#"{"count":42}"#, &[("mcp-param-count", "42.0")], None);
        check_all(r#"{"count":4.2e1}"#, &[("mcp-param-count", "42")], None);
        check_all(
            r#"{"count":42}"#,
            &[("mcp-param-count", "43")],
            Some("does not say"),
        );
    }
}
