use bytes::Bytes;
use protocol::Change;
use protocol::mcp::meta;
use serde_json::Value;
use serde_json::value::RawValue;

/// The notification of a change; `subscription` is the identifier of the request that opened
/// the stream, as its client wrote it.
pub(super) fn notification(change: &Change, subscription: Option<&RawValue>) -> Bytes {
    let own = match change {
        Change::ResourceUpdated { uri } => Some(format!(r#""uri":{}"#, Value::from(uri.as_str()))),
        _ => None,
    };
    text(change.method(), subscription, own.as_deref())
}

/// A notification; `own` is JSON text of members of its parameters.
pub(super) fn text(method: &str, subscription: Option<&RawValue>, own: Option<&str>) -> Bytes {
    let stamp = subscription.map(|id| {
        let key = meta::SUBSCRIPTION_ID;
        format!(r#""_meta":{{"{key}":{id}}}"#)
    });
    let members: Vec<&str> = [stamp.as_deref(), own].into_iter().flatten().collect();
    let params = if members.is_empty() {
        String::new()
    } else {
        format!(r#","params":{{{}}}"#, members.join(","))
    };
    format!(r#"{{"jsonrpc":"2.0","method":"{method}"{params}}}"#).into()
}
