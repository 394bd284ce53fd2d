use schemars::JsonSchema;
use serde::Serialize;

/// For which host and site a result speaks; part of every result of a host-local tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostIdentity {
    /// Name of the host that the worker runs on.
    pub worker_host: String,
    /// Site that the worker belongs to.
    pub site: String,
}

impl HostIdentity {
    /// This host, as a part of a site.
    #[must_use]
    pub fn of_site(site: impl Into<String>) -> Self {
        let host = nix::unistd::gethostname().ok();
        Self {
            worker_host: host
                .and_then(|name| name.into_string().ok())
                .unwrap_or_else(|| "unknown".to_owned()),
            site: site.into(),
        }
    }
}

impl Default for HostIdentity {
    fn default() -> Self {
        Self::of_site("default")
    }
}
