//! Faults while clients call all the time: then the books are balanced.
//!
//! Every test is one kind of fault: real processes and a real broker, a [`load::Load`], a fault in each
//! round. Afterwards every call must have been answered exactly once and in time, every call that
//! may run twice with its real result, and no other call may have run twice ([`books::Books`]). How often
//! a fault comes, and whether times are held against their bounds, says the [`plan::Plan`];
//! `scripts/faults` runs all of it, and `docs/faults.md` tells what came out.

mod books;
mod broker;
mod cluster;
mod flood;
mod gateways;
mod load;
mod network;
mod plan;
mod poison;
mod pressure;
mod record;
mod restart;
mod scene;
mod soak;
mod workers;

use books::{Allowed, Books, Outcome};
use load::Load;
use plan::Plan;
use record::{Record, median, write_ratio};
use scene::{Fleet, answering, calm};
