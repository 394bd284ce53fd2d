use std::io;

use service::ExitError;
use thiserror::Error as ThisError;

/// Why a gateway could not start or had to end.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// A setting is well formed and yet unusable.
    #[error("{name} is not usable")]
    Setting {
        /// Environment variable at fault.
        name: &'static str,
        /// What is wrong with it.
        source: protocol::Error,
    },
    /// The keys of sessions cannot be used. What was given is not repeated.
    #[error("SESSION_KEY is not usable")]
    SessionKey(#[source] seal::KeyError),
    /// Only the AMQP front was asked for.
    #[error("TRANSPORT_MODE = `amqp`: the gateway does not serve clients over AMQP yet")]
    AmqpOnly,
    /// The HTTP port could not be opened.
    #[error("cannot listen on {host}:{port}")]
    Listen {
        /// What `HTTP_HOST` says.
        host: String,
        /// What `HTTP_PORT` says.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The message bus gave up.
    #[error("the message bus is gone")]
    Bus(#[from] bus::Error),
    /// Standard input or output failed.
    #[error("standard input or output failed")]
    Stdio(#[source] io::Error),
    /// A part of the gateway ended by itself.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
}

impl Error {
    /// How to fix it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Setting { .. } => "docs/configuration.md lists every setting".to_owned(),
            Self::SessionKey(_) => {
                "set SESSION_KEY to what `openssl rand -hex 32` prints, the same at every replica \
                 of the gateway"
                    .to_owned()
            }
            Self::AmqpOnly => "set TRANSPORT_MODE to `http`, `stdio` or both".to_owned(),
            Self::Listen { .. } => {
                "set HTTP_PORT to a free port, or end the process that has this one; HTTP_HOST \
                 must be an address of this machine"
                    .to_owned()
            }
            Self::Bus(error) => error.hint().unwrap_or_else(|| "see the log".to_owned()),
            Self::Stdio(_) => "the client has closed its end".to_owned(),
            Self::Ended(_) => "see the log; this is a fault of the gateway".to_owned(),
        }
    }

    /// The error with which the process ends, exit code included.
    #[must_use]
    pub fn into_exit(self) -> ExitError {
        let hint = self.hint();
        let exit = match self {
            Self::Setting { .. }
            | Self::SessionKey(_)
            | Self::AmqpOnly
            | Self::Bus(bus::Error::Settings { .. }) => ExitError::usage(self),
            Self::Listen { .. } | Self::Bus(_) => ExitError::unavailable(self),
            Self::Stdio(_) | Self::Ended(_) => ExitError::internal(self),
        };
        exit.hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_told_with_the_setting_to_change() {
        let error = Error::Listen {
            host: "127.0.0.1".to_owned(),
            port: 3000,
            source: io::Error::from(io::ErrorKind::AddrInUse),
        };
        let exit = error.into_exit();
        assert_eq!(exit.code(), 69);
        let text = exit.to_string();
        assert!(
            text.contains("127.0.0.1:3000") && text.contains("HTTP_PORT"),
            "{text}"
        );
    }

    #[test]
    fn a_broker_that_is_gone_for_good_gives_69_and_a_bad_setting_64() {
        let attempts = bus::Error::AttemptsUsedUp {
            attempts: 3,
            last: Box::new(bus::Error::Closed),
        };
        assert_eq!(Error::from(attempts).into_exit().code(), 69);
        let setting = bus::Error::Settings {
            setting: "AMQP_URL",
            reason: "x".to_owned(),
        };
        assert_eq!(Error::from(setting).into_exit().code(), 64);
        assert_eq!(Error::AmqpOnly.into_exit().code(), 64);
        let key = Error::SessionKey(seal::KeyError::Format).into_exit();
        assert_eq!(key.code(), 64);
        assert!(key.to_string().contains("SESSION_KEY"), "{key}");
    }
}
