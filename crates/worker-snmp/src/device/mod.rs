//! What whole devices say of themselves, read from several MIBs.
//!
//! Each part reads what it needs and says which MIB the device lacks; a part that fails does not
//! take the others with it, and an agent that stops answering does not take what it has said.

pub(crate) mod addresses;
pub(crate) mod entity;
pub(crate) mod health;
pub(crate) mod interfaces;
pub(crate) mod sensors;
pub(crate) mod services;
pub(crate) mod storage;
pub(crate) mod supplies;
pub(crate) mod system;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use worker::Context;

use crate::client::{Column, Reader, Row, Table};
use crate::collect::Stop;
use crate::{agent, collect, markdown, mib};

/// A MIB, or a part of one, that nothing could be read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Missing {
    /// Name of the MIB, and of the table where it is about one.
    pub(crate) mib: String,
    /// Why: the device has none of it, or what went wrong.
    pub(crate) why: String,
}

/// A device on its way through several MIBs.
#[derive(Debug)]
pub(crate) struct Survey<'a> {
    context: &'a Context,
    reader: Reader,
    missing: Vec<Missing>,
    n_done: u32,
    n_parts: u32,
    /// When to stop, so that there is time to give what was read.
    end: Instant,
    /// Why nothing more is read.
    over: Option<&'static str>,
}

impl<'a> Survey<'a> {
    /// Makes sure that the agent answers, so that what is missing later is the device's affair.
    ///
    /// # Errors
    /// Why the agent does not answer.
    pub(crate) async fn begin(
        context: &'a Context,
        reader: Reader,
        n_parts: u32,
    ) -> Result<Self, ToolError> {
        agent::check(&reader).await?;
        Ok(Self {
            context,
            reader,
            missing: Vec::new(),
            n_done: 0,
            n_parts,
            end: collect::end(context),
            over: None,
        })
    }

    /// Address and port of the agent.
    pub(crate) fn agent(&self) -> String {
        self.reader.agent().to_string()
    }

    /// Tells the caller what is read next.
    pub(crate) fn part(&mut self, what: &str) {
        let (done, all) = (f64::from(self.n_done), f64::from(self.n_parts));
        self.context
            .progress(done, Some(all), format!("reading {what}"));
        self.n_done += 1;
    }

    /// Columns of a table; an empty one, and a word of what is missing, where there are none.
    pub(crate) async fn table(&mut self, mib: &str, name: &str, columns: &[&str]) -> Table {
        let (label, n_missing) = (format!("{mib} {name}"), self.n_missing());
        let table = self.read(&label, name, columns).await;
        if table.is_empty() {
            self.lacks(&label, n_missing);
        }
        table
    }

    /// Columns of a table that devices may have or not, without a word where they have not.
    pub(crate) async fn optional_table(&mut self, name: &str, columns: &[&str]) -> Table {
        let module = mib::table(name).map_or("", |table| table.module);
        self.read(&format!("{module} {name}"), name, columns).await
    }

    /// Objects without an index.
    pub(crate) async fn scalars(&mut self, label: &str, names: &[&str]) -> Row {
        if self.is_over(label) {
            return Row::default();
        }
        let n_missing = self.n_missing();
        let row = match timeout_at(self.end, self.reader.scalars(names)).await {
            Ok(Ok(row)) => row,
            Ok(Err(error)) => {
                self.stopped(label, &Stop::Failed(error)).await;
                Row::default()
            }
            Err(_) => {
                self.stopped(label, &Stop::Deadline).await;
                Row::default()
            }
        };
        for (name, fault) in row.failed() {
            self.missing.push(Missing {
                mib: format!("{label} {name}"),
                why: format!("the device answers {fault}"),
            });
        }
        if row.is_empty() {
            self.lacks(label, n_missing);
        }
        row
    }

    /// How much is missing so far.
    pub(crate) fn n_missing(&self) -> usize {
        self.missing.len()
    }

    /// Says that the device has none of a MIB, unless something has been said of why nothing was
    /// read since there were `n_missing`.
    pub(crate) fn lacks(&mut self, label: &str, n_missing: usize) {
        if self.n_missing() == n_missing {
            self.note(label, "the device has none of it");
        }
    }

    /// What nothing could be read from.
    pub(crate) fn into_missing(self) -> Vec<Missing> {
        self.missing
    }

    /// Columns of a built-in table, as far as they can be read.
    async fn read(&mut self, label: &str, name: &str, columns: &[&str]) -> Table {
        if self.is_over(label) {
            return Table::default();
        }
        let columns = match Column::named(name, columns) {
            Ok(columns) => self.reader.columns(columns),
            Err(error) => {
                self.note(label, &error.to_string());
                return Table::default();
            }
        };
        let (table, stop) = collect::columns(columns, self.end, |_| ()).await;
        for note in table.notes() {
            self.note(label, note);
        }
        if let Some(stop) = stop {
            self.stopped(label, &stop).await;
        }
        table
    }

    /// Whether nothing is read any more; what would have been is missing then.
    fn is_over(&mut self, label: &str) -> bool {
        if let Some(why) = self.over {
            self.note(label, why);
        }
        self.over.is_some()
    }

    /// Says why something was not read to its end. What comes after is not asked for where the
    /// agent is gone, because each request would take all its timeouts; a table that takes an
    /// agent too long is that table's affair.
    async fn stopped(&mut self, label: &str, stop: &Stop) {
        match stop {
            Stop::Failed(error) => self.note(label, &error.to_string()),
            Stop::Deadline => self.note(label, &stop.to_string()),
        }
        self.over = match stop {
            Stop::Deadline => Some("not read: the deadline came"),
            Stop::Failed(error) if error.is_silence() && self.is_gone().await => {
                Some("not read: the agent had stopped answering")
            }
            Stop::Failed(_) => None,
        };
    }

    async fn is_gone(&self) -> bool {
        let check = timeout_at(self.end, agent::check(&self.reader)).await;
        check.map_or(true, |answer| answer.is_err_and(|error| error.is_silence()))
    }

    fn note(&mut self, what: &str, why: &str) {
        self.missing.push(Missing {
            mib: what.to_owned(),
            why: why.to_owned(),
        });
    }
}

/// What is missing, for a summary.
pub(crate) fn missing_text(missing: &[Missing]) -> String {
    let names: Vec<&str> = missing.iter().map(|it| it.mib.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("\nMissing: {}.\n", markdown::plain(&names.join(", ")))
}

/// Part of a whole in hundredths, to one digit after the point.
pub(crate) fn percent(part: u64, whole: u64) -> Option<f64> {
    if whole == 0 {
        return None;
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    // More than 100 % happens, where devices count what they reserve.
    let tenths = u32::try_from(tenths).unwrap_or(u32::MAX);
    Some(f64::from(tenths) / 10.0)
}

/// Bytes as people say them.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Seconds as people say them.
pub(crate) fn days(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60);
    format!(
        "{}d {:02}:{:02}:{:02}",
        hours / 24,
        hours % 24,
        minutes % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use worker::Scope;

    use super::*;
    use crate::client::Version;
    use crate::client::scripted::{Agent, reader};
    use crate::error::AuthenticationFault;
    use crate::value::Value;

    /// What is missing of interfaces and their addresses, as MIB and reason.
    async fn missing_of_interfaces(agent: Agent) -> Vec<(String, String)> {
        let agent = agent
            .with("1.3.6.1.2.1.1.3.0", Value::TimeTicks(100))
            .with("1.3.6.1.2.1.2.2.1.8.1", Value::Integer(1));
        let context = Context::for_test(Scope::default());
        let mut survey = Survey::begin(&context, reader(agent), 2).await.unwrap();
        let interfaces = interfaces::read(&mut survey).await;
        assert_eq!(interfaces.len(), 1);
        let missing = survey.into_missing().into_iter();
        missing.map(|it| (it.mib, it.why)).collect()
    }

    #[tokio::test]
    async fn a_table_that_could_not_be_read_is_named_though_devices_may_lack_it() {
        let prefixes = "1.3.6.1.2.1.4.32";
        let fault = AuthenticationFault::AccessControl;
        let agent = Agent::new(Version::V2c).refuses_from(prefixes, fault);
        let agent = agent.with("1.3.6.1.2.1.4.34.1.3.1.4.10.0.0.1", Value::Integer(1));
        let missing = missing_of_interfaces(agent).await;
        let of = |mib: &str| missing.iter().find(|it| it.0 == mib).map(|it| &*it.1);
        let why = of("IP-MIB ipAddressTable").unwrap();
        assert!(why.contains("access control"), "{missing:?}");
    }

    #[tokio::test]
    async fn an_object_that_the_device_fails_to_read_is_named() {
        let agent = Agent::new(Version::V2c).breaks_at("1.3.6.1.2.1.1.3.0");
        let missing = missing_of_interfaces(agent).await;
        let broken = (
            "SNMPv2-MIB sysUpTime sysUpTime".to_owned(),
            "the device answers genErr".to_owned(),
        );
        assert!(missing.contains(&broken), "{missing:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_deadline_cuts_off_is_named() {
        let agent = Agent::new(Version::V2c).stalls_after(3);
        let missing = missing_of_interfaces(agent).await;
        let of = |mib: &str| missing.iter().find(|it| it.0 == mib).map(|it| &*it.1);
        assert_eq!(of("IF-MIB ifXTable"), Some("the deadline came"));
        let rest = of("IP-MIB ipAddrTable");
        assert_eq!(rest, Some("not read: the deadline came"), "{missing:?}");
    }

    #[test]
    fn numbers_are_said_as_people_say_them() {
        assert_eq!(percent(1, 3), Some(33.3));
        assert_eq!(percent(1, 0), None);
        assert_eq!(percent(u64::MAX, u64::MAX), Some(100.0));
        assert_eq!(size(0), "0.0 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(u64::MAX), "16383.9 PiB");
        assert_eq!(days(93_784), "1d 02:03:04");
    }
}
