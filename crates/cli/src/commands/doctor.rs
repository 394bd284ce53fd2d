use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use service::{ExitError, Process, Settings, broker};

use crate::client::Client;
use crate::output::{harmless, print};

/// How long the broker may take to answer.
const BROKER_TIME: Duration = Duration::from_secs(10);

/// What one check found.
enum Finding {
    Good(String),
    /// Works, but not everything will.
    Lacking {
        what: String,
        fix: String,
    },
    Bad {
        what: String,
        fix: String,
    },
}

/// Checks what the platform needs; exit code 1 if something is broken.
pub(super) async fn run(process: Process) -> Result<(), ExitError> {
    let findings = [
        ("broker", broker(&process).await),
        ("ICMP", icmp(&process).await),
        ("nmap", nmap()),
        ("scope", scope(&process.settings)),
    ];
    let mut is_broken = false;
    for (name, finding) in findings {
        let line = match finding {
            Finding::Good(what) => format!("ok       {name:<8} {what}\n"),
            Finding::Lacking { what, fix } => {
                format!("lacking  {name:<8} {what}\n{:18}fix: {fix}\n", "")
            }
            Finding::Bad { what, fix } => {
                is_broken = true;
                format!("broken   {name:<8} {what}\n{:18}fix: {fix}\n", "")
            }
        };
        print(&harmless(&line))?;
    }
    if is_broken {
        return Err(ExitError::new(
            1,
            "something is broken; each line above says how to fix it",
        ));
    }
    Ok(())
}

async fn broker(process: &Process) -> Finding {
    let settings = &process.settings;
    let Some(url) = &settings.amqp_url else {
        return Finding::Good(
            "not needed: the bus is in memory, as AMQP_URL is not set".to_owned(),
        );
    };
    let address = format!("{}:{}", url.host(), url.port());
    let connected = async {
        let bus = broker::connect(settings, process.name)?;
        let opened = bus.open("doctor").await.map_err(broker::exit);
        bus.close().await;
        opened.map(drop)
    };
    match tokio::time::timeout(BROKER_TIME, connected).await {
        Ok(Ok(())) => Finding::Good(format!("RabbitMQ at {address} takes connections")),
        Ok(Err(error)) => Finding::Bad {
            what: error.to_string(),
            fix: format!(
                "start RabbitMQ at {address}, or correct AMQP_URL, AMQP_USERNAME, AMQP_PASSWORD \
                 and the AMQP_TLS settings"
            ),
        },
        Err(_) => Finding::Bad {
            what: format!("{address} takes the connection and does not answer"),
            fix: "check that the port is RabbitMQ's AMQP port, and with TLS or without".to_owned(),
        },
    }
}

/// Whether this process may send echo requests, by sending one to itself.
async fn icmp(process: &Process) -> Finding {
    let mut settings = (*process.settings).clone();
    settings.amqp_url = None;
    let mut here = process.clone();
    here.settings = settings.into();
    match ping_loopback(&here).await {
        Ok(result) if result["isError"] == Value::Bool(false) => {
            Finding::Good("this process may send ICMP echo requests".to_owned())
        }
        Ok(result) => {
            let error = &result["structuredContent"]["error"];
            let text = |key: &str| error[key].as_str().unwrap_or("unknown").to_owned();
            Finding::Lacking {
                what: text("message"),
                fix: text("hint"),
            }
        }
        Err(error) => Finding::Bad {
            what: error.to_string(),
            fix: "see the log with RUST_LOG=debug".to_owned(),
        },
    }
}

async fn ping_loopback(process: &Process) -> Result<Value, ExitError> {
    let mut client = Client::start(process).await?;
    let arguments = [
        ("host", Value::from("127.0.0.1")),
        ("count", 1.into()),
        ("timeout", 1.into()),
    ];
    let arguments: Map<String, Value> = arguments
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let result = client.call("ping", arguments, None, |_| ()).await;
    client.end().await?;
    result
}

/// Whether the program is there; nothing is run.
fn nmap() -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found: Option<PathBuf> = std::env::split_paths(&path)
        .map(|folder| folder.join("nmap"))
        .find(|file| file.is_file());
    match found {
        Some(file) => Finding::Good(format!("found at {}", file.display())),
        None => Finding::Lacking {
            what: "the program nmap is not in PATH; only the nmap tools need it".to_owned(),
            fix: "apt-get install nmap, or your system's package of that name".to_owned(),
        },
    }
}

fn scope(settings: &Settings) -> Finding {
    let (allow, deny) = (&settings.scan_scope_allow, &settings.scan_scope_deny);
    let denied = if deny.is_empty() {
        String::new()
    } else {
        format!(", except {}", deny.join(" "))
    };
    if allow.is_empty() {
        let what = format!("tools may reach loopback and private addresses{denied}");
        return Finding::Good(format!("{what}; SCAN_SCOPE_ALLOW extends that"));
    }
    let whole = |entry: &String| entry.ends_with("/0");
    if allow.iter().any(whole) {
        return Finding::Lacking {
            what: format!("tools may reach the whole internet{denied}"),
            fix: "name in SCAN_SCOPE_ALLOW only the networks that are yours".to_owned(),
        };
    }
    Finding::Good(format!("tools may reach {}{denied}", allow.join(" ")))
}
