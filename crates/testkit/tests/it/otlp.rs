//! The span receiver, fed by hand.

use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;
use testkit::{http::request, otlp::Receiver};

const SOON: Duration = Duration::from_secs(10);

fn exported() -> Vec<u8> {
    let service = KeyValue {
        key: "service.name".to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue("gateway".to_owned())),
        }),
        ..KeyValue::default()
    };
    let span = Span {
        trace_id: vec![0xab; 16],
        span_id: vec![0x01; 8],
        parent_span_id: vec![0x02; 8],
        name: "tools/call".to_owned(),
        ..Span::default()
    };
    let resource_spans = vec![ResourceSpans {
        resource: Some(Resource {
            attributes: vec![service],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            spans: vec![span],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

#[tokio::test]
async fn exported_span_is_seen_with_its_ids_and_service() {
    let receiver = Receiver::start().await.unwrap();
    let address = receiver
        .endpoint()
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let headers = [("Content-Type", "application/x-protobuf")];
    let sent = request(address, "POST /v1/traces", &headers, &exported(), SOON)
        .await
        .unwrap();
    assert_eq!(sent.status, 200);
    let spans = receiver
        .wait_for("one span", SOON, |spans| spans.len() == 1)
        .await
        .unwrap();
    assert_eq!(spans[0].trace_id, "ab".repeat(16));
    assert_eq!(spans[0].parent.as_deref(), Some("02".repeat(8).as_str()));
    assert_eq!(
        (spans[0].name.as_str(), spans[0].service.as_str()),
        ("tools/call", "gateway")
    );
}

#[tokio::test]
async fn body_that_is_no_protobuf_is_refused() {
    let receiver = Receiver::start().await.unwrap();
    let address = receiver
        .endpoint()
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let refused = request(address, "POST /v1/traces", &[], b"{\"a\":1}", SOON)
        .await
        .unwrap();
    assert_eq!(refused.status, 400);
}
