//! `bench`: measures the platform against what it is built on; `scripts/bench` starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::main()
}
