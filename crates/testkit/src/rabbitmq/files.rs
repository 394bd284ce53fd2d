//! The folder of a node: where its program is, its configuration, its environment.

use std::{
    fmt::Write as _,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use uuid::Uuid;

use super::broker::Broker;
use crate::{certificates::Files, ports::free_port};

/// Where Debian and `RabbitMQ`'s own packages put the server; the wrapper on `PATH` insists on
/// being root or the user `rabbitmq`, the program in here does not.
const INSTALLED: &str = "/usr/lib/rabbitmq/lib";

/// What the TLS listener shows and asks for.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    pub(super) files: Files,
    pub(super) client_certificate: bool,
}

/// The server program.
pub(super) fn server() -> Result<PathBuf> {
    let folders = fs::read_dir(INSTALLED).into_iter().flatten().flatten();
    folders
        .map(|folder| folder.path().join("sbin/rabbitmq-server"))
        .filter(|path| path.exists())
        .max()
        .with_context(|| format!("no RabbitMQ in {INSTALLED}: run scripts/test, which installs it"))
}

/// What makes a node one of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    /// The node's own name.
    pub(super) name: String,
    /// The names of all nodes.
    pub(super) all: Vec<String>,
    pub(super) cookie: String,
    /// Where all of them find each other.
    pub(super) epmd_port: u16,
}

impl Membership {
    /// A node that is alone.
    pub(super) fn alone() -> Result<Self> {
        Ok(Self {
            name: fresh_name(),
            all: Vec::new(),
            cookie: Uuid::new_v4().simple().to_string(),
            epmd_port: free_port()?,
        })
    }
}

/// A name that no other node has.
pub(super) fn fresh_name() -> String {
    format!("testkit-{}@localhost", Uuid::new_v4().simple())
}

/// Writes a fresh folder for a node on free ports.
pub(super) fn create(folder: &Path, tls: Option<&Tls>, member: Membership) -> Result<Broker> {
    let broker = Broker {
        node: member.name,
        cookie: member.cookie,
        amqp_port: free_port()?,
        distribution_port: free_port()?,
        epmd_port: member.epmd_port,
        tls_port: tls.map(|_| free_port()).transpose()?,
    };
    for name in ["home", "log", "mnesia"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let cookie = folder.join("home/.erlang.cookie");
    fs::write(&cookie, broker.cookie())?;
    // Erlang refuses a cookie that others can read.
    fs::set_permissions(&cookie, Permissions::from_mode(0o600))?;
    fs::write(folder.join("enabled_plugins"), "[].\n")?;
    let text = configuration(&broker, tls)? + &cluster(&member.all)?;
    fs::write(folder.join("rabbitmq.conf"), text)?;
    Ok(broker)
}

fn configuration(broker: &Broker, tls: Option<&Tls>) -> Result<String> {
    let mut text = format!(
        "listeners.tcp.1 = 127.0.0.1:{}\ndisk_free_limit.absolute = 50MB\n",
        broker.amqp_port
    );
    if let (Some(tls), Some(port)) = (tls, broker.tls_port) {
        let Files {
            ca,
            certificate,
            key,
        } = &tls.files;
        let verify = if tls.client_certificate {
            "verify_peer"
        } else {
            "verify_none"
        };
        writeln!(text, "listeners.ssl.1 = 127.0.0.1:{port}")?;
        writeln!(text, "ssl_options.cacertfile = {}", ca.display())?;
        writeln!(text, "ssl_options.certfile = {}", certificate.display())?;
        writeln!(text, "ssl_options.keyfile = {}", key.display())?;
        writeln!(text, "ssl_options.verify = {verify}")?;
        writeln!(
            text,
            "ssl_options.fail_if_no_peer_cert = {}",
            tls.client_certificate
        )?;
    }
    Ok(text)
}

/// How the nodes of a cluster find each other; nothing for a node that is alone.
fn cluster(nodes: &[String]) -> Result<String> {
    let mut text = String::new();
    if !nodes.is_empty() {
        writeln!(
            text,
            "cluster_formation.peer_discovery_backend = classic_config"
        )?;
    }
    for (position, node) in nodes.iter().enumerate() {
        let number = position + 1;
        writeln!(
            text,
            "cluster_formation.classic_config.nodes.{number} = {node}"
        )?;
    }
    Ok(text)
}

/// The environment that keeps the node inside its folder and on the loopback address.
pub(super) fn environment(folder: &Path, broker: &Broker) -> Vec<(&'static str, String)> {
    let path = |name: &str| folder.join(name).display().to_string();
    vec![
        ("HOME", path("home")),
        ("RABBITMQ_NODENAME", broker.node.clone()),
        ("RABBITMQ_NODE_PORT", broker.amqp_port.to_string()),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_DIST_PORT", broker.distribution_port.to_string()),
        ("ERL_EPMD_PORT", broker.epmd_port.to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        ("RABBITMQ_MNESIA_BASE", path("mnesia")),
        ("RABBITMQ_LOG_BASE", path("log")),
        ("RABBITMQ_PID_FILE", path("pid")),
        ("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins")),
        ("RABBITMQ_CONF_ENV_FILE", path("none")),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
        ),
    ]
}
