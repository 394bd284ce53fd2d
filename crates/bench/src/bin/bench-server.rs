//! The same program as `bench`, with the allocator of the released `discovery`: what serves
//! clients by itself here is measured with it.

use std::process::ExitCode;

/// As in `discovery`; see docs/decisions/0017-mimalloc.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bench::main()
}
