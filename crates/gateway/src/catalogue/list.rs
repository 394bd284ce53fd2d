use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::Category;
use strsim::jaro_winkler;

use super::item::Item;
use super::kind::Kind;

/// Most items on one page of a list.
pub(super) const PAGE: usize = 100;
/// How alike a name must be to be suggested, of 1.
const ALIKE: f64 = 0.8;
/// Most names that are suggested.
const SUGGESTIONS: usize = 3;

/// All items of one kind at one moment.
#[derive(Debug)]
pub(crate) struct List {
    kind: Kind,
    generation: u64,
    /// What clients see, ordered by key.
    listed: Vec<Arc<Item>>,
    /// What there was once, ordered by key.
    gone: Vec<Arc<Item>>,
    /// Both, by key.
    routes: HashMap<String, Arc<Item>>,
    /// The pages that a client sees that follows the cursors from the start.
    pages: Vec<String>,
}

impl List {
    /// `listed` is ordered by key and part of `known`.
    pub(super) fn new(
        kind: Kind,
        generation: u64,
        listed: Vec<Arc<Item>>,
        known: &BTreeMap<String, Arc<Item>>,
    ) -> Self {
        let gone = known
            .values()
            .filter(|item| position(&listed, &item.key).is_none())
            .cloned()
            .collect();
        let pages = (0..listed.len().max(1))
            .step_by(PAGE)
            .map(|from| page(kind, &listed, from))
            .collect();
        Self {
            kind,
            generation,
            listed,
            gone,
            routes: known
                .iter()
                .map(|(key, item)| (key.clone(), Arc::clone(item)))
                .collect(),
            pages,
        }
    }

    pub(super) fn empty(kind: Kind) -> Self {
        Self::new(kind, 0, Vec::new(), &BTreeMap::new())
    }

    /// Grows whenever the listed items change.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    pub(super) fn has_listed(&self, items: &[Arc<Item>]) -> bool {
        self.listed.len() == items.len()
            && self
                .listed
                .iter()
                .zip(items)
                .all(|(a, b)| a.is_same_text(b) && a.category == b.category)
    }

    pub(super) fn knows_all(&self, known: &BTreeMap<String, Arc<Item>>) -> bool {
        self.routes.len() == known.len()
            && known.iter().all(|(key, item)| {
                self.routes
                    .get(key)
                    .is_some_and(|route| Arc::ptr_eq(route, item))
            })
    }

    /// The item of a key, also when its workers went away.
    pub(super) fn find(&self, key: &str) -> Option<&Arc<Item>> {
        self.routes.get(key)
    }

    /// What is listed, in its order.
    pub(super) fn listed(&self) -> &[Arc<Item>] {
        &self.listed
    }

    /// What was listed once, ordered by key.
    pub(super) fn gone(&self) -> &[Arc<Item>] {
        &self.gone
    }

    pub(super) fn lists_key(&self, key: &str) -> bool {
        position(&self.listed, key).is_some()
    }

    /// Whether anything of a category is listed.
    pub(super) fn lists(&self, category: &Category) -> bool {
        self.listed.iter().any(|item| item.category == *category)
    }

    /// The member of the kind and `nextCursor` of the page after a cursor.
    ///
    /// # Errors
    /// When the cursor is none of this list.
    pub(crate) fn page(&self, cursor: Option<&str>) -> Result<Cow<'_, str>, InvalidCursor> {
        let from = match cursor {
            None => 0,
            Some(cursor) => {
                let last = read_cursor(self.kind, cursor).ok_or(InvalidCursor)?;
                self.listed.partition_point(|item| item.key <= last)
            }
        };
        let ready = from
            .is_multiple_of(PAGE)
            .then(|| self.pages.get(from / PAGE))
            .flatten();
        Ok(match ready {
            Some(ready) => Cow::Borrowed(ready),
            None => Cow::Owned(page(self.kind, &self.listed, from)),
        })
    }

    /// The listed keys most like one that is not known, best first.
    pub(crate) fn alike(&self, key: &str) -> Vec<&str> {
        let mut scored: Vec<(f64, &str)> = self
            .listed
            .iter()
            .map(|item| (jaro_winkler(key, &item.key), item.key.as_str()))
            .filter(|(score, _)| *score >= ALIKE)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        scored
            .into_iter()
            .take(SUGGESTIONS)
            .map(|(_, key)| key)
            .collect()
    }
}

/// A cursor that this server did not make for this list.
#[derive(Debug)]
pub(crate) struct InvalidCursor;

fn position(listed: &[Arc<Item>], key: &str) -> Option<usize> {
    listed
        .binary_search_by(|item| item.key.as_str().cmp(key))
        .ok()
}

fn page(kind: Kind, listed: &[Arc<Item>], from: usize) -> String {
    let to = listed.len().min(from.saturating_add(PAGE));
    let items = listed.get(from..to).unwrap_or_default();
    let texts: Vec<&str> = items.iter().map(|item| item.text.get()).collect();
    let mut page = format!(r#""{}":[{}]"#, kind.member(), texts.join(","));
    if let (true, Some(last)) = (to < listed.len(), items.last()) {
        page.push_str(r#","nextCursor":""#);
        page.push_str(&URL_SAFE_NO_PAD.encode(format!("{}{}", kind.tag(), last.key)));
        page.push('"');
    }
    page
}

/// A cursor names the last item of its page, so it stays good when items come and go.
fn read_cursor(kind: Kind, cursor: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let key = text.strip_prefix(kind.tag())?;
    (!key.is_empty() && !key.contains(char::is_control)).then(|| key.to_owned())
}
