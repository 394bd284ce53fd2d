//! The harness tested on itself.

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod http;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod otlp;
#[cfg(test)]
mod process;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod python;
#[cfg(test)]
mod queues;
#[cfg(test)]
mod rabbitmq;
#[cfg(test)]
mod snmp;
#[cfg(test)]
mod targets;
#[cfg(test)]
mod tcp_proxy;
#[cfg(test)]
mod tls;
