use std::time::Duration;

use protocol::{ToolError, headers};
use serde_json::json;
use service::{Settings, telemetry};
use testkit::otlp::Receiver;
use tokio::task::spawn_blocking;
use tracing::Instrument;
use worker::{Context, Tool};

use crate::lab::{self, Nothing, Text};
use crate::site::Site;

#[tokio::test]
async fn a_call_is_a_span_of_its_callers_trace() {
    let receiver = Receiver::start().await.unwrap();
    let settings = Settings {
        otel_exporter_otlp_endpoint: Some(receiver.endpoint().parse().unwrap()),
        ..Settings::default()
    };
    let built = spawn_blocking(move || telemetry::build(&settings, "lab"));
    let (dispatch, telemetry) = built.await.unwrap().unwrap();
    let logging = tracing::dispatcher::set_default(&dispatch);

    let inner = Tool::new("inner", async |_: Context, _: Nothing| {
        let text = async { "done".to_owned() };
        let text = text
            .instrument(tracing::info_span!("part of the tool"))
            .await;
        Ok::<_, ToolError>(Text { text })
    });
    let mut site = Site::with(lab::worker().tool(inner)).await;
    for tool in ["inner", "fail"] {
        let mut request = site.request("a", tool, &json!({}));
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        request.message.headers.insert(headers::TRACEPARENT, trace);
        site.publish(request).await;
        assert!(site.reply().await.is_final);
    }
    site.all_is_settled().await;
    drop(logging);
    spawn_blocking(|| telemetry.shutdown()).await.unwrap();

    let all = |spans: &[testkit::otlp::Span]| spans.len() >= 3;
    let spans = receiver.wait_for("three spans", Duration::from_secs(10), all);
    let spans = spans.await.unwrap();
    let part = spans
        .iter()
        .find(|span| span.name == "part of the tool")
        .unwrap();
    let calls: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "tools/call")
        .collect();
    let outcomes: Vec<(&str, &str, &str)> = calls
        .iter()
        .map(|span| {
            let field = |name: &str| span.attributes[name].as_str();
            (field("tool"), field("category"), field("outcome"))
        })
        .collect();
    assert_eq!(
        outcomes,
        [("inner", "lab", "ok"), ("fail", "lab", "tool_error")]
    );
    for span in &calls {
        assert_eq!(span.trace_id, "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span.parent.as_deref(), Some("b7ad6b7169203331"));
    }
    assert_eq!(part.parent.as_ref(), Some(&calls[0].span_id));
}
