//! What can go wrong before a process does its work.

use std::io;
use std::path::PathBuf;

use crate::settings::Problem;

/// Why the settings or the telemetry of a process could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration file could not be read.
    #[error("cannot read the configuration file {path}")]
    FileUnreadable {
        /// The file that was asked for.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The configuration file is not TOML.
    #[error("the configuration file {path} is not valid TOML: {reason}")]
    FileMalformed {
        /// The file that was read.
        path: PathBuf,
        /// Line, column and reason, without the text of the file, which may hold secrets.
        reason: String,
    },
    /// Keys or values that are not allowed, all of them.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
    /// The HTTP client for the OTLP receiver could not be built.
    #[error("cannot set up the export of spans")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another subscriber is installed in this process already.
    #[error("cannot install the log")]
    Subscriber(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// How to fix it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::FileUnreadable { .. } => {
                "DISCOVERY_CONFIG names the file; without it discovery.toml in the current \
                 directory is read if there is one"
            }
            Self::FileMalformed { .. } => "write one `key = value` per line, text in quotes",
            Self::Invalid(_) => "docs/configuration.md lists every setting",
            Self::Exporter(_) => {
                "check OTEL_EXPORTER_OTLP_ENDPOINT and the certificates of the system"
            }
            Self::Subscriber(_) => "initialise telemetry once per process",
        }
    }
}

/// One problem stands on the line of the error, several below it.
fn lines(problems: &[Problem]) -> String {
    if let [problem] = problems {
        return problem.to_string();
    }
    let mut text = format!("{} settings are not valid", problems.len());
    for problem in problems {
        text.push_str("\n  ");
        text.push_str(&problem.to_string());
    }
    text
}
