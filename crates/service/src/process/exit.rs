//! Why a process ends, for the operator and for what started it.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::Error;

/// The error that ends a process. Exit codes are those of BSD's `sysexits.h`.
///
/// Any other error becomes one with `?`, as a fault of the platform (70).
#[derive(Debug)]
pub struct ExitError {
    code: u8,
    error: Box<dyn StdError + Send + Sync>,
    hint: Option<String>,
}

/// A port that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub(super) struct PortError {
    pub(super) address: String,
    pub(super) source: io::Error,
}

impl ExitError {
    /// A setting or an argument is not valid: 64.
    pub fn usage(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(64, error)
    }

    /// Something that the process needs is not there, such as the broker after the last attempt:
    /// 69.
    pub fn unavailable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(69, error)
    }

    /// A fault of the platform itself: 70.
    pub fn internal(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(70, error)
    }

    /// Another exit code, where a command has a meaning of its own for it.
    pub fn new(code: u8, error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self {
            code,
            error: error.into(),
            hint: None,
        }
    }

    /// Says how to fix it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }
}

/// `error:` what, one `why:` for each source, `fix:` how.
impl fmt::Display for ExitError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "error: {}", self.error)?;
        let mut source = self.error.source();
        while let Some(error) = source {
            write!(formatter, "\n  why: {error}")?;
            source = error.source();
        }
        if let Some(hint) = &self.hint {
            write!(formatter, "\n  fix: {hint}")?;
        }
        Ok(())
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for ExitError {
    fn from(error: E) -> Self {
        let error: Box<dyn StdError + Send + Sync> = Box::new(error);
        match error.downcast::<Error>() {
            Ok(error) => of_the_frame(*error),
            Err(error) => Self::internal(error),
        }
    }
}

/// Tells the error on standard error and gives its code, for a `main` that fails before it runs a
/// process.
#[must_use]
pub fn report(error: &ExitError) -> ExitCode {
    let mut text = String::new();
    let _ = writeln!(text, "{error}");
    // Where even standard error is closed, the exit code has to do.
    let _ = io::stderr().write_all(text.as_bytes());
    ExitCode::from(error.code)
}

pub(super) fn drain_overdue() -> ExitError {
    let seconds = super::DRAIN_DEADLINE.as_secs();
    ExitError::internal(format!(
        "the work did not end within {seconds} s of the signal"
    ))
    .hint("calls that ran are delivered again to another worker")
}

/// Settings are the operator's to fix, and so is an exporter that they ask for.
fn of_the_frame(error: Error) -> ExitError {
    let hint = error.hint();
    match error {
        Error::Subscriber(_) => ExitError::internal(error).hint(hint),
        _ => ExitError::usage(error).hint(hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_why_and_how_to_fix_it() {
        let port = PortError {
            address: "127.0.0.1:1".to_owned(),
            source: io::Error::other("taken"),
        };
        let error = ExitError::unavailable(port).hint("use another port");
        assert_eq!(
            error.to_string(),
            "error: cannot listen on 127.0.0.1:1\n  why: taken\n  fix: use another port"
        );
        assert_eq!(error.code(), 69);
    }

    #[test]
    fn an_error_without_a_code_is_a_fault_of_the_platform() {
        let fail = || -> Result<(), ExitError> { Err(io::Error::other("broken"))? };
        assert_eq!(fail().unwrap_err().code(), 70);
    }

    #[test]
    fn settings_that_are_not_valid_are_an_error_of_usage() {
        let error: ExitError = Error::Invalid(Vec::new()).into();
        assert_eq!(error.code(), 64);
        assert!(
            error.to_string().contains("fix: docs/configuration.md"),
            "{error}"
        );
    }
}
