//! Calls of the network tools.
