use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use lapin::{Connection, ConnectionStatus, Event};
use tokio::time::{Interval, interval};

use crate::Error;

/// How often the state of a connection is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What a connection goes through.
#[derive(Debug)]
pub(super) enum Turn {
    /// The broker takes nothing more on it, for this reason.
    Blocked(String),
    /// The broker takes messages again.
    Unblocked,
    /// It has ended.
    Ended(Error),
}

/// Sees what becomes of a connection.
///
/// An error event may concern a channel only, and not every end of a connection is
/// announced as an event; so the connection's state decides about its end.
pub(super) struct Watcher {
    status: ConnectionStatus,
    events: BoxStream<'static, Event>,
    look: Interval,
    why: String,
}

impl Watcher {
    pub(super) fn of(connection: &Connection) -> Self {
        Self {
            status: connection.status().clone(),
            events: connection.events_listener().boxed(),
            look: interval(LOOK),
            why: "the connection has ended".to_owned(),
        }
    }

    /// The next turn. Cancel safe; after [`Turn::Ended`] it says the same again.
    pub(super) async fn next(&mut self) -> Turn {
        loop {
            tokio::select! {
                Some(event) = self.events.next() => match event {
                    Event::ConnectionBlocked(reason) => return Turn::Blocked(reason),
                    Event::ConnectionUnblocked => return Turn::Unblocked,
                    Event::Error(error) => self.why = error.to_string(),
                    _ => {}
                },
                _ = self.look.tick() => {}
            }
            if !self.status.connected() {
                return Turn::Ended(Error::Lost(self.why.clone()));
            }
        }
    }

    /// Resolves at the end of the connection, with the reason.
    pub(super) async fn ended(&mut self) -> Error {
        loop {
            if let Turn::Ended(error) = self.next().await {
                return error;
            }
        }
    }
}
