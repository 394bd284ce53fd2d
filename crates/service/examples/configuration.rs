//! Prints `docs/configuration.md`.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    io::stdout().write_all(service::settings::reference_markdown().as_bytes())
}
