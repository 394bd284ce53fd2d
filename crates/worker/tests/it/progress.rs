use protocol::ToolError;
use serde_json::json;
use worker::{Context, Tool};

use crate::lab::{self, Nothing, Text};
use crate::site::Site;

/// Tells five steps, each in its own time, and ends at once after the last.
fn steps() -> Tool {
    Tool::new("steps", async |context: Context, _: Nothing| {
        for step in 1..=5 {
            context.progress(f64::from(step), Some(5.0), format!("step {step}"));
            tokio::task::yield_now().await;
        }
        let text = "done".to_owned();
        Ok::<_, ToolError>(Text { text })
    })
}

#[tokio::test]
async fn progress_comes_in_order_and_before_the_answer() {
    let mut site = Site::with(lab::worker().tool(steps())).await;
    for token in [json!("my token"), json!(7)] {
        let params = json!({"name": "steps", "_meta": {"progressToken": token}});
        site.publish(site.request_with("a", "steps", &params)).await;
        for step in 1..=5_i32 {
            let reply = site.reply().await;
            assert_eq!(
                (reply.kind.as_str(), reply.is_final),
                ("notification", false)
            );
            assert_eq!(
                (reply.correlation_id.as_str(), reply.sequence),
                ("a", i64::from(step) - 1)
            );
            assert_eq!(
                reply.body,
                json!({
                    "jsonrpc": "2.0", "method": "notifications/progress", "params": {
                        "progressToken": token, "progress": f64::from(step), "total": 5.0,
                        "message": format!("step {step}"),
                    },
                })
            );
        }
        let reply = site.reply().await;
        assert_eq!((reply.text(), reply.sequence), ("done", 5));
    }
}

#[tokio::test]
async fn without_a_token_there_is_no_progress() {
    let mut site = Site::with(lab::worker().tool(steps())).await;
    site.call("a", "steps").await;
    let reply = site.reply().await;
    assert_eq!((reply.text(), reply.sequence), ("done", 0));
    site.nothing_came().await;
}

#[tokio::test]
async fn progress_to_nobody_does_not_stop_the_call() {
    let mut site = Site::with(lab::worker().tool(steps())).await;
    let params = json!({"name": "steps", "_meta": {"progressToken": 1}});
    let mut request = site.request_with("a", "steps", &params);
    request.message.reply_to = Some("nowhere".to_owned());
    site.publish(request).await;
    site.metric("discovery_calls_total{category=\"lab\",outcome=\"ok\"} 1")
        .await;
    site.all_is_settled().await;
}
