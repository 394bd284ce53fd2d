//! A running node as its users see it, whoever started it.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::erlang;

/// How long a look at the node's port may take.
const LOOK: Duration = Duration::from_secs(2);

/// How to reach a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Broker {
    pub(super) node: String,
    pub(super) cookie: String,
    pub(super) amqp_port: u16,
    pub(super) distribution_port: u16,
    pub(super) epmd_port: u16,
    pub(super) tls_port: Option<u16>,
}

impl Broker {
    /// The port of the plain AMQP listener on 127.0.0.1.
    #[must_use]
    pub fn amqp_port(&self) -> u16 {
        self.amqp_port
    }

    /// The port of the TLS listener on 127.0.0.1, where the node has one.
    #[must_use]
    pub fn tls_port(&self) -> Option<u16> {
        self.tls_port
    }

    pub(super) fn distribution_port(&self) -> u16 {
        self.distribution_port
    }

    pub(super) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// The URL of a virtual host, with the credentials every node knows (`guest`).
    #[must_use]
    pub fn amqp_url(&self, vhost: &str) -> String {
        let vhost = vhost.replace('%', "%25").replace('/', "%2f");
        format!("amqp://guest:guest@127.0.0.1:{}/{vhost}", self.amqp_port)
    }

    /// Whether the node speaks AMQP on its port.
    ///
    /// It answers a protocol header with a method frame, whose first byte is 1.
    pub(crate) fn is_ready(&self) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.amqp_port));
        let Ok(mut stream) = TcpStream::connect_timeout(&address, LOOK) else {
            return false;
        };
        let mut first = [0];
        let _ = stream.set_read_timeout(Some(LOOK));
        stream
            .write_all(b"AMQP\0\0\x09\x01")
            .and_then(|()| stream.read_exact(&mut first))
            .is_ok()
            && first == [1]
    }

    /// Whether anything listens on the node's port.
    pub(super) fn is_listening(&self) -> bool {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.amqp_port));
        TcpStream::connect_timeout(&address, LOOK).is_ok()
    }

    /// Evaluates an Erlang expression inside the node and gives its value as text.
    ///
    /// The value must be a string or a binary; `rabbit_json:encode(...)` makes one of most terms.
    ///
    /// # Errors
    /// The node is down or refuses the expression.
    pub async fn eval(&self, expression: &str) -> Result<String> {
        erlang::eval(self, expression).await
    }

    /// Makes a virtual host in which `guest` may do everything.
    ///
    /// # Errors
    /// The node is down.
    pub async fn create_vhost(&self, name: &str) -> Result<()> {
        let name = quoted(name);
        self.eval(&format!(
            "begin rabbit_vhost:add({name}, <<\"testkit\">>), \
             rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, {name}, \
             <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"testkit\">>), \"made\" end"
        ))
        .await
        .with_context(|| format!("virtual host {name}"))?;
        Ok(())
    }

    /// A fresh virtual host, removed with everything in it when the value is dropped.
    ///
    /// # Errors
    /// The node is down.
    pub async fn vhost(&self) -> Result<Vhost> {
        let name = format!("test-{}", Uuid::new_v4().simple());
        self.create_vhost(&name).await?;
        Ok(Vhost {
            broker: self.clone(),
            name,
        })
    }

    /// Closes every client connection of a virtual host, as an operator would.
    ///
    /// Clients see `320 CONNECTION_FORCED`.
    ///
    /// # Errors
    /// The node is down.
    pub async fn close_connections(&self, vhost: &str) -> Result<()> {
        let vhost = quoted(vhost);
        self.eval(&format!(
            "begin [rabbit_networking:close_connection(Pid, \"closed by a test\") || \
             [{{pid, Pid}}, {{vhost, Host}}] <- rabbit_networking:connection_info_all([pid, vhost]), \
             Host =:= {vhost}], \"closed\" end"
        ))
        .await?;
        Ok(())
    }
}

/// A virtual host of one test's own.
#[derive(Debug)]
pub struct Vhost {
    broker: Broker,
    name: String,
}

impl Vhost {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its AMQP URL, credentials included.
    #[must_use]
    pub fn url(&self) -> String {
        self.broker.amqp_url(&self.name)
    }

    /// The node it is on.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.broker
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        // A stopped node has nothing to remove, and a failed removal only costs memory until the
        // node ends; so nothing here is worth failing a test for.
        let mut command = erlang::call(&self.broker);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else {
            return;
        };
        let expression = format!(
            "begin rabbit_vhost:delete({}, <<\"testkit\">>), \"gone\" end",
            quoted(&self.name)
        );
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(erlang::program(&expression).as_bytes());
        }
        // Not waited for in the common case: the removal of many queues takes a while, and the
        // next test does not depend on it. `try_wait` reaps the child if it is that quick.
        let _ = child.try_wait();
    }
}

/// A name as an Erlang binary.
pub(crate) fn quoted(name: &str) -> String {
    let bytes: Vec<String> = name.bytes().map(|byte| byte.to_string()).collect();
    format!("<<{}>>", bytes.join(","))
}
