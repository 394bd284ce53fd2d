use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::{Category, ToolDescriptor, canonical_tool_name};
use strsim::jaro_winkler;

use super::tool::Tool;

/// Most tools on one page of `tools/list`.
pub(crate) const PAGE: usize = 100;
/// How alike a name must be to be suggested, of 1.
const ALIKE: f64 = 0.8;
/// Most names that are suggested.
const SUGGESTIONS: usize = 3;

/// The catalogue at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    generation: u64,
    /// Ordered by name.
    listed: Vec<Arc<Tool>>,
    routes: HashMap<String, Arc<Tool>>,
    /// The pages that a client sees that follows the cursors from the start.
    pages: Vec<String>,
}

impl Snapshot {
    pub(crate) fn new(
        generation: u64,
        listed: Vec<Arc<Tool>>,
        known: &BTreeMap<String, Arc<Tool>>,
    ) -> Self {
        let routes = known
            .iter()
            .map(|(name, tool)| (name.clone(), Arc::clone(tool)))
            .collect();
        let pages = (0..listed.len().max(1))
            .step_by(PAGE)
            .map(|from| page(&listed, from))
            .collect();
        Self {
            generation,
            listed,
            routes,
            pages,
        }
    }

    /// Grows whenever the listed tools change.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn has_listed(&self, tools: &[Arc<Tool>]) -> bool {
        self.listed.len() == tools.len()
            && self
                .listed
                .iter()
                .zip(tools)
                .all(|(a, b)| a.is_same_text(b) && a.category == b.category)
    }

    pub(crate) fn knows_all(&self, known: &BTreeMap<String, Arc<Tool>>) -> bool {
        self.routes.len() == known.len()
            && known.iter().all(|(name, tool)| {
                self.routes
                    .get(name)
                    .is_some_and(|route| Arc::ptr_eq(route, tool))
            })
    }

    /// The tool behind a name, also one that is accepted at call time only, and also when
    /// its workers went away.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Tool>> {
        self.routes
            .get(name)
            .or_else(|| self.routes.get(canonical_tool_name(name).as_ref()))
    }

    /// Every tool there ever was, in no order.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Arc<Tool>> {
        self.routes.values()
    }

    /// Whether any tool of a category is listed.
    pub(crate) fn lists(&self, category: &Category) -> bool {
        self.listed.iter().any(|tool| tool.category == *category)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Members `tools` and `nextCursor` of the page after a cursor.
    ///
    /// # Errors
    /// When the cursor is none of ours.
    pub(crate) fn page(&self, cursor: Option<&str>) -> Result<Cow<'_, str>, InvalidCursor> {
        let from = match cursor {
            None => 0,
            Some(cursor) => {
                let last = read_cursor(cursor).ok_or(InvalidCursor)?;
                self.listed.partition_point(|tool| tool.name <= last)
            }
        };
        let ready = from
            .is_multiple_of(PAGE)
            .then(|| self.pages.get(from / PAGE))
            .flatten();
        Ok(match ready {
            Some(ready) => Cow::Borrowed(ready),
            None => Cow::Owned(page(&self.listed, from)),
        })
    }

    /// The listed names most like one that is not known, best first.
    pub(crate) fn alike(&self, name: &str) -> Vec<&str> {
        let mut scored: Vec<(f64, &str)> = self
            .listed
            .iter()
            .map(|tool| (jaro_winkler(name, &tool.name), tool.name.as_str()))
            .filter(|(score, _)| *score >= ALIKE)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        scored
            .into_iter()
            .take(SUGGESTIONS)
            .map(|(_, name)| name)
            .collect()
    }
}

/// A cursor that this server did not make.
#[derive(Debug)]
pub(crate) struct InvalidCursor;

fn page(listed: &[Arc<Tool>], from: usize) -> String {
    let to = listed.len().min(from.saturating_add(PAGE));
    let tools = listed.get(from..to).unwrap_or_default();
    let texts: Vec<&str> = tools.iter().map(|tool| tool.text.get()).collect();
    let mut page = format!(r#""tools":[{}]"#, texts.join(","));
    if let (true, Some(last)) = (to < listed.len(), tools.last()) {
        page.push_str(r#","nextCursor":""#);
        page.push_str(&URL_SAFE_NO_PAD.encode(&last.name));
        page.push('"');
    }
    page
}

/// A cursor names the last tool of its page, so it stays good when tools come and go.
fn read_cursor(cursor: &str) -> Option<String> {
    let name = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    ToolDescriptor::name_is_valid(&name).then_some(name)
}
