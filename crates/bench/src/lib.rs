//! Measurements of the platform beside what it is built on and what it could be replaced by.
//!
//! All contestants of a measurement run in one go, in turns of a few seconds, on a `RabbitMQ` node
//! of their own; what is compared is the median of the ratios of the turns. Everything that is
//! measured is a process of its own, so that its processor time can be read from the system: the
//! gateway and the command as they are released, and this program itself in another
//! role (`role::Role`) for everything else, the generator of load included.
//!
//! What the workers do beyond messages (walks, sweeps, scans) is compared with the commands that
//! people use for it, in a network of namespaces that is made for it (`network`).
//!
//! It is *not* part of the tests: figures of a busy machine say nothing.
//!
//! The way in is [`main`], which `scripts/bench` calls. To add a measurement: a module under
//! `part` that gives a `report::Section`, and a line in `part/mod.rs`.

mod arguments;
mod contestant;
mod load;
mod machine;
mod measure;
mod network;
mod page;
mod part;
mod report;
mod role;
mod run;
mod site;

pub use run::main;
