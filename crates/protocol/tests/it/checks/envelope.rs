//! A message of a client, a gateway or a worker.

use protocol::{Envelope, Kind, Meta, json::reject_duplicate_keys};
use serde_json::value::RawValue;

/// Any bytes are read or refused. What is read is there byte for byte: a message that is written
/// from its parts has the same parts.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(envelope) = Envelope::parse(bytes) else {
        return;
    };
    assert_eq!(envelope.method().is_some(), has_method(&envelope.kind));
    let written = write(&envelope.kind);
    let again = Envelope::parse(written.as_bytes()).expect(&written);
    assert_eq!(write(&again.kind), written);
    check_params(&envelope);
}

fn has_method(kind: &Kind<'_>) -> bool {
    matches!(kind, Kind::Request { .. } | Kind::Notification { .. })
}

/// The message with its parts in one order, and nothing else.
fn write(kind: &Kind<'_>) -> String {
    let parts: [(&str, Option<&RawValue>); 3] = match *kind {
        Kind::Request { id, method, params } => [
            ("id", Some(id)),
            ("method", Some(method)),
            ("params", params),
        ],
        Kind::Notification { method, params } => {
            [("method", Some(method)), ("params", params), ("", None)]
        }
        Kind::Response { id, result } => [("id", Some(id)), ("result", Some(result)), ("", None)],
        Kind::Error { id, error } => [("id", id), ("error", Some(error)), ("", None)],
    };
    let parts = parts.into_iter().filter_map(|(key, value)| {
        let value = value?.get();
        Some(format!(",\"{key}\":{value}"))
    });
    format!(
        "{{\"jsonrpc\":\"2.0\"{}}}",
        parts.collect::<Vec<_>>().concat()
    )
}

fn check_params(envelope: &Envelope<'_>) {
    let (Kind::Request { params, .. } | Kind::Notification { params, .. }) = envelope.kind else {
        assert!(envelope.params().is_ok());
        return;
    };
    // Only an object that names a key twice is refused.
    let is_unique = params.is_none_or(|params| reject_duplicate_keys(params.get()).is_ok());
    let Ok(params) = envelope.params() else {
        assert!(!is_unique);
        return;
    };
    for (key, value) in params.iter() {
        assert_eq!(params.get(key).map(RawValue::get), Some(value.get()));
    }
    let _ = (params.name(), params.arguments());
    if let Ok(meta) = params.meta() {
        check_meta(&meta);
    }
}

fn check_meta(meta: &Meta<'_>) {
    for (key, value) in meta.iter() {
        assert_eq!(meta.get(key).map(RawValue::get), Some(value.get()));
    }
    let _ = meta.progress_token();
    if let Ok(timeout) = meta.timeout_ms() {
        assert_ne!(timeout, Some(0));
    }
}
