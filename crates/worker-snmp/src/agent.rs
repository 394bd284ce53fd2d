//! From what a caller says to an agent that may be asked.

use std::net::{IpAddr, SocketAddr};

use protocol::{ErrorCode, ToolError};
use worker::{Context, Host};

use crate::client::{Access, Reader};
use crate::options::{SessionOptions, Target};
use crate::{Error, Oid};

/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;
/// What every agent has, and a restart does not remove (RFC 3418): `sysUpTime.0`.
const UP_TIME: Oid = Oid::new(&[1, 3, 6, 1, 2, 1, 1, 3, 0]);

/// A reader of the agent that options name. The scan scope is asked first; of a name with several
/// addresses in scope the first that answers is taken.
///
/// # Errors
/// `out_of_scope`, `name_not_resolved`, `invalid_arguments`, or why the last of several addresses
/// did not answer.
pub(crate) async fn reach(
    context: &Context,
    options: &SessionOptions,
) -> Result<Reader, ToolError> {
    let access = options.access.access()?;
    find(context, &options.host, options.access.port.get(), &access).await
}

/// [`reach`] for what stood in a session.
pub(crate) async fn reach_target(context: &Context, target: &Target) -> Result<Reader, ToolError> {
    let access = Access::new(target.credentials.clone(), target.timing);
    // A session is sealed, so this is what a caller gave once and was read then.
    let host: Host = target
        .host
        .parse()
        .map_err(|error: worker::HostError| ToolError::invalid(error.to_string()))?;
    find(context, &host, target.port.get(), &access).await
}

async fn find(
    context: &Context,
    host: &Host,
    port: u16,
    access: &Access,
) -> Result<Reader, ToolError> {
    let mut addresses = context.scope().resolve(host).await?;
    // Agents mostly listen on IPv4, and one that is not there costs all timeouts.
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.truncate(MOST_ADDRESSES);
    let mut last = None;
    let is_only_one = addresses.len() == 1;
    for address in addresses {
        // Not checked again: it may be in scope by the name alone.
        let reader = Reader::new(access.connect(SocketAddr::new(address, port)).await?);
        if is_only_one {
            return Ok(reader);
        }
        match reader.get(&[UP_TIME]).await {
            Err(error) if error.is_silence() => last = Some(error.into()),
            // Even a refusal is an answer of the agent.
            _ => return Ok(reader),
        }
    }
    let none = || ToolError::new(ErrorCode::NameNotResolved, format!("{host} has no address"));
    Err(last.unwrap_or_else(none))
}

/// Makes sure that the agent answers, so that a tool that reads much fails once and at once.
///
/// # Errors
/// Why it does not.
pub(crate) async fn check(reader: &Reader) -> Result<(), Error> {
    reader.get(&[UP_TIME]).await.map(drop)
}
