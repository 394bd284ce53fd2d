//! The broker as its operator sees it.

use serde_json::Value;
use testkit::{
    queues::{Topology, topology},
    rabbitmq::{Broker, shared},
    wait,
};

use crate::site::{SOON, Site};

/// An operator of a site's virtual host on the shared broker.
pub(super) struct Operator {
    broker: &'static Broker,
    vhost: String,
}

/// One connection, with what the two ends agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connection {
    /// What the client calls it.
    pub(super) name: String,
    pub(super) user: String,
    /// Interval of heartbeats in seconds.
    pub(super) heartbeat: u64,
}

impl Operator {
    pub(super) async fn of(site: &Site) -> Self {
        let url = site.url();
        let (_, vhost) = url.rsplit_once('/').unwrap();
        Self {
            broker: shared().await.unwrap(),
            vhost: vhost.to_owned(),
        }
    }

    /// Evaluates an expression in which `VHOST` stands for the virtual host.
    pub(super) async fn eval(&self, expression: &str) -> Value {
        let vhost = format!("<<\"{}\">>", self.vhost);
        let text = self.broker.eval(&expression.replace("VHOST", &vhost)).await;
        let text = text.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"))
    }

    /// All connections, by name.
    pub(super) async fn connections(&self) -> Vec<Connection> {
        let found = self
            .eval(
                "rabbit_json:encode([#{name => N, user => U, heartbeat => T} \
                 || [{vhost, V}, {user, U}, {timeout, T}, {client_properties, P}] \
                 <- rabbit_networking:connection_info_all([vhost, user, timeout, client_properties]), \
                 V =:= VHOST, {<<\"connection_name\">>, _, N} <- P])",
            )
            .await;
        let connection = |it: &Value| Connection {
            name: it["name"].as_str().unwrap().to_owned(),
            user: it["user"].as_str().unwrap().to_owned(),
            heartbeat: it["heartbeat"].as_u64().unwrap(),
        };
        let mut connections: Vec<Connection> =
            found.as_array().unwrap().iter().map(connection).collect();
        connections.sort_by(|a, b| a.name.cmp(&b.name));
        connections
    }

    /// Waits until there are so many connections whose name contains a text.
    pub(super) async fn until_connected(&self, name: &str, n_connections: usize) {
        let what = format!("{n_connections} connections called {name:?}");
        let connected = async || {
            let connections = self.connections().await;
            let found = connections.iter().filter(|it| it.name.contains(name));
            (found.count() == n_connections).then_some(())
        };
        wait::until(&what, SOON, connected).await.unwrap();
    }

    /// The prefetch of each consumer of a queue.
    pub(super) async fn prefetches(&self, queue: &str) -> Vec<u64> {
        let found = self
            .eval(
                "rabbit_json:encode([#{queue => element(4, Q), prefetch => P} \
                 || C <- rabbit_amqqueue:consumers_all(VHOST), \
                 {queue_name, Q} <- C, {prefetch_count, P} <- C])",
            )
            .await;
        let consumers = found.as_array().unwrap().iter();
        consumers
            .filter(|it| it["queue"] == queue)
            .map(|it| it["prefetch"].as_u64().unwrap())
            .collect()
    }

    pub(super) async fn topology(&self) -> Topology {
        topology(self.broker, &self.vhost).await.unwrap()
    }

    /// Makes a user who may do everything on the virtual host, and nothing elsewhere.
    pub(super) async fn add_user(&self, name: &str, password: &str) {
        self.eval(&format!(
            "begin ok = rabbit_auth_backend_internal:add_user(<<\"{name}\">>, <<\"{password}\">>, \
             <<\"testkit\">>), ok = rabbit_auth_backend_internal:set_permissions(<<\"{name}\">>, \
             VHOST, <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"testkit\">>), \"true\" end"
        ))
        .await;
    }

    pub(super) async fn remove_user(&self, name: &str) {
        self.eval(&format!(
            "begin rabbit_auth_backend_internal:delete_user(<<\"{name}\">>, <<\"testkit\">>), \
             \"true\" end"
        ))
        .await;
    }
}
