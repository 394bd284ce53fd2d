//! The client library of the Rust SDK, `rmcp`, on standard input and output, in both eras.

#![expect(
    deprecated,
    reason = "the library deprecates logging and resource subscriptions of the older era"
)]

mod handler;

use rmcp::model::{
    CallToolRequestParams, CallToolResult, ErrorCode, GetPromptRequestParams, LoggingLevel,
    ProtocolVersion, ReadResourceRequestParams, ServerNotification, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RunningService, SubscriptionEnd};
use rmcp::{RoleClient, ServiceError, ServiceExt};
use serde_json::{Value, json};
use testkit::wait;
use tokio::process::Child;
use tokio::time::timeout;

use crate::site::{Answer, Running, SOON, Site, Target};
use handler::Handler;

/// The client of one gateway.
type Client = RunningService<RoleClient, Handler>;

/// A resource that may change.
const WATCHED: &str = "test://watched-resource";

#[derive(Clone, Copy, PartialEq)]
enum Era {
    /// Revision 2025-11-25, with `initialize`.
    Sessions,
    /// Revision 2026-07-28.
    Stateless,
}

/// A client, the gateway that it has started, and the workers behind that.
struct Lab {
    era: Era,
    client: Client,
    gateway: Child,
    _workers: [Running; 2],
    _site: Site,
}

impl Lab {
    async fn new(era: Era) -> Self {
        let site = Site::new().await;
        let workers = tokio::join!(site.conformance_worker(), site.worker());
        let program = site.gateway_program().await.env("TRANSPORT_MODE", "stdio");
        let mut gateway = program.start_for_client().unwrap();
        let streams = (
            gateway.stdout.take().unwrap(),
            gateway.stdin.take().unwrap(),
        );
        let version = match era {
            Era::Sessions => ProtocolVersion::V_2025_11_25,
            Era::Stateless => ProtocolVersion::V_2026_07_28,
        };
        let handler = Handler::new(version.clone());
        let client = match era {
            Era::Sessions => handler.serve(streams).await.unwrap(),
            Era::Stateless => {
                let preferred_versions = vec![version.clone()];
                let lifecycle = ClientLifecycleMode::Discover { preferred_versions };
                let client = handler.serve_with_lifecycle(streams, lifecycle).await;
                client.unwrap()
            }
        };
        let server = client.peer_info().expect("what the server said of itself");
        assert_eq!(server.protocol_version, version);
        Self {
            era,
            client,
            gateway,
            _workers: workers.into(),
            _site: site,
        }
    }

    async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let called = timeout(SOON, self.client.call_tool(call(tool, arguments))).await;
        called
            .unwrap()
            .unwrap_or_else(|error| panic!("{tool}: {error}"))
    }

    /// Calls a tool and checks its text.
    async fn check_text(&self, tool: &'static str, arguments: Value, expected: &str) {
        let result = self.call(tool, arguments).await;
        let text = text_of(&result);
        assert!(text.contains(expected), "{tool}: {text:?}");
        assert_ne!(result.is_error, Some(true), "{tool}: {text:?}");
    }

    /// Closes the client; the gateway goes by itself.
    async fn end(mut self) {
        self.client.cancel().await.unwrap();
        let ended = timeout(SOON, self.gateway.wait()).await;
        assert_eq!(ended.unwrap().unwrap().code(), Some(0));
    }
}

fn call(tool: &'static str, arguments: Value) -> CallToolRequestParams {
    let params = CallToolRequestParams::new(tool);
    match arguments {
        Value::Object(arguments) => params.with_arguments(arguments),
        _ => params,
    }
}

fn text_of(result: &CallToolResult) -> String {
    serde_json::to_string(&result.content).unwrap()
}

/// Lists, tools, resources and prompts.
async fn check_lists(lab: &Lab) {
    let tools = lab.client.list_all_tools().await.unwrap();
    let has = |name: &str| tools.iter().any(|tool| tool.name == name);
    assert!(has("test_simple_text") && has("ping"), "{tools:?}");
    lab.check_text("test_simple_text", Value::Null, "simple text")
        .await;
    let resources = lab.client.list_all_resources().await.unwrap();
    assert!(
        resources.iter().any(|it| it.uri == WATCHED),
        "{resources:?}"
    );
    let read = ReadResourceRequestParams::new(WATCHED);
    let read = lab.client.read_resource(read).await.unwrap();
    assert_eq!(read.contents.len(), 1);
    let prompts = lab.client.list_all_prompts().await.unwrap();
    assert!(
        prompts.iter().any(|it| it.name == "test_simple_prompt"),
        "{prompts:?}"
    );
    let prompt = GetPromptRequestParams::new("test_simple_prompt");
    let prompt = lab.client.get_prompt(prompt).await.unwrap();
    assert!(!prompt.messages.is_empty());
}

/// A tool's failure is a result, an unknown tool a JSON-RPC error.
async fn check_errors(lab: &Lab) {
    let failed = lab.call("test_error_handling", Value::Null).await;
    assert_eq!(failed.is_error, Some(true));
    let unknown = lab.client.call_tool(call("no_such_tool", json!({}))).await;
    let Err(ServiceError::McpError(error)) = unknown else {
        panic!("{unknown:?}");
    };
    assert_eq!(error.code, ErrorCode::INVALID_PARAMS);
    let missing = ReadResourceRequestParams::new("test://no-such-resource");
    let missing = lab.client.read_resource(missing).await;
    let Err(ServiceError::McpError(error)) = missing else {
        panic!("{missing:?}");
    };
    let code = match lab.era {
        Era::Sessions => ErrorCode::RESOURCE_NOT_FOUND,
        Era::Stateless => ErrorCode::INVALID_PARAMS,
    };
    assert_eq!(error.code, code);
}

/// What workers ask comes as a live request or as a result, and the client answers either.
async fn check_input(lab: &Lab) {
    let person = json!({ "message": "Who are you?" });
    lab.check_text("test_elicitation", person, "action=accept")
        .await;
    let prompt = json!({ "prompt": "What is the capital of France?" });
    lab.check_text("test_sampling", prompt, "LLM response: Paris")
        .await;
    lab.check_text(
        "test_input_required_result_request_state",
        Value::Null,
        "state-ok",
    )
    .await;
    let twice = "test_input_required_result_multi_round";
    lab.check_text(twice, Value::Null, "Ada likes blue").await;
    let three = "test_input_required_result_multiple_inputs";
    lab.check_text(three, Value::Null, "Ada: Paris (roots: file:///lab)")
        .await;
    let mut asked = lab.client.service().asked();
    // What is asked at once comes in any order.
    asked[5..].sort();
    assert_eq!(
        asked,
        [
            "Who are you?",
            "a model",
            "Please confirm",
            "Step 1: What is your name?",
            "Step 2: What is your favorite color?",
            "What is your name?",
            "a model",
            "roots",
        ]
    );
}

/// A call whose caller does not wait for it stops, and others go on.
async fn check_cancel(lab: &Lab) {
    let target = Target::start(|_, _| Answer::Released).await;
    let stopped = call("wget", target.arguments("/stopped"));
    let goes_on = call("wget", target.arguments("/goes-on"));
    let (peer, other) = (lab.client.peer().clone(), lab.client.peer().clone());
    let mut calls = tokio::task::JoinSet::new();
    let stopped = calls.spawn(async move { peer.call_tool(stopped).await });
    calls.spawn(async move { other.call_tool(goes_on).await });
    target.until_asked(2).await;
    // The library cancels a call whose future is dropped.
    stopped.abort();
    target.left("/stopped").await;
    target.release();
    assert!(
        calls
            .join_next()
            .await
            .unwrap()
            .is_err_and(|it| it.is_cancelled())
    );
    let result = calls.join_next().await.unwrap().unwrap().unwrap();
    assert!(text_of(&result).contains("/goes-on"));
    assert_eq!(target.has_left("/goes-on"), None);
}

async fn check_progress(lab: &Lab) {
    lab.call("test_tool_with_progress", Value::Null).await;
    assert_eq!(lab.client.service().progress(), [0.0, 50.0, 100.0]);
}

/// Everything that does not depend on the era.
async fn check(lab: &Lab) {
    check_lists(lab).await;
    check_errors(lab).await;
    check_progress(lab).await;
    check_input(lab).await;
    check_cancel(lab).await;
}

#[tokio::test]
async fn the_client_of_the_rust_sdk_works_in_the_stateless_era() {
    let lab = Lab::new(Era::Stateless).await;
    check(&lab).await;

    let filter = SubscriptionFilter::builder()
        .tools_list_changed()
        .resource_subscriptions([WATCHED])
        .build();
    let mut news = lab.client.listen(filter.clone()).await.unwrap();
    assert_eq!(news.acknowledged(), &filter);
    lab.call("test_trigger_prompt_change", Value::Null).await;
    lab.call("test_trigger_tool_change", Value::Null).await;
    let told = timeout(SOON, news.next()).await.unwrap().unwrap();
    let is_tools = matches!(
        told,
        Some(ServerNotification::ToolListChangedNotification(_))
    );
    assert!(is_tools, "{told:?}");
    news.cancel().await.unwrap();
    assert_eq!(news.end(), Some(&SubscriptionEnd::Cancelled));

    let mut open = lab.client.listen(filter).await.unwrap();
    let pid = lab.gateway.id().unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let told = timeout(SOON, open.next()).await.unwrap().unwrap();
    assert!(told.is_none(), "{told:?}");
    assert!(
        matches!(open.end(), Some(SubscriptionEnd::Graceful(_))),
        "{:?}",
        open.end()
    );
    lab.end().await;
}

#[tokio::test]
async fn the_client_of_the_rust_sdk_works_in_the_era_of_sessions() {
    let lab = Lab::new(Era::Sessions).await;
    check(&lab).await;

    let handler = lab.client.service();
    let level = SetLevelRequestParams::new(LoggingLevel::Error);
    lab.client.set_level(level).await.unwrap();
    lab.call("test_tool_with_logging", Value::Null).await;
    assert_eq!(handler.n_logged(), 0);
    let level = SetLevelRequestParams::new(LoggingLevel::Debug);
    lab.client.set_level(level).await.unwrap();
    lab.call("test_tool_with_logging", Value::Null).await;
    assert_eq!(handler.n_logged(), 3);

    let watched = SubscribeRequestParams::new(WATCHED);
    lab.client.subscribe(watched).await.unwrap();
    // Workers that came after this gateway began may have been told of, too.
    let before = handler.n_tool_changes();
    lab.call("test_trigger_tool_change", Value::Null).await;
    let told = async || (handler.n_tool_changes() > before).then_some(());
    wait::until("it is told of the change", SOON, told)
        .await
        .unwrap();
    lab.end().await;
}
