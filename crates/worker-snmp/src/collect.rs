//! Reading until the end, until it is enough, or until the deadline comes.
//!
//! What was read before an error or the deadline is given, with the reason.

use std::fmt;
use std::time::Duration;

use protocol::ToolError;
use tokio::time::{Instant, timeout_at};
use worker::Context;

use crate::Error;
use crate::client::{Columns, Table, Walk, too_large};
use crate::value::VarBind;

/// What is left of the deadline when a call gives what it has; of a short one a quarter.
const LAST_WORDS: Duration = Duration::from_millis(1500);

/// Why it was not read to the end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// There was no more time.
    Deadline,
    /// Something went wrong.
    Failed(Error),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("the deadline came"),
            Self::Failed(error) => match error.hint() {
                Some(hint) => write!(f, "{error}; {hint}"),
                None => error.fmt(f),
            },
        }
    }
}

/// How much of a walk is enough.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Enough {
    pub(crate) n_values: usize,
    pub(crate) n_bytes: usize,
}

/// When to stop reading, so that there is time to give what there is.
pub(crate) fn end(context: &Context) -> Instant {
    let last_words = LAST_WORDS.min(context.remaining() / 4);
    let end = context.deadline().checked_sub(last_words);
    end.unwrap_or_else(Instant::now)
}

/// A number of things done, as progress counts.
pub(crate) fn step(n_done: usize) -> f64 {
    u32::try_from(n_done).unwrap_or(u32::MAX).into()
}

/// One value more than is enough, if there are so many, each as what `made` makes of it; and why
/// there are fewer than there could be.
///
/// # Errors
/// What went wrong before there was any value.
pub(crate) async fn walk<T>(
    context: &Context,
    walk: &mut Walk,
    enough: Enough,
    made: impl Fn(VarBind) -> T,
) -> Result<(Vec<T>, Option<String>), ToolError> {
    let end = end(context);
    let mut all: Vec<T> = Vec::new();
    let mut batch: Vec<VarBind> = Vec::new();
    let mut n_bytes = 0;
    let why = loop {
        if all.len() + batch.len() > enough.n_values {
            break None;
        }
        // Something is made of what came last while the agent looks for what comes next.
        let making = async { all.extend(batch.drain(..).map(&made)) };
        let (next, ()) = tokio::join!(biased; timeout_at(end, walk.next()), making);
        match next {
            Ok(Ok(Some(values))) => batch = values,
            Ok(Ok(None)) => break None,
            Ok(Err(error)) if all.is_empty() => return Err(error.into()),
            Ok(Err(error)) => break Some(Stop::Failed(error).to_string()),
            Err(_) => break Some(Stop::Deadline.to_string()),
        }
        n_bytes += batch.iter().map(VarBind::size).sum::<usize>();
        let n_values = all.len() + batch.len();
        let message = format!("{n_values} values, at {}", walk.position());
        context.progress(step(n_values), None, message);
        if n_bytes > enough.n_bytes {
            break Some(too_large(enough.n_bytes));
        }
    };
    all.extend(batch.into_iter().map(&made));
    Ok((all, why.or_else(|| walk.note().map(str::to_owned))))
}

/// What there is of a table by `end`, and why there is no more; `tell` is called with the number of
/// values on the way.
pub(crate) async fn columns(
    mut columns: Columns,
    end: Instant,
    tell: impl Fn(usize),
) -> (Table, Option<Stop>) {
    let stop = loop {
        match timeout_at(end, columns.next()).await {
            Ok(Ok(Some(n_values))) => tell(n_values),
            Ok(Ok(None)) => break None,
            Ok(Err(error)) => break Some(Stop::Failed(error)),
            Err(_) => break Some(Stop::Deadline),
        }
    };
    (columns.into_table(), stop)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use bytes::Bytes;
    use worker::Scope;

    use super::*;
    use crate::Oid;
    use crate::client::scripted::{Agent, reader};
    use crate::client::{Column, MOST_BYTES, Version};
    use crate::value::Value;

    /// A table of one column.
    fn agent(n_rows: i32, value: &Value) -> Agent {
        (1..=n_rows).fold(Agent::new(Version::V2c), |agent, n| {
            agent.with(&format!("1.3.6.1.9.1.1.{n}"), value.clone())
        })
    }

    fn root() -> Oid {
        Oid::new(&[1, 3, 6, 1, 9, 1, 1])
    }

    fn context() -> Context {
        Context::for_test(Scope::default())
    }

    async fn walked(agent: Agent) -> (usize, Option<String>) {
        let mut steps = reader(agent).walk(root());
        let enough = Enough {
            n_values: 10_000,
            n_bytes: MOST_BYTES,
        };
        let (values, why) = walk(&context(), &mut steps, enough, |value| value)
            .await
            .unwrap();
        (values.len(), why)
    }

    async fn tabulated(agent: Agent, tell: impl Fn(usize)) -> (Table, Option<Stop>) {
        let one = reader(agent).columns(vec![Column::new("column1", root())]);
        columns(one, end(&context()), tell).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_the_deadline_is_given() {
        let agent = || agent(100, &Value::Integer(1)).stalls_after(2);
        let (n_values, why) = walked(agent()).await;
        assert_eq!((n_values, why.as_deref()), (80, Some("the deadline came")));
        let (table, stop) = tabulated(agent(), |_| ()).await;
        assert_eq!(table.len(), 80);
        assert!(matches!(stop, Some(Stop::Deadline)), "{stop:?}");
    }

    #[tokio::test]
    async fn there_is_an_end_to_what_is_held_in_memory() {
        let large = Value::Octets(Bytes::from(vec![b'x'; 60_000]));
        let most = MOST_BYTES / 60_000 + 40;
        let (n_values, why) = walked(agent(1000, &large)).await;
        assert!(n_values <= most, "{n_values}");
        assert_eq!(why.as_deref(), Some("more than 8 MiB of values"));
        let (table, stop) = tabulated(agent(1000, &large), |_| ()).await;
        assert!(table.len() <= most, "{}", table.len());
        assert!(table.is_cut() && stop.is_none(), "{stop:?}");
        let note = &table.notes()[0];
        assert!(note.contains("more than 8 MiB of values"), "{note}");
    }

    #[tokio::test]
    async fn a_table_is_told_of_as_it_is_read() {
        let told = RefCell::new(Vec::new());
        let tell = |n_values| told.borrow_mut().push(n_values);
        let (table, stop) = tabulated(agent(100, &Value::Integer(1)), tell).await;
        assert_eq!((table.len(), stop.is_none()), (100, true));
        assert_eq!(*told.borrow(), [40, 80, 100]);
    }
}
