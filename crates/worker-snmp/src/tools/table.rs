//! `snmp_table`: rows by index, columns by name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::{Context, Page, Summary, Tool, paginate};

use crate::client::{Column, MOST_BYTES, Reader, Table};
use crate::collect::{Enough, Stop};
use crate::reading::Cell;
use crate::session::{SessionId, Sessions};
use crate::value::VarBind;
use crate::{Oid, agent, collect, markdown, mib, tools};

/// Columns that a summary shows.
const SHOWN: usize = 8;
/// Values of a table that the built-in MIBs do not have.
const MOST_VALUES: usize = 50_000;
const ENOUGH: Enough = Enough {
    n_values: MOST_VALUES,
    n_bytes: MOST_BYTES,
};

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
    /// What the agent did wrong, or why the table was not read to its end: rows or cells may be
    /// missing.
    notes: Vec<String>,
    /// Whether rows follow that are not in this page, or that could not be read.
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
            let table = read(&context, &reader, &plan).await?;
            (plan, table)
        }
        None => unknown(&context, &reader, &root).await?,
    };
    rows(&reader, &plan, &table, &arguments.page)
}

/// What to read of a known table; `None` of an unknown one.
fn plan(root: &Oid, wanted: Option<&[String]>) -> Result<Option<Plan>, ToolError> {
    let one = column(root)?;
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

/// The table of a column, and the column's name; `None` of what is none.
fn column(root: &Oid) -> Result<Option<(&'static mib::Object, &'static str)>, ToolError> {
    let Some((object, rest)) = mib::lookup(root) else {
        return Ok(None);
    };
    match &object.role {
        mib::Role::Column(entry) if rest.is_empty() => {
            Ok(mib::table_at(entry).map(|table| (table, object.name)))
        }
        mib::Role::Column(_) | mib::Role::Scalar => {
            let what = mib::name_or_number(root);
            let error = format!("argument oid is {what}: it is a single object, and no table");
            Err(ToolError::invalid(error)
                .hint("read it with snmp_get, or give a table or one of its columns"))
        }
        mib::Role::Table(_) | mib::Role::Node => Ok(None),
    }
}

/// Reads a known table, as far as the deadline lets it.
async fn read(context: &Context, reader: &Reader, plan: &Plan) -> Result<Table, ToolError> {
    let columns = plan.columns.iter();
    let columns = columns.map(|(name, oid)| Column::new(name.clone(), oid.clone()));
    let tell = |n_values: usize| {
        let message = format!("{n_values} values of {}", plan.name);
        context.progress(collect::step(n_values), None, message);
    };
    tell(0);
    let columns = reader.columns(columns.collect());
    let (mut table, stop) = collect::columns(columns, collect::end(context), tell).await;
    match stop {
        Some(Stop::Failed(error)) if table.is_empty() => return Err(error.into()),
        Some(stop) => table.cut(stop.to_string()),
        None => {}
    }
    Ok(table)
}

/// Reads a table that is not built in, by a walk that shows which columns it has.
async fn unknown(
    context: &Context,
    reader: &Reader,
    root: &Oid,
) -> Result<(Plan, Table), ToolError> {
    let mut walk = reader.walk(root.clone());
    let (mut values, stopped) = collect::walk(context, &mut walk, ENOUGH, |value| value).await?;
    let is_cut = values.len() > MOST_VALUES;
    values.truncate(MOST_VALUES);
    let (plan, mut table) = by_column(root, values);
    if is_cut {
        table.cut(format!(
            "more than {MOST_VALUES} values; the rest is left out"
        ));
    } else if let Some(why) = stopped {
        table.cut(why);
    }
    Ok((plan, table))
}

/// What a walk gave as a table.
fn by_column(root: &Oid, values: Vec<VarBind>) -> (Plan, Table) {
    // Below a table stands its entry alone, which is number 1 (RFC 2578, section 7.1.12).
    let is_table = values
        .iter()
        .all(|value| value.oid.after(root).and_then(<[u32]>::first) == Some(&1));
    let n_above = root.arcs().len() + if is_table { 2 } else { 1 };
    let mut columns: BTreeMap<Oid, String> = BTreeMap::new();
    let mut table = Table::default();
    for VarBind { oid, value } in values {
        // An object with nothing after its column stands in no row.
        let Some((column, index @ [_, ..])) = oid.arcs().split_at_checked(n_above) else {
            continue;
        };
        let number = column.last().copied().unwrap_or_default();
        let name = columns
            .entry(column.into())
            .or_insert_with(|| format!("column{number}"));
        table.put(index, name, value);
    }
    let plan = Plan {
        name: root.to_string(),
        index: &[],
        columns: columns.into_iter().map(|(oid, name)| (name, oid)).collect(),
    };
    (plan, table)
}

fn rows(reader: &Reader, plan: &Plan, table: &Table, page: &Page) -> Result<Answer, ToolError> {
    let paged = paginate(page, table.rows().collect())?;
    let row = |(index, row): (&[u32], &crate::client::Row)| {
        let cell = |(name, oid): &(String, Oid)| {
            let value = row.get(name)?;
            let oid = oid.join(index);
            let object = mib::lookup(&oid).map(|(object, _)| object);
            Some((name.clone(), Cell::new(object, value)))
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
        truncated: paged.truncated || table.is_cut(),
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

#[cfg(test)]
mod tests {
    use protocol::ErrorCode;
    use worker::Scope;

    use super::*;
    use crate::client::Version;
    use crate::client::scripted::{Agent, reader};
    use crate::value::Value;

    const TABLE: &str = "1.3.6.1.4.1.99999.1";

    /// A table of two columns, the second without its first row.
    fn agent() -> Agent {
        let cells = [(1, 1), (1, 2), (2, 2)];
        cells.iter().fold(Agent::new(Version::V2c), |agent, cell| {
            let at = format!("{TABLE}.1.{}.{}", cell.0, cell.1);
            agent.with(&at, Value::Integer(cell.0 * 10 + cell.1))
        })
    }

    #[tokio::test]
    async fn a_table_that_is_not_built_in_is_read_once() {
        let agent = agent();
        let asked = agent.asked();
        let context = Context::for_test(Scope::default());
        let root = TABLE.parse().unwrap();
        let (plan, table) = unknown(&context, &reader(agent), &root).await.unwrap();
        let names: Vec<&str> = plan.columns.iter().map(|it| it.0.as_str()).collect();
        assert_eq!(names, ["column1", "column2"]);
        assert_eq!(table.row(&[1]).unwrap().number("column1"), Some(11));
        assert_eq!(table.row(&[1]).unwrap().get("column2"), None);
        assert_eq!(table.row(&[2]).unwrap().number("column2"), Some(22));
        assert_eq!(asked.repetitions(), [40]);
        assert!(!table.is_cut());
    }

    #[tokio::test]
    async fn what_was_wrong_with_a_table_that_is_not_built_in_is_said() {
        let (from, to) = (format!("{TABLE}.1.1.2"), format!("{TABLE}.1.1.1"));
        let agent = agent().circles_from(&from, &to);
        let context = Context::for_test(Scope::default());
        let root = TABLE.parse().unwrap();
        let (_, table) = unknown(&context, &reader(agent), &root).await.unwrap();
        assert_eq!(table.len(), 2);
        assert!(table.is_cut());
        assert!(table.notes()[0].contains("does not increase"));
    }

    #[test]
    fn a_single_object_is_no_table() {
        for text in ["ifDescr.3", "sysName", "sysName.0", "1.3.6.1.2.1.2.2.1.2.3"] {
            let root = mib::resolve(text).unwrap();
            let error = plan(&root, None).err().unwrap();
            assert_eq!(error.code, ErrorCode::InvalidArguments, "{text}");
        }
        for text in ["ifDescr", "ifTable", "system", TABLE] {
            let root = mib::resolve(text).unwrap();
            assert!(plan(&root, None).is_ok(), "{text}");
        }
    }
}
