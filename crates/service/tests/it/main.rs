//! What a process shows to the outside: exit codes, its log, its health port, its spans.

#[cfg(test)]
mod child;
#[cfg(test)]
mod health;
#[cfg(test)]
mod otlp;
#[cfg(test)]
mod process;
#[cfg(test)]
mod receiver;
#[cfg(test)]
mod settings;
