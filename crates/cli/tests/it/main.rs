//! The command as its users run it: a real process, its two outputs and its exit code.

#[cfg(test)]
mod call;
#[cfg(test)]
mod config;
#[cfg(test)]
mod dead;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod help;
#[cfg(test)]
mod rabbitmq;
#[cfg(test)]
mod stdio;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod up;
