//! The process of the network tools' worker.
fn main() {}
