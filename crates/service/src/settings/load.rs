//! The layers: defaults, then the file, then the environment.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use config::{Config, Environment, File, FileFormat, Source, Value};

use super::entries::{Description, descriptions, text};
use super::{Error, Origin, Problem, Settings, Warning};

/// Names the file in place of `discovery.toml` in the current directory.
const FILE_VARIABLE: &str = "DISCOVERY_CONFIG";
const DEFAULT_FILE: &str = "discovery.toml";
/// A variable that begins so and is no setting is probably a mistake.
const OWN_PREFIXES: [&str; 7] = [
    "AMQP_",
    "DISCOVERY_",
    "MCP_SESSION_",
    "NMAP_",
    "SCAN_SCOPE_",
    "SESSION_KEY",
    "SNMP_SESSION_",
];
/// Similarity from which a name is worth a suggestion: a slip or two in a usual name.
const SIMILAR: f64 = 0.7;

/// Settings, where each came from, and what looked wrong on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Variables that look like settings and are none; to be logged once the log is there.
    pub warnings: Vec<Warning>,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Where the value of a key came from.
    #[must_use]
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }
}

impl From<Settings> for Loaded {
    /// Settings that were made by a program; every origin is the default.
    fn from(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }
}

impl Settings {
    /// Reads the settings of this process: defaults, then `discovery.toml` in the current
    /// directory or the file named by `DISCOVERY_CONFIG`, then the environment.
    ///
    /// # Errors
    /// If the named file is missing or unreadable, or any key or value is not allowed; the process
    /// should say so and end with exit code 64.
    pub fn load() -> Result<Loaded, Error> {
        let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let named = environment
            .iter()
            .find(|(variable, value)| variable == FILE_VARIABLE && !value.is_empty())
            .map(|(_, path)| PathBuf::from(path));
        let file = named.or_else(|| {
            let default = PathBuf::from(DEFAULT_FILE);
            default.exists().then_some(default)
        });
        Self::from_sources(file.as_deref(), environment)
    }

    /// Reads the settings from this file, which must exist, and from these variables, of which
    /// empty ones count as not set.
    ///
    /// # Errors
    /// If the file cannot be read, or any key or value is not allowed; all of these are reported.
    pub fn from_sources<K, V>(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Loaded, Error>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let mut layers = Layers::new();
        let variables = layers.take_variables(environment);
        let table = merge(file, variables)?;
        layers.into_loaded(file, table)
    }
}

struct Layers {
    known: BTreeMap<String, Description>,
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

impl Layers {
    fn new() -> Self {
        Self {
            known: descriptions(),
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Keeps the variables that are settings; complains about those that look like one.
    fn take_variables<K: Into<OsString>, V: Into<OsString>>(
        &mut self,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> HashMap<String, String> {
        let mut variables = HashMap::new();
        for (variable, value) in environment {
            let Ok(variable) = variable.into().into_string() else {
                continue;
            };
            let key = variable.to_lowercase();
            if variable != key.to_uppercase() || !self.known.contains_key(&key) {
                self.warn_if_ours(variable);
                continue;
            }
            match value.into().into_string() {
                Ok(value) => _ = variables.insert(variable, value),
                Err(_) => self.refuse(
                    &key,
                    Origin::Environment(variable),
                    None,
                    "not UTF-8".to_owned(),
                ),
            }
        }
        self.warnings.sort_by(|a, b| a.variable.cmp(&b.variable));
        variables
    }

    fn warn_if_ours(&mut self, variable: String) {
        let is_ours = OWN_PREFIXES
            .iter()
            .any(|prefix| variable.starts_with(prefix));
        if is_ours && variable != FILE_VARIABLE {
            let nearest = self.nearest(&variable).map(str::to_uppercase);
            self.warnings.push(Warning { variable, nearest });
        }
    }

    fn into_loaded(
        mut self,
        file: Option<&Path>,
        table: BTreeMap<String, Value>,
    ) -> Result<Loaded, Error> {
        let mut origins = BTreeMap::new();
        let mut fields = serde_json::Map::new();
        for (key, value) in table {
            let origin = origin(&key, &value, file);
            if !self.known.contains_key(&key) {
                self.refuse_key(key, origin);
                continue;
            }
            let value = value.try_deserialize().unwrap_or(serde_json::Value::Null);
            let alone = serde_json::Map::from_iter([(key.clone(), value.clone())]);
            match serde_json::from_value::<Settings>(alone.into()) {
                Ok(_) => _ = fields.insert(key.clone(), value),
                Err(error) => self.refuse(&key, origin.clone(), Some(&value), error.to_string()),
            }
            origins.insert(key, origin);
        }
        let settings: Settings = serde_json::from_value(fields.into()).unwrap_or_default();
        self.check_client_certificate(&settings, &origins);
        if !self.problems.is_empty() {
            return Err(Error::Invalid(self.problems));
        }
        Ok(Loaded {
            settings,
            warnings: self.warnings,
            origins,
        })
    }

    fn check_client_certificate(
        &mut self,
        settings: &Settings,
        origins: &BTreeMap<String, Origin>,
    ) {
        let (key, path, other) = match (&settings.amqp_client_cert, &settings.amqp_client_key) {
            (Some(path), None) => ("amqp_client_cert", path, "amqp_client_key"),
            (None, Some(path)) => ("amqp_client_key", path, "amqp_client_cert"),
            _ => return,
        };
        if self
            .problems
            .iter()
            .any(|problem| problem.key.eq_ignore_ascii_case(other))
        {
            return;
        }
        let origin = origins.get(key).cloned().unwrap_or(Origin::Default);
        let path = path.display().to_string().into();
        self.refuse(
            key,
            origin,
            Some(&path),
            format!("{} is missing", other.to_uppercase()),
        );
    }

    fn refuse(
        &mut self,
        key: &str,
        origin: Origin,
        value: Option<&serde_json::Value>,
        reason: String,
    ) {
        let Some(description) = self.known.get(key) else {
            return;
        };
        let value = value.map(|value| {
            let text = text(value).unwrap_or_default();
            if description.is_secret {
                "***".to_owned()
            } else {
                text
            }
        });
        let key = match &origin {
            Origin::Environment(variable) => variable.clone(),
            Origin::Default | Origin::File(_) => key.to_owned(),
        };
        self.problems.push(Problem {
            key,
            value,
            origin,
            reason,
            allowed: description.allowed.clone(),
        });
    }

    fn refuse_key(&mut self, key: String, origin: Origin) {
        let mut allowed =
            "the lower-case names of the variables in docs/configuration.md".to_owned();
        if let Some(nearest) = self.nearest(&key) {
            allowed = format!("{allowed}; `{nearest}` has a similar name");
        }
        let reason = "unknown key".to_owned();
        self.problems.push(Problem {
            key,
            value: None,
            origin,
            reason,
            allowed,
        });
    }

    fn nearest(&self, name: &str) -> Option<&str> {
        let name = name.to_lowercase();
        let similarity = |key: &str| strsim::normalized_damerau_levenshtein(&name, key);
        let nearest = self
            .known
            .keys()
            .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))?;
        (similarity(nearest) >= SIMILAR).then_some(nearest)
    }
}

/// The file with the environment on top. A value of the environment has an origin, one of the
/// file has none, since the file is read here to keep its text out of errors.
fn merge(
    file: Option<&Path>,
    variables: HashMap<String, String>,
) -> Result<BTreeMap<String, Value>, Error> {
    let mut builder = Config::builder();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|source| Error::FileUnreadable {
            path: path.to_owned(),
            source,
        })?;
        builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
    }
    let path = || file.map(Path::to_owned).unwrap_or_default();
    builder
        .add_source(
            Environment::default()
                .ignore_empty(true)
                .source(Some(variables)),
        )
        .build()
        .and_then(|config| config.collect())
        .map(|table| table.into_iter().collect())
        .map_err(|error| Error::FileMalformed {
            path: path(),
            reason: without_excerpt(&error.to_string()),
        })
}

fn origin(key: &str, value: &Value, file: Option<&Path>) -> Origin {
    match (value.origin(), file) {
        (None, Some(path)) => Origin::File(path.to_owned()),
        _ => Origin::Environment(key.to_uppercase()),
    }
}

/// Drops the lines of the file that a TOML error quotes between its position and its reason.
fn without_excerpt(error: &str) -> String {
    let is_excerpt = |line: &&str| {
        line.trim_start_matches([' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
            .starts_with('|')
    };
    let lines: Vec<&str> = error
        .lines()
        .filter(|line| !is_excerpt(line) && !line.trim().is_empty())
        .collect();
    lines.join(": ")
}

#[cfg(test)]
mod tests;
