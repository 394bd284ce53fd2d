//! What is wired with what.
//!
//! Data in, data out: [`crawl`] visits devices and [`read`] writes down what each one says
//! ([`Device`]); [`Graph::build`] makes nodes and links of that, without a network, and [`render`]
//! draws them. Several records of one device, found at several of its addresses, are one node
//! ([`identity`]).
//!
//! To add a kind of evidence: a field of [`Device`], a section of [`read`] that fills it, and a
//! function in [`claims`] that says what it means.

mod claims;
pub(crate) mod crawl;
mod device;
mod graph;
mod identity;
mod index;
mod links;
mod name;
mod read;
pub(crate) mod render;
#[cfg(test)]
mod tests;

pub(crate) use device::{
    ArpEntry, CdpNeighbour, Device, Interface, Learnt, LldpNeighbour, LldpPort,
};
pub(crate) use graph::{Graph, Link, LinkEnd, Node};
pub(crate) use identity::Identity;
pub(crate) use name::{Mac, Named};
