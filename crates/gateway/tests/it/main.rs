//! The gateway as its clients see it, over the in-memory bus and a scripted worker.

#![expect(
    unreachable_pub,
    missing_docs,
    reason = "a test binary has no public interface"
)]

mod harness;
mod legacy;
mod modern;
