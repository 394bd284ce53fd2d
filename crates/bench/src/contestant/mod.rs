//! What is measured beside the released binaries.

pub(crate) mod bare_worker;
pub(crate) mod echo_worker;
