//! What is wrong with a setting, or looks wrong.

use std::fmt;
use std::path::PathBuf;

/// Where the value of a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// The environment variable of this name.
    Environment(String),
}

/// A key or a value that stops the start of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key as it was written: a variable's name, or a key of the file.
    pub key: String,
    /// The value, `***` if it may hold a secret; `None` if the key itself is at fault.
    pub value: Option<String>,
    /// Where it was found.
    pub origin: Origin,
    /// What is wrong.
    pub reason: String,
    /// What is allowed, or the key that was probably meant.
    pub allowed: String,
}

/// Something in the environment that looks like a setting and is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The variable.
    pub variable: String,
    /// The setting with the most similar name, if one is similar.
    pub nearest: Option<String>,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(path) => write!(formatter, "file {}", path.display()),
            Self::Environment(variable) => write!(formatter, "environment variable {variable}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            value,
            origin,
            reason,
            allowed,
        } = self;
        write!(formatter, "{key}")?;
        if let Some(value) = value {
            write!(formatter, " = `{value}`")?;
        }
        write!(formatter, " ({origin}): {reason}; allowed: {allowed}")
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "environment variable {} is not a setting",
            self.variable
        )?;
        match &self.nearest {
            Some(nearest) => write!(formatter, "; {nearest} has a similar name"),
            None => Ok(()),
        }
    }
}
