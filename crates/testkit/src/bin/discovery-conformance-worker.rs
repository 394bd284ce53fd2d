//! The process that runs the tools, prompts and resources of the category `conformance`.

use std::process::ExitCode;

fn main() -> ExitCode {
    worker::run("discovery-conformance-worker", |_settings| {
        Ok(testkit::conformance::worker())
    })
}
