//! Waiting for a condition with a deadline.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// Time between two looks at a condition.
const STEP: Duration = Duration::from_millis(20);

/// Asks `condition` again and again until it gives a value.
///
/// # Errors
/// It has given none within `deadline`; `what` names the condition in the message.
pub async fn until<T, F>(what: &str, deadline: Duration, mut condition: F) -> Result<T>
where
    F: AsyncFnMut() -> Option<T>,
{
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition().await {
            return Ok(value);
        }
        if Instant::now() >= end {
            bail!("{what}: not seen within {deadline:?}");
        }
        sleep(STEP).await;
    }
}
