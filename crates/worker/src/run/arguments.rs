/// What a worker binary is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// Take calls.
    Work,
    /// Ask the running worker whether it is ready.
    Health,
    Help,
    Version,
}

/// Reads the arguments after the program's name; the error is one that is unknown.
pub(super) fn command(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let command = match arguments.next().as_deref() {
        None => Command::Work,
        Some("health") => Command::Health,
        Some("--help" | "-h" | "help") => Command::Help,
        Some("--version" | "-V") => Command::Version,
        Some(unknown) => return Err(unknown.to_owned()),
    };
    match arguments.next() {
        None => Ok(command),
        Some(unknown) => Err(unknown),
    }
}

pub(super) fn help(name: &str) -> String {
    format!(
        "\
{name}: takes tool calls from a RabbitMQ broker and runs them.

Usage:
  {name}              work until SIGTERM or SIGINT
  {name} health       exit with 0 if the worker of these settings is ready, otherwise 1
  {name} --help       show this text
  {name} --version    show the version

Settings come from discovery.toml in the current directory and from the environment, which
wins. docs/configuration.md lists all of them; those that matter most to a worker:
  AMQP_URL               the broker (amqp://localhost:5672)
  AMQP_QUEUE_PREFIX      the site's queues (mcp.discovery)
  AMQP_WORKERS           consumers in this process (1)
  AMQP_PREFETCH_COUNT    calls that each consumer runs at once
  SCAN_SCOPE_ALLOW       what tools may touch (loopback and private networks)
  SCAN_SCOPE_DENY        what tools may never touch
  HEALTH_PORT            port for /health, /ready, /live and /metrics (0: none)
  LOG_FORMAT, RUST_LOG   human or json; how much

Examples:
  AMQP_URL=amqp://user:password@broker:5672 {name}
  HEALTH_PORT=8081 {name}
  HEALTH_PORT=8081 {name} health

Exit codes:
  0   stopped as asked, or ready
  1   not ready
  64  an argument or a setting is not valid
  69  the broker stays away (AMQP_MAX_RECONNECT_ATTEMPTS) or has a queue of another version,
      or the health port is taken
  70  a fault of the worker
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], expected: Result<Command, &str>) {
        let read = command(arguments.iter().map(|&argument| argument.to_owned()));
        assert_eq!(read, expected.map_err(str::to_owned), "{arguments:?}");
    }

    #[test]
    fn arguments_are_few_and_checked() {
        check(&[], Ok(Command::Work));
        check(&["health"], Ok(Command::Health));
        check(&["--help"], Ok(Command::Help));
        check(&["--version"], Ok(Command::Version));
        check(&["--port"], Err("--port"));
        check(&["health", "now"], Err("now"));
        check(&[""], Err(""));
    }

    #[test]
    fn the_help_text_is_stable() {
        insta::assert_snapshot!(help("discovery-worker-lab"));
    }
}
