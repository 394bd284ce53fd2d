//! Asking one agent.
//!
//! [`Client`] is one exchange with one agent: GET, GETNEXT, GETBULK. What the category's tools
//! need beyond that, they find at a [`Reader`] over any client:
//!
//! * [`Reader::get`], [`Reader::get_next`]: any number of objects. What is absent comes back as
//!   [`crate::value::Value::NoSuchObject`] and its like, of SNMP v1 too, and never as an error; what the
//!   agent fails to read as [`crate::value::Value::Failed`]. Values are told apart by their object
//!   identifiers, whatever order the agent gives them in.
//! * [`Reader::walk`]: everything below an object identifier, a batch at a time, so that whoever
//!   walks can tell progress and stop when it has enough.
//! * [`Reader::table`]: columns of a built-in table by name, rows by index; [`Reader::columns`]: those
//!   of any table, a batch at a time, as a walk; [`Reader::scalars`]: objects without an index by
//!   name.
//!
//! A reader asks for less at a time when the agent says `tooBig` or `genErr`, or says nothing to a
//! request of many and answers a small one; it remembers that for what follows. An agent whose
//! object identifiers do not increase is not followed in circles: the walk is over, and
//! [`Walk::note`] says where.
//!
//! ```text
//! let reader = Reader::new(access.connect(address).await?);
//! let table = reader.table("ifTable", &["ifDescr", "ifOperStatus"]).await?;
//! for (index, row) in table.rows() {
//!     println!("{index:?} {:?} {:?}", row.text("ifDescr"), row.number("ifOperStatus"));
//! }
//! ```
//!
//! [`Index`] takes an index apart where a table has more than one number for it.

mod access;
mod columns;
mod convert;
mod failure;
mod index;
mod reader;
#[cfg(test)]
pub(crate) mod scripted;
mod table;
mod udp;
mod walk;

use std::fmt;
use std::net::SocketAddr;

use async_trait::async_trait;

use crate::value::VarBind;
use crate::{Error, Oid};

pub(crate) use access::{
    Access, AuthProtocol, Credentials, PrivProtocol, Secret, Timing, Usm, Version,
};
pub(crate) use columns::Columns;
pub(crate) use convert::{from_library, oid_to_library};
pub(crate) use index::Index;
pub(crate) use reader::Reader;
pub(crate) use table::{Column, Row, Table};
pub(crate) use walk::Walk;

/// Bytes of values that a table is read up to: what an agent sends is held in memory.
pub(crate) const MOST_BYTES: usize = 8 << 20;

/// What is wrong with more bytes of values than a limit.
pub(crate) fn too_large(most_bytes: usize) -> String {
    format!("more than {} MiB of values", most_bytes >> 20)
}

/// Exchanges with one agent. Each method is one request and its answer, repeated over timeouts as
/// often as the client is set to.
#[async_trait]
pub(crate) trait Client: fmt::Debug + Send + Sync {
    /// Whom it asks.
    fn agent(&self) -> SocketAddr;

    /// Which version it speaks. SNMP v1 has no GETBULK.
    fn version(&self) -> Version;

    /// The values of these objects, as the agent gives them: in their order and complete, if it is
    /// sound.
    ///
    /// # Errors
    /// See [`Error`]; SNMP v1 says of an absent object `noSuchName`, for the request as a whole.
    async fn get(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error>;

    /// For each of these the next object, in their order, if the agent is sound.
    ///
    /// # Errors
    /// As of [`Client::get`].
    async fn get_next(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error>;

    /// For each of these the next `max_repetitions` objects: first those next to each, then those
    /// next to these, and so on. An agent may give fewer.
    ///
    /// # Errors
    /// As of [`Client::get`].
    async fn get_bulk(&self, oids: &[Oid], max_repetitions: u32) -> Result<Vec<VarBind>, Error>;
}
