//! `discovery dead` on a real broker.

mod looking;
mod replaying;
mod site;
mod wrong;
