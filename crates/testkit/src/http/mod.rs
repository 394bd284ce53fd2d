//! Two HTTP clients: one that sends any bytes, one that makes many JSON-RPC calls.
//!
//! [`Connection`] shows exactly what goes over one TCP connection, so that malformed requests,
//! half requests and single events can be tested. [`RpcClient`] keeps connections alive and is
//! cheap enough for a thousand clients at once.

mod body;
mod connection;
mod rpc;
mod sse;

pub use connection::{Connection, Response, get, request};
pub use rpc::{Reply, Request, RpcClient};
pub use sse::Event;
