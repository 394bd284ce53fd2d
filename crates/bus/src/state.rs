use std::sync::Arc;

/// Whether a bus takes messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BusState {
    /// There is no connection to the broker, or not every connection that there should be.
    #[default]
    Disconnected,
    /// Messages are taken.
    Connected,
    /// The broker is short of a resource, has raised an alarm and takes no messages until it is
    /// over. The reason is the broker's own, for example `low on memory`.
    Blocked(Arc<str>),
}
