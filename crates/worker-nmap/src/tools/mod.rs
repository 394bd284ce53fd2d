//! The tools, one module each.

mod arguments;
pub(crate) mod ping_scan;
pub(crate) mod tcp_connect_scan;
pub(crate) mod tcp_syn_scan;
pub(crate) mod udp_scan;
pub(crate) mod version_scan;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use protocol::{MAX_HOLD, ToolError};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use worker::{Context, Tool};

use crate::result::Scanned;
use crate::scanner::{Request, Scanner};

/// Deadline of a call that asks for none.
const DEFAULT_DEADLINE: Duration = Duration::from_mins(5);

/// A tool that scans what its arguments say.
fn scan<A: DeserializeOwned + JsonSchema + Send + 'static>(
    name: &'static str,
    scanner: &Arc<Scanner>,
    request: fn(A) -> Result<Request, ToolError>,
) -> Tool {
    let scanner = Arc::clone(scanner);
    let run = move |context: Context, arguments: A| -> ScanFuture {
        let scanner = Arc::clone(&scanner);
        Box::pin(async move { scanner.run(&context, request(arguments)?).await })
    };
    Tool::new(name, run)
        .read_only()
        .deadline(DEFAULT_DEADLINE, MAX_HOLD)
}

type ScanFuture = std::pin::Pin<Box<dyn Future<Output = Result<Scanned, ToolError>> + Send>>;
