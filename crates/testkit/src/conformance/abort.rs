//! A tool that takes its process along.

use worker::Tool;

use super::declare::plain;

/// Whoever runs it is gone before anything can be said or tidied up, as after a fault of memory.
pub(super) fn tool() -> Tool {
    let description = "Ends the worker's process on the spot; for tests of dead letters.";
    plain("test_abort", description, async |_| std::process::abort())
}
