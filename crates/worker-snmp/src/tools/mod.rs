//! One file per tool.

pub(crate) mod close_session;
pub(crate) mod create_session;
pub(crate) mod device_inventory;
pub(crate) mod discover;
pub(crate) mod get;
pub(crate) mod get_next;
pub(crate) mod interface_discovery;
pub(crate) mod network_topology;
pub(crate) mod service_discovery;
pub(crate) mod system_health;
pub(crate) mod table;
pub(crate) mod walk;

use std::time::Duration;

use protocol::ToolError;

use crate::{Oid, mib};

/// How long a call may take that asks a few times, with the patience of one request in mind: as
/// many tries as a caller may set, of as long a timeout.
const DEFAULT_DEADLINE: Duration = Duration::from_mins(1);
/// The longest that such a call may take.
const MAX_DEADLINE: Duration = Duration::from_mins(5);

/// Reads object identifiers and names.
///
/// # Errors
/// `invalid_arguments`, with the first that is neither.
fn oids(
    texts: &[String],
    read: impl Fn(&str) -> Result<Oid, String>,
) -> Result<Vec<Oid>, ToolError> {
    let oid = |(n, text): (usize, &String)| {
        read(text).map_err(|why| {
            let text: String = text.chars().take(80).collect();
            ToolError::invalid(format!("argument oids[{n}] is {text:?}: {why}")).hint(
                "give numbers such as 1.3.6.1.2.1.1.5.0, or a name such as sysName.0 or IF-MIB::ifDescr.3",
            )
        })
    };
    texts.iter().enumerate().map(oid).collect()
}

/// Reads the object identifier or name that is argument `oid`.
fn oid(text: &str) -> Result<Oid, ToolError> {
    mib::resolve(text).map_err(|why| {
        let text: String = text.chars().take(80).collect();
        ToolError::invalid(format!("argument oid is {text:?}: {why}"))
            .hint("give numbers such as 1.3.6.1.2.1.2, or a name such as ifTable or system")
    })
}
