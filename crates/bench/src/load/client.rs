use std::future::Future;

use anyhow::Result;

/// One client, with at most one call at a time.
pub(super) trait Client: Send + 'static {
    /// Makes the call of this number and checks its answer.
    fn call(&mut self, number: u64) -> impl Future<Output = Result<()>> + Send;
}
