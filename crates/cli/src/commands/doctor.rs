use std::time::Duration;

use futures::future::join_all;
use serde_json::{Map, Value};
use service::{ExitError, Process, Settings, broker};
use standalone::Nmap;

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
        ("nmap", nmap(&process.settings)),
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
    let Some(urls) = &settings.amqp_url else {
        return Finding::Good(
            "not needed: the bus is in memory, as AMQP_URL is not set".to_owned(),
        );
    };
    let nodes: Vec<(String, Result<(), String>)> = join_all(urls.iter().map(async |url| {
        let mut settings = (**settings).clone();
        settings.amqp_url = Some(url.clone().into());
        let address = format!("{}:{}", url.host(), url.port());
        (address, node(&settings, process.name).await)
    }))
    .await;
    let (good, bad): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|(_, tried)| tried.is_ok());
    let addresses = |nodes: &[(String, _)]| {
        let addresses: Vec<&str> = nodes.iter().map(|(address, _)| address.as_str()).collect();
        addresses.join(", ")
    };
    if bad.is_empty() {
        let good = addresses(&good);
        return Finding::Good(format!("RabbitMQ at {good} takes connections"));
    }
    let reasons: Vec<String> = bad
        .iter()
        .filter_map(|(_, bad)| bad.clone().err())
        .collect();
    let (what, bad) = (reasons.join("; "), addresses(&bad));
    let fix = format!(
        "start RabbitMQ at {bad}, or correct AMQP_URL, AMQP_USERNAME, AMQP_PASSWORD and the \
         AMQP_TLS settings; the port must be the one for AMQP, with TLS or without"
    );
    if good.is_empty() {
        return Finding::Bad { what, fix };
    }
    let what = format!(
        "RabbitMQ at {} takes connections, but {what}",
        addresses(&good)
    );
    Finding::Lacking { what, fix }
}

/// Whether one node of the broker takes a connection; why not, otherwise.
async fn node(settings: &Settings, name: &'static str) -> Result<(), String> {
    let connected = async {
        let bus = broker::connect(settings, name)?;
        let opened = bus.open("doctor").await.map_err(broker::exit);
        bus.close().await;
        opened.map(drop)
    };
    match tokio::time::timeout(BROKER_TIME, connected).await {
        Ok(connected) => connected.map_err(|error| error.to_string()),
        Err(_) => Err("the port takes the connection and does not answer".to_owned()),
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

/// Whether the program is there and may do what its tools need; nothing is run.
fn nmap(settings: &Settings) -> Finding {
    let nmap = match Nmap::find(&settings.nmap_program) {
        Ok(nmap) => nmap,
        Err(error) => {
            return Finding::Lacking {
                what: format!("{error}; only the nmap tools need it"),
                fix: error.hint().unwrap_or_default(),
            };
        }
    };
    let program = nmap.program.display();
    match nmap.raw_sockets {
        Ok(()) => Finding::Good(format!("found at {program}, with raw sockets")),
        Err(why) => Finding::Lacking {
            what: format!(
                "found at {program}; its SYN and UDP scans need raw sockets, and {why}"
            ),
            fix: "sudo setcap cap_net_raw+ep on this program or on nmap; in a container, cap_add NET_RAW".to_owned(),
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
