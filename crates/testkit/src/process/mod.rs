//! A program as a child of the test: its lines, its signals, its exit code.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::time::Duration;
//! use testkit::process::{Program, binary};
//!
//! let gateway = Program::new(binary("gateway", "discovery-gateway").await?)
//!     .env("HTTP_PORT", "15321")
//!     .start()?;
//! gateway.stderr().line("it listens", Duration::from_secs(10), |line| line.contains("15321")).await?;
//! # Ok(())
//! # }
//! ```

mod binary;
mod child;
mod children;
mod lines;

pub use crate::command::Output;
pub use binary::binary;
pub use child::{Process, Program};
pub use children::{Child, all_end, children, children_with};
pub use lines::Lines;
