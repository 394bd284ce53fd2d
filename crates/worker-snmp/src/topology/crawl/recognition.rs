//! Whether somebody who answers is known already.
//!
//! What a first request tells is alike for the clones of a template, so it can say that a device
//! is new, but not that it is known: that takes an address of its own, or else its serial number
//! and MAC addresses.

use std::net::IpAddr;

use super::visit::Visit;
use super::{Crawl, TOO_MANY};
use crate::topology::read::Outcome;
use crate::topology::{Device, Identity};

/// A device that is asked who it is.
pub(super) struct Asked {
    pub(super) identity: Identity,
    /// Whether it may turn out to be one that is known.
    pub(super) is_doubtful: bool,
}

impl Crawl {
    /// Asks a device who it is, unless this is another address of a known one. What it has said so
    /// far is alike for the clones of a template, so one that may be known counts as known by its
    /// addresses alone, and is asked otherwise.
    pub(super) fn recognize(&mut self, address: IpAddr, identity: Identity, may_wait: bool) {
        let mut is_doubtful = false;
        for known in &mut self.visited.devices {
            if !known.identity.is_same(&identity) {
                continue;
            }
            if known.addresses.contains(&address) {
                known.asked_at.insert(address);
                self.n_done += 1;
                return;
            }
            is_doubtful = true;
        }
        let is_asked = |it: &Asked| it.identity.is_same(&identity);
        if may_wait && self.asked.values().any(is_asked) {
            self.held.push((address, identity));
            return;
        }
        let n_new = self.asked.values().filter(|it| !it.is_doubtful).count();
        if !is_doubtful && self.visited.devices.len() + n_new >= self.plan.max_devices {
            self.n_done += 1;
            self.cut(TOO_MANY);
            return;
        }
        let visit = Visit::Who(address, identity.clone());
        self.waiting.push_front(visit);
        let asked = Asked {
            identity,
            is_doubtful,
        };
        self.asked.insert(address, asked);
    }

    /// Adds a device, unless it is known under another address.
    pub(super) fn told(&mut self, address: IpAddr, device: Box<Device>, outcome: Outcome) {
        self.note(outcome);
        let devices = &mut self.visited.devices;
        let is_same = |it: &&mut Device| it.identity.is_same(&device.identity);
        if let Some(known) = devices.iter_mut().find(is_same) {
            known.join(*device);
            self.n_done += 1;
        } else if devices.len() >= self.plan.max_devices {
            self.n_done += 1;
            self.cut(TOO_MANY);
        } else {
            let number = devices.len();
            devices.push(Device::clone(&device));
            if outcome == Outcome::Silent {
                self.n_done += 1;
            } else {
                let visit = Visit::Neighbours(number, address, device);
                self.waiting.push_front(visit);
            }
        }
    }

    /// Decides on the addresses that waited for this one to tell who it is.
    pub(super) fn release(&mut self, address: IpAddr) {
        let Some(asked) = self.asked.remove(&address) else {
            return;
        };
        let held = std::mem::take(&mut self.held);
        let (free, held) = held
            .into_iter()
            .partition(|(_, it)| asked.identity.is_same(it));
        self.held = held;
        let free: Vec<(IpAddr, Identity)> = free;
        for (address, identity) in free {
            // At once, and not one after another: there may be very many clones.
            self.recognize(address, identity, false);
        }
    }
}
