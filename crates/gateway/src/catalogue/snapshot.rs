use std::sync::Arc;

use protocol::{Category, canonical_tool_name};

use super::item::Item;
use super::kind::{Kind, PerKind};
use super::list::List;

/// The catalogue at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot(PerKind<Arc<List>>);

impl Snapshot {
    pub(super) fn new(lists: PerKind<Arc<List>>) -> Self {
        Self(lists)
    }

    /// The list of one kind.
    pub(crate) fn list(&self, kind: Kind) -> &Arc<List> {
        &self.0[kind]
    }

    /// The kinds whose lists are not what they were.
    pub(super) fn changed_since(&self, last: &Self) -> Vec<Kind> {
        Kind::ALL
            .into_iter()
            .filter(|kind| self.list(*kind).generation() != last.list(*kind).generation())
            .collect()
    }

    /// The tool behind a name, also one that is accepted at call time only, and also when
    /// its workers went away.
    pub(crate) fn tool(&self, name: &str) -> Option<&Arc<Item>> {
        let tools = &self.0[Kind::Tool];
        tools
            .find(name)
            .or_else(|| tools.find(canonical_tool_name(name).as_ref()))
    }

    /// The prompt of a name, also when its workers went away.
    pub(crate) fn prompt(&self, name: &str) -> Option<&Arc<Item>> {
        self.0[Kind::Prompt].find(name)
    }

    /// What provides a URI: the resource itself, otherwise the first template that gives it;
    /// what is listed goes before what went away.
    ///
    /// Templates stand in the order of their texts, in which `{` comes after letters and digits:
    /// of two that share a beginning, the one that says more itself goes first.
    pub(crate) fn resource(&self, uri: &str) -> Option<&Arc<Item>> {
        let (resources, templates) = (&self.0[Kind::Resource], &self.0[Kind::Template]);
        let exact = resources.find(uri);
        let gives = |item: &&Arc<Item>| item.gives(uri);
        exact
            .filter(|_| resources.lists_key(uri))
            .or_else(|| templates.listed().iter().find(gives))
            .or(exact)
            .or_else(|| templates.gone().iter().find(gives))
    }

    /// What a reference for completion means: a template by its text, or whatever provides a URI.
    pub(crate) fn reference(&self, uri: &str) -> Option<&Arc<Item>> {
        self.0[Kind::Template]
            .find(uri)
            .or_else(|| self.resource(uri))
    }

    /// Everything there ever was, in no order.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.0
            .values()
            .flat_map(|list| list.listed().iter().chain(list.gone()))
    }

    /// Whether anything of a category is listed.
    pub(crate) fn lists(&self, category: &Category) -> bool {
        self.0.values().any(|list| list.lists(category))
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self(PerKind::of(|kind| Arc::new(List::empty(kind))))
    }
}
