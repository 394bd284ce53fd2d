//! What comes out, as Markdown.

use std::fmt;

/// One part of the report.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// How it was measured; whole sentences, one to a line.
    pub(crate) method: String,
    pub(crate) tables: Vec<Table>,
}

/// Rows of cells; the first column is text, the others are figures.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            header: header.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// A table of what is aimed at and what was reached.
    pub(crate) fn of_goals() -> Self {
        Self::new(&["figure", "target", "reached", "met"])
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// A row of a table of goals.
    pub(crate) fn goal(&mut self, figure: &str, goal: &Goal, reached: f64) {
        let is_met = if goal.is_met_by(reached) { "yes" } else { "no" };
        self.row([
            figure.to_owned(),
            goal.to_string(),
            goal.show(reached),
            is_met.to_owned(),
        ]);
    }

    /// A row of a table of goals for what is only reported.
    pub(crate) fn note(&mut self, figure: &str, reached: String) {
        let none = || "-".to_owned();
        self.row([figure.to_owned(), none(), reached, none()]);
    }
}

/// What a figure is to be, in the unit that is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64, &'static str),
    AtMost(f64, &'static str),
}

impl Goal {
    fn is_met_by(&self, reached: f64) -> bool {
        match self {
            Self::AtLeast(limit, _) => reached >= *limit,
            Self::AtMost(limit, _) => reached <= *limit,
        }
    }

    fn show(&self, value: f64) -> String {
        let (Self::AtLeast(_, unit) | Self::AtMost(_, unit)) = self;
        format!("{value:.2}{unit}")
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(limit, unit) => write!(f, "≥ {limit}{unit}"),
            Self::AtMost(limit, unit) => write!(f, "≤ {limit}{unit}"),
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "## {}\n{}\n", self.title, self.method)?;
        self.tables
            .iter()
            .try_for_each(|table| write!(f, "\n{table}"))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| {} |", self.header.join(" | "))?;
        let figures = "---:|".repeat(self.header.len().saturating_sub(1));
        writeln!(f, "|---|{figures}")?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_at_its_limit() {
        let check = |goal: Goal, reached, expected: &str| {
            let mut table = Table::of_goals();
            table.goal("figure", &goal, reached);
            assert!(table.to_string().ends_with(expected), "{table}");
        };
        let ratio = Goal::AtLeast(0.7, "");
        check(ratio, 0.7, "| figure | ≥ 0.7 | 0.70 | yes |\n");
        check(ratio, 0.69, "| figure | ≥ 0.7 | 0.69 | no |\n");
        let time = Goal::AtMost(0.5, " ms");
        check(time, 0.5, "| figure | ≤ 0.5 ms | 0.50 ms | yes |\n");
        check(time, 0.51, "| figure | ≤ 0.5 ms | 0.51 ms | no |\n");
    }
}
