//! How far an address or a route is valid (rtnetlink(7), `RT_SCOPE_*`).

use schemars::JsonSchema;
use serde::Serialize;

/// How far an address or route is valid, as the kernel names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AddressScope {
    /// Everywhere.
    Global,
    /// Within the site.
    Site,
    /// On this link only.
    Link,
    /// On this host only.
    Host,
    /// Nowhere: the destination does not exist.
    Nowhere,
    /// A scope that the operator made up.
    Other,
}

impl From<u8> for AddressScope {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Global,
            200 => Self::Site,
            253 => Self::Link,
            254 => Self::Host,
            255 => Self::Nowhere,
            _ => Self::Other,
        }
    }
}
