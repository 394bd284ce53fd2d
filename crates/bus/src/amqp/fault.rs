use lapin::ErrorKind;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};

use crate::Error;

/// What a failed queue operation means.
pub(super) fn of_operation(error: &lapin::Error, name: &str) -> Error {
    let ErrorKind::ProtocolError(amqp) = error.kind() else {
        return Error::Lost(error.to_string());
    };
    let reason = amqp.get_message().to_string();
    match amqp.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => Error::Mismatch {
            name: name.to_owned(),
            reason,
        },
        AMQPErrorKind::Soft(_) => Error::Refused(reason),
        AMQPErrorKind::Hard(_) => Error::Lost(reason),
    }
}

/// The queue does not exist (reply code 404).
pub(super) fn is_not_found(error: &lapin::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ProtocolError(amqp)
            if *amqp.kind() == AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
    )
}
