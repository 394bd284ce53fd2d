//! Calls of the network tools through the worker's runtime, compared with what other programs
//! say about the same network.

mod arp;
mod bad_input;
mod call;
mod declarations;
mod ifconfig;
mod lab;
mod netstat;
mod ping;
mod route;
mod telnet;
