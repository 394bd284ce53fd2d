//! What is measured beside the released binaries.

pub(crate) mod announcer;
pub(crate) mod bare_worker;
pub(crate) mod echo_worker;
pub(crate) mod embedded;
pub(crate) mod http_server;
pub(crate) mod rmcp_server;
