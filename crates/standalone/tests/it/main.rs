//! The whole system, as its users see it: real processes, a real broker, real clients.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod cancel;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod crowded;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod half_open;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod layout;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod no_worker;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod rust_client;
#[cfg(test)]
mod scans;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod site;
#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod snmp;
#[cfg(test)]
mod telemetry;
