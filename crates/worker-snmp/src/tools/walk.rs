//! `snmp_walk`: everything below an object identifier.

use std::sync::Arc;
use std::time::Duration;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, Summary, Tool};

use crate::client::{Reader, Walk};
use crate::collect::Enough;
use crate::reading::Reading;
use crate::session::{SessionId, Sessions};
use crate::{Oid, agent, collect, markdown, tools};

/// Beginning of every cursor; the last object of the page follows.
const CURSOR: &str = "after-";

/// Bytes of values on one page. Written twice over, in hexadecimal digits and in words, they are to
/// fit into one message.
const PAGE_BYTES: usize = 2 << 20;

/// Where to walk, and how far.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    /// The session's identifier, from `snmp_create_session`.
    session_id: SessionId,
    /// Object identifier or name of a standard MIB to walk below, such as `1.3.6.1.2.1.2`,
    /// `ifTable` or `system`.
    #[schemars(length(min = 1, max = 512))]
    oid: String,
    /// At most this many values.
    #[serde(default = "default_limit")]
    #[schemars(range(min = 1, max = 10000))]
    limit: usize,
    /// `nextCursor` of the page before; the first page has none.
    #[serde(default)]
    #[schemars(length(max = 1600))]
    cursor: Option<String>,
}

/// The values in the order of the agent's tree.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Walked {
    /// Address and port of the agent.
    agent: String,
    /// Object identifier that was walked below.
    root: String,
    /// The values.
    values: Vec<Reading>,
    /// Whether the walk did not come to its end: more values may follow.
    truncated: bool,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Why the walk ended before its end and before `limit`, if it did: the deadline, an error, or
    /// 2 MiB of values.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// The declaration of the tool.
pub(crate) fn tool(sessions: Arc<Sessions>) -> Tool {
    let run = move |context, arguments| run(context, arguments, Arc::clone(&sessions));
    Tool::new("snmp_walk", run)
        .title("SNMP walk")
        .description(
            "Reads everything that the session's agent has below an object identifier, with \
             GETBULK where the version has it, a page at a time. Agents that cannot answer much \
             at a time are asked for less; one whose object identifiers do not increase ends the \
             walk with a note. What was read before an error or the deadline is given, with the \
             reason in `note` and a cursor to go on from. For rows and columns use snmp_table.",
        )
        .read_only()
        .deadline(Duration::from_mins(2), Duration::from_mins(10))
}

async fn run(
    context: Context,
    arguments: Arguments,
    sessions: Arc<Sessions>,
) -> Result<Walked, ToolError> {
    let target = sessions.open(&arguments.session_id)?;
    let root = tools::oid(&arguments.oid)?;
    let start = start(arguments.cursor.as_deref(), &root)?;
    let reader = agent::reach_target(&context, &target).await?;
    page(&context, &reader, root, start, arguments.limit).await
}

/// The values below `root` that follow `start`.
async fn page(
    context: &Context,
    reader: &Reader,
    root: Oid,
    start: Option<Oid>,
    limit: usize,
) -> Result<Walked, ToolError> {
    let is_first = start.is_none();
    let mut walk = match start {
        Some(position) => reader.walk_from(root.clone(), position),
        None => reader.walk(root.clone()),
    };
    let enough = Enough {
        n_values: limit,
        n_bytes: PAGE_BYTES,
    };
    let reading = |value| Reading::from(&value);
    let (mut values, stopped) = collect::walk(context, &mut walk, enough, reading).await?;
    if values.is_empty() && is_first && stopped.is_none() {
        values = instance(reader, &root).await?;
    }
    Ok(Walked::new(reader, &walk, limit, values, stopped))
}

/// The object itself where nothing is below it.
async fn instance(reader: &Reader, root: &Oid) -> Result<Vec<Reading>, ToolError> {
    let mut values = reader.get(std::slice::from_ref(root)).await?;
    values.retain(|value| !value.value.is_absent());
    Ok(values.iter().map(Reading::from).collect())
}

fn start(cursor: Option<&str>, root: &Oid) -> Result<Option<Oid>, ToolError> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    let position = cursor
        .strip_prefix(CURSOR)
        .and_then(|oid| oid.parse::<Oid>().ok())
        .filter(|oid| oid.is_in(root));
    let no_cursor = || {
        ToolError::invalid("argument cursor is none that a page of this walk ended with")
            .hint("take nextCursor of the page before, or leave cursor out for the first page")
    };
    position.map(Some).ok_or_else(no_cursor)
}

fn default_limit() -> usize {
    1000
}

impl Walked {
    fn new(
        reader: &Reader,
        walk: &Walk,
        limit: usize,
        mut values: Vec<Reading>,
        note: Option<String>,
    ) -> Self {
        let is_cut = values.len() > limit;
        values.truncate(limit);
        // From a place where the agent goes in circles nothing new can follow.
        let goes_on = is_cut || (note.is_some() && walk.note().is_none());
        let last = values.last().filter(|_| goes_on);
        Self {
            agent: reader.agent().to_string(),
            root: walk.root().to_string(),
            truncated: is_cut || note.is_some(),
            next_cursor: last.map(|last| format!("{CURSOR}{}", last.oid)),
            values,
            note: note.filter(|_| !is_cut),
        }
    }
}

impl Summary for Walked {
    fn summary(&self) -> String {
        let table = markdown::table(&["object", "value"], &self.values, |value| {
            vec![value.label().to_owned(), value.cell.display.clone()]
        });
        let note = self
            .note
            .as_ref()
            .map(|note| format!("\nNote: {}\n", markdown::plain(note)));
        format!(
            "{} below {} of {}\n\n{table}{}{}",
            markdown::count(self.values.len(), "value"),
            self.root,
            self.agent,
            note.unwrap_or_default(),
            markdown::more(self.next_cursor.as_ref()),
        )
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use worker::Scope;

    use super::*;
    use crate::client::Version;
    use crate::client::scripted::{Agent, reader};
    use crate::value::Value;

    #[tokio::test]
    async fn large_values_come_on_pages_that_fit_into_a_message() {
        let large = Value::Octets(Bytes::from(vec![0xff; 1500]));
        let agent = (1..=3000).fold(Agent::new(Version::V2c), |agent, n| {
            agent.with(&format!("1.3.6.1.4.1.99999.{n}"), large.clone())
        });
        let (reader, context) = (reader(agent), Context::for_test(Scope::default()));
        let root = Oid::new(&[1, 3, 6, 1, 4, 1, 99_999]);
        let (mut n_pages, mut n_values, mut cursor) = (0, 0, None);
        loop {
            let start = start(cursor.as_deref(), &root).unwrap();
            let walked = page(&context, &reader, root.clone(), start, 10_000);
            let walked = walked.await.unwrap();
            let n_bytes = serde_json::to_string(&walked).unwrap().len();
            assert!(n_bytes < 16 << 20, "{n_bytes}");
            assert!(n_bytes > 6 << 20 || !walked.truncated, "{n_bytes}");
            let first = &walked.values[0].oid;
            assert_eq!(*first, format!("{root}.{}", n_values + 1));
            n_pages += 1;
            n_values += walked.values.len();
            assert_eq!(walked.note.is_some(), walked.truncated);
            if walked.next_cursor.is_none() {
                break;
            }
            cursor = walked.next_cursor;
        }
        assert_eq!((n_values, n_pages), (3000, 3));
    }
}
