//! A worker whose tools show what the runtime does with them.

use std::num::NonZeroU16;
use std::time::Duration;

use protocol::{ErrorCode, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use worker::{Context, Host, Page, Summary, Tool, Worker, paginate};

/// Arguments of every kind.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Probe {
    /// What to look at.
    host: Host,
    /// How often.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 10))]
    count: u8,
    /// How.
    #[serde(default)]
    method: Method,
    /// More hosts.
    #[serde(default)]
    #[schemars(length(max = 3))]
    more: Vec<Host>,
    /// Where.
    port: Option<u16>,
    /// How long.
    seconds: Option<f64>,
    /// Only for those who may.
    #[schemars(extend("writeOnly" = true), length(max = 8))]
    password: Option<String>,
    /// A small part.
    part: Option<Part>,
    #[serde(flatten)]
    page: Page,
}

fn four() -> u8 {
    4
}

/// A way to look.
#[derive(Debug, Default, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Method {
    /// The first way.
    #[default]
    A,
    /// The second way.
    B,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Part {
    /// Number of the part.
    number: i32,
}

/// The arguments, as they arrived.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Seen {
    /// What was looked at.
    host: Host,
    /// How often.
    count: u8,
    /// How.
    method: Method,
    /// How many more.
    more: usize,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// How long.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// Number of the part.
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<i32>,
    /// Some numbers.
    numbers: Vec<u32>,
    /// Where they go on.
    next_cursor: Option<String>,
    /// Whether they go on.
    truncated: bool,
}

impl Summary for Seen {
    fn summary(&self) -> String {
        format!("**{}** seen {} times", self.host, self.count)
    }
}

async fn probe(_: Context, probe: Probe) -> Result<Seen, ToolError> {
    let page = paginate(&probe.page, (0..250).collect())?;
    drop(probe.password);
    Ok(Seen {
        host: probe.host,
        count: probe.count,
        method: probe.method,
        more: probe.more.len(),
        port: probe.port,
        seconds: probe.seconds,
        part: probe.part.map(|part| part.number),
        numbers: page.items,
        next_cursor: page.next_cursor,
        truncated: page.truncated,
    })
}

/// No arguments.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Nothing {}

/// A text.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Text {
    /// The text.
    pub(crate) text: String,
}

impl Summary for Text {
    fn summary(&self) -> String {
        self.text.clone()
    }
}

/// A result that can break its schema.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Share {
    /// A part of the whole.
    #[schemars(range(min = 0.0, max = 1.0))]
    share: f64,
}

impl Summary for Share {
    fn summary(&self) -> String {
        format!("{}", self.share)
    }
}

/// What the tool `share` shall give back.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct ShareOf {
    /// Any number.
    share: Option<f64>,
}

pub(crate) fn worker() -> Worker {
    Worker::new("lab".parse().unwrap(), NonZeroU16::new(4).unwrap())
        .tool(
            Tool::new("probe", probe)
                .title("Probe")
                .description("Looks at a host.")
                .read_only()
                .deadline(Duration::from_secs(5), Duration::from_secs(10)),
        )
        .tool(
            Tool::new("share", async |_, share: ShareOf| {
                Ok::<_, ToolError>(Share {
                    share: share.share.unwrap_or(f64::NAN),
                })
            })
            .closed_world()
            .idempotent()
            .at_most_once(),
        )
        .tool(Tool::new("fail", async |_, _: Nothing| {
            Err::<Text, _>(ToolError::new(ErrorCode::Unreachable, "nobody there").hint("go there"))
        }))
        .tool(Tool::new("panic", async |context: Context, _: Nothing| {
            assert!(context.remaining().is_zero(), "the secret of the tool");
            Ok::<_, ToolError>(Text {
                text: String::new(),
            })
        }))
        .tool(
            Tool::new("sleep", async |context: Context, _: Nothing| {
                context.progress(2.0, Some(3.0), "two of three beds made");
                std::future::pending::<()>().await;
                Ok::<_, ToolError>(Text {
                    text: String::new(),
                })
            })
            .deadline(Duration::from_millis(50), Duration::from_mins(1)),
        )
}

pub(crate) async fn call(tool: &str, arguments: Value) -> Value {
    worker().call_for_test(tool, arguments).await
}
