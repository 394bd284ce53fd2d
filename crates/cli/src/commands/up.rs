use std::fmt::Write as _;

use service::settings::Transport;
use service::{ExitError, Process};
use standalone::Platform;

use crate::output::print;

/// Starts everything in this process and serves until it is asked to stop.
pub(super) async fn run(process: Process) -> Result<(), ExitError> {
    // Where HTTP is served, health is served on the same port.
    if !process.settings.transport_mode.contains(Transport::Http) {
        process.serve_health().await?;
    }
    let platform = Platform::new(&process).await?;
    // In stdio mode standard output belongs to the protocol.
    if !process.settings.transport_mode.contains(Transport::Stdio) {
        print(&greeting(&process, &platform))?;
    }
    platform.serve().await
}

fn greeting(process: &Process, platform: &Platform) -> String {
    let mut text = format!("Open Discovery {}\n\n", env!("CARGO_PKG_VERSION"));
    // Writing to a String cannot fail.
    if let Some(address) = platform.server().http_address() {
        let _ = writeln!(text, "MCP over HTTP:  http://{address}/mcp");
        let _ = writeln!(text, "health:         http://{address}/health");
    }
    let bus = match &process.settings.amqp_url {
        Some(urls) => format!("RabbitMQ at {}", urls.hosts()),
        None => "in memory (set AMQP_URL to use RabbitMQ)".to_owned(),
    };
    let _ = writeln!(text, "message bus:    {bus}");
    if let (Some(address), Ok(program)) =
        (platform.server().http_address(), std::env::current_exe())
    {
        let program = program.display();
        let _ = write!(
            text,
            "\nConnect a client:\n  over HTTP     npx @modelcontextprotocol/inspector --cli \
             --transport http --server-url http://{address}/mcp --method tools/list\n  \
             over stdio    {{\"command\": \"{program}\", \"args\": [\"up\"], \
             \"env\": {{\"TRANSPORT_MODE\": \"stdio\"}}}}\n  \
             without one   {program} call ping host=127.0.0.1\n",
        );
    }
    let _ = writeln!(text, "\nTools:");
    for worker in platform.workers() {
        let names: Vec<String> = worker
            .descriptors()
            .into_iter()
            .map(|descriptor| descriptor.name)
            .collect();
        let _ = writeln!(
            text,
            "  {:<14}{}",
            worker.category().as_str(),
            names.join(" ")
        );
    }
    text.push_str("\nCtrl-C stops it.\n");
    text
}
