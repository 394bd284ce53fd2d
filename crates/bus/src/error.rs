use thiserror::Error as ThisError;

/// Why a link or a queue operation failed.
#[derive(Debug, Clone, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The broker could not be reached, or refused the connection.
    #[error("cannot connect to the message broker at {url}: {reason}")]
    Connect {
        /// Address without credentials.
        url: String,
        /// What the transport or the broker said.
        reason: String,
    },
    /// The connection ended.
    #[error("the connection to the message broker was lost: {0}")]
    Lost(String),
    /// A queue or exchange exists with other arguments (AMQP reply code 406).
    #[error("queue or exchange {name:?} exists with other arguments: {reason}")]
    Mismatch {
        /// Queue or exchange.
        name: String,
        /// What the broker said.
        reason: String,
    },
    /// The broker refused an operation for good (AMQP reply codes 403, 404, 405, 530).
    #[error("the message broker refused: {0}")]
    Refused(String),
    /// An operation took too long.
    #[error("the message broker did not answer within {0:?}")]
    Timeout(std::time::Duration),
    /// The configured number of attempts to connect is used up.
    #[error("gave up on the message broker after {attempts} attempts: {last}")]
    AttemptsUsedUp {
        /// How many attempts failed in a row.
        attempts: usize,
        /// The last failure.
        last: Box<Error>,
    },
    /// A setting of the connection is unusable.
    #[error("{setting}: {reason}")]
    Settings {
        /// Environment variable at fault.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A part of the bus has ended by a fault of its own; only another process helps.
    #[error("{0} has ended by a fault of the program; see the log")]
    Failed(&'static str),
    /// The bus was closed by its owner.
    #[error("the bus is closed")]
    Closed,
}

impl Error {
    /// True when trying again cannot help until somebody changes something.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Mismatch { .. }
                | Self::AttemptsUsedUp { .. }
                | Self::Settings { .. }
                | Self::Failed(_)
                | Self::Closed
        )
    }

    /// How to fix it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connect { .. } | Self::AttemptsUsedUp { .. } => Some(
                "check AMQP_URL, that the broker runs, and its user, password and TLS settings"
                    .to_owned(),
            ),
            Self::Mismatch { name, .. } => Some(format!(
                "the queue was made by another version or by hand: stop the workers, move its \
                 messages away if they matter, delete it (rabbitmqctl delete_queue {name}) and \
                 start again"
            )),
            _ => None,
        }
    }
}

/// Why a message was not taken over by the broker.
#[derive(Debug, Clone, ThisError)]
#[non_exhaustive]
pub enum PublishError {
    /// No queue is bound to the routing key.
    #[error("no queue takes messages with routing key {0:?}")]
    Unroutable(String),
    /// The queue is full, or the broker is short of a resource.
    #[error("the broker cannot take more messages for routing key {0:?} now")]
    Busy(String),
    /// The broker has raised an alarm and takes no requests until it is over.
    #[error("the message broker has raised an alarm and takes no requests now: {reason}")]
    Blocked {
        /// What the broker is short of, in its own words.
        reason: String,
        /// Whether the message was on its way already and may arrive after the alarm.
        may_arrive: bool,
    },
    /// The connection ended before the broker confirmed; it may or may not have the message.
    #[error("the connection was lost before the broker confirmed the message")]
    Lost,
    /// There is no connection now; nothing was sent.
    #[error("there is no connection to the message broker")]
    Disconnected,
    /// The body has more bytes than a message may have.
    #[error("it has {bytes} bytes, and a message may have {limit} (AMQP_MAX_MESSAGE_SIZE)")]
    TooLarge {
        /// Bytes of the body, before it would be compressed.
        bytes: usize,
        /// The limit of this process or of the broker.
        limit: usize,
    },
    /// The message breaks a limit of AMQP 0-9-1.
    #[error("the message cannot be sent: {0}")]
    Limit(String),
}

impl PublishError {
    /// The message can never be sent, whatever becomes of the broker.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Limit(_))
    }
}
