//! What is read from the system and what is made of it.

pub(crate) mod statistics;
pub(crate) mod turn;
pub(crate) mod usage;
