//! `snmp_table`: rows by index, columns by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, Page, Summary, Tool, paginate};

use crate::client::{Column, Reader, Table};
use crate::reading::Cell;
use crate::session::{SessionId, Sessions};
use crate::{Oid, VarBind, agent, markdown, mib, tools};

/// Columns that a summary shows.
const SHOWN: usize = 8;
/// Values of a table that the built-in MIBs do not have.
const MOST_VALUES: usize = 50_000;

/// Which table, and what of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    /// The session's identifier, from `snmp_create_session`.
    session_id: SessionId,
    /// Name of a standard table such as `ifTable`, or the object identifier of any table, such as
    /// `1.3.6.1.2.1.2.2`. A column stands for its table with that column alone.
    #[schemars(length(min = 1, max = 512))]
    oid: String,
    /// Names of the columns to read, such as `ifDescr`. Without it all that are known.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 64)))]
    columns: Option<Vec<String>>,
    #[serde(flatten)]
    page: Page,
}

/// Rows of a table.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Answer {
    /// Address and port of the agent.
    agent: String,
    /// Name of the table, or its object identifier.
    table: String,
    /// The columns that were read, in their order.
    columns: Vec<String>,
    /// The rows of this page in the order of their indexes.
    rows: Vec<TableRow>,
    /// Rows on all pages.
    total: usize,
    /// What the agent did wrong, so that rows or cells may be missing.
    notes: Vec<String>,
    /// Whether rows follow that are not in this page.
    truncated: bool,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// One row.
#[derive(Debug, Serialize, JsonSchema)]
struct TableRow {
    /// Index of the row: what follows the column in its values' object identifiers.
    index: String,
    /// The parts of the index by name, where the table is known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    key: BTreeMap<String, String>,
    /// The values by column; what the agent does not have is not there.
    cells: BTreeMap<String, Cell>,
}

/// A table to be read.
struct Plan {
    name: String,
    index: &'static [mib::IndexPart],
    columns: Vec<(String, Oid)>,
}

/// The declaration of the tool.
pub(crate) fn tool(sessions: Arc<Sessions>) -> Tool {
    let run = move |context, arguments| run(context, arguments, Arc::clone(&sessions));
    Tool::new("snmp_table", run)
        .title("SNMP table")
        .description(
            "Reads a table of the session's agent: rows by index, columns by name for the \
             standard MIBs (SNMPv2, IF, IP, TCP, UDP, ENTITY, ENTITY-SENSOR, HOST-RESOURCES, \
             UCD-SNMP, LM-SENSORS, BRIDGE, Q-BRIDGE, LLDP, CISCO-CDP, UPS, Printer), by number \
             (`column7`) for others. A table that the agent does not have has no rows.",
        )
        .read_only()
        .deadline(Duration::from_mins(2), Duration::from_mins(10))
}

async fn run(
    context: Context,
    arguments: Arguments,
    sessions: Arc<Sessions>,
) -> Result<Answer, ToolError> {
    let target = sessions.open(&arguments.session_id)?;
    let root = tools::oid(&arguments.oid)?;
    let known = plan(&root, arguments.columns.as_deref())?;
    let reader = agent::reach_target(&context, &target).await?;
    let (plan, table) = match known {
        Some(plan) => {
            context.progress(0.0, None, format!("reading {}", plan.name));
            let columns = plan.columns.iter();
            let columns = columns.map(|(name, oid)| Column::new(name.clone(), oid.clone()));
            let table = reader.columns(columns.collect()).await?;
            (plan, table)
        }
        None => unknown(&context, &reader, &root).await?,
    };
    rows(&reader, &plan, &table, &arguments.page)
}

/// What to read of a known table; `None` of an unknown one.
fn plan(root: &Oid, wanted: Option<&[String]>) -> Result<Option<Plan>, ToolError> {
    let one = mib::lookup(root).and_then(|(object, rest)| match &object.role {
        mib::Role::Column(entry) if rest.is_empty() => Some((mib::table_at(entry)?, object.name)),
        _ => None,
    });
    let (table, only) = match one {
        Some((table, column)) => (table, Some(column)),
        None => match mib::table_at(root) {
            Some(table) => (table, None),
            None if wanted.is_none() => return Ok(None),
            None => {
                let error = "argument columns is for tables of the built-in MIBs, and oid is none";
                return Err(ToolError::invalid(error)
                    .hint("leave columns out, or give the object identifier of one column"));
            }
        },
    };
    let known: Vec<&str> = table.columns().map(|column| column.name).collect();
    let unknown = wanted
        .into_iter()
        .flatten()
        .find(|name| !known.contains(&name.as_str()));
    if let Some(name) = unknown {
        let error = format!(
            "argument columns names {name:?}, which {} has not",
            table.name
        );
        let hint = format!("its columns are {}", known.join(", "));
        return Err(ToolError::invalid(error).hint(hint));
    }
    let is_wanted = |name: &str| {
        only.is_none_or(|only| only == name)
            && wanted.is_none_or(|wanted| wanted.iter().any(|it| it == name))
    };
    let columns = table.columns().filter(|column| is_wanted(column.name));
    Ok(Some(Plan {
        name: table.name.to_owned(),
        index: table.index(),
        columns: columns
            .map(|column| (column.name.to_owned(), column.oid.clone()))
            .collect(),
    }))
}

/// Finds the columns of a table that is not built in, and reads it.
async fn unknown(
    context: &Context,
    reader: &Reader,
    root: &Oid,
) -> Result<(Plan, Table), ToolError> {
    let mut walk = reader.walk(root.clone());
    let mut suffixes: BTreeSet<(u32, u32)> = BTreeSet::new();
    let mut columns: BTreeSet<Oid> = BTreeSet::new();
    let mut n_values = 0;
    while let Some(batch) = walk.next().await? {
        n_values += batch.len();
        let message = format!("{n_values} values, at {}", walk.position());
        context.progress(
            u32::try_from(n_values).unwrap_or(u32::MAX).into(),
            None,
            message,
        );
        for VarBind { oid, .. } in &batch {
            if let Some([first, second, ..]) = oid.after(root) {
                suffixes.insert((*first, *second));
            }
        }
        if n_values > MOST_VALUES {
            break;
        }
    }
    // Below a table stands its entry alone, which is number 1 (RFC 2578, section 7.1.12).
    let is_table = suffixes.iter().all(|(first, _)| *first == 1);
    for (first, second) in suffixes {
        let arcs: &[u32] = if is_table { &[first, second] } else { &[first] };
        columns.insert(root.join(arcs));
    }
    let columns = columns.into_iter().map(|oid| {
        let number = oid.arcs().last().copied().unwrap_or_default();
        (format!("column{number}"), oid)
    });
    let plan = Plan {
        name: root.to_string(),
        index: &[],
        columns: columns.collect(),
    };
    let columns = plan.columns.iter();
    let columns = columns.map(|(name, oid)| Column::new(name.clone(), oid.clone()));
    let table = reader.columns(columns.collect()).await?;
    Ok((plan, table))
}

fn rows(reader: &Reader, plan: &Plan, table: &Table, page: &Page) -> Result<Answer, ToolError> {
    let paged = paginate(page, table.rows().collect())?;
    let row = |(index, row): (&[u32], &crate::client::Row)| {
        let cell = |(name, oid): &(String, Oid)| {
            let value = row.get(name)?.clone();
            let oid = oid.join(index);
            Some((name.clone(), Cell::from(&VarBind { oid, value })))
        };
        TableRow {
            index: dotted(index),
            key: mib::index_parts(plan.index, index),
            cells: plan.columns.iter().filter_map(cell).collect(),
        }
    };
    Ok(Answer {
        agent: reader.agent().to_string(),
        table: plan.name.clone(),
        columns: plan.columns.iter().map(|(name, _)| name.clone()).collect(),
        rows: paged.items.into_iter().map(row).collect(),
        total: table.len(),
        notes: table.notes().to_vec(),
        truncated: paged.truncated,
        next_cursor: paged.next_cursor,
    })
}

fn dotted(index: &[u32]) -> String {
    let arcs: Vec<String> = index.iter().map(u32::to_string).collect();
    arcs.join(".")
}

impl Summary for Answer {
    fn summary(&self) -> String {
        let has_cell = |name: &&String| self.rows.iter().any(|row| row.cells.contains_key(*name));
        let columns: Vec<&str> = self
            .columns
            .iter()
            .filter(has_cell)
            .take(SHOWN)
            .map(String::as_str)
            .collect();
        let heads = [&["index"], columns.as_slice()].concat();
        let table = markdown::table(&heads, &self.rows, |row| {
            let cell = |name: &&str| {
                let cell = row.cells.get(*name).map(|cell| &cell.display);
                markdown::or_dash(cell)
            };
            let cells = columns.iter().map(cell);
            std::iter::once(row.index.clone()).chain(cells).collect()
        });
        format!(
            "{}: {} of {}\n\n{table}{}{}",
            self.table,
            markdown::count(self.total, "row"),
            self.agent,
            markdown::notes("Notes:", &self.notes),
            markdown::more(self.next_cursor.as_ref()),
        )
    }
}
