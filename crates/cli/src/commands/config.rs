use std::fmt::Write as _;

use service::ExitError;
use service::settings::Loaded;

use crate::output::print;

/// Shows every setting with its value and where it comes from; secrets are masked.
pub(super) fn run(loaded: &Loaded) -> Result<(), ExitError> {
    let mut text = String::new();
    for entry in loaded.entries() {
        let value = entry.value.as_deref().unwrap_or("(not set)");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<30} {:<34} {}",
            entry.variable, value, entry.origin
        );
    }
    for warning in &loaded.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    print(&text)
}
