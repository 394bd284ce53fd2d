use std::ops::{Index, IndexMut};

use protocol::Change;

/// What workers announce, each in a list of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Known by its name.
    Tool,
    /// Known by its URI.
    Resource,
    /// Known by its URI template.
    Template,
    /// Known by its name.
    Prompt,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Tool, Self::Resource, Self::Template, Self::Prompt];

    /// The word for one of them.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::Template => "resource template",
            Self::Prompt => "prompt",
        }
    }

    /// The member of a result that lists them.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Tool => "tools",
            Self::Resource => "resources",
            Self::Template => "resourceTemplates",
            Self::Prompt => "prompts",
        }
    }

    /// What clients are told when the list changes.
    pub(crate) fn change(self) -> Change {
        match self {
            Self::Tool => Change::ToolsListChanged,
            Self::Resource | Self::Template => Change::ResourcesListChanged,
            Self::Prompt => Change::PromptsListChanged,
        }
    }

    /// Begins the cursors of the list.
    pub(super) fn tag(self) -> char {
        match self {
            Self::Tool => 't',
            Self::Resource => 'r',
            Self::Template => 'u',
            Self::Prompt => 'p',
        }
    }
}

/// One value for each kind.
#[derive(Debug, Clone, Default)]
pub(super) struct PerKind<T>([T; 4]);

impl<T> PerKind<T> {
    pub(super) fn of(make: impl FnMut(Kind) -> T) -> Self {
        Self(Kind::ALL.map(make))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Index<Kind> for PerKind<T> {
    type Output = T;

    fn index(&self, kind: Kind) -> &T {
        &self.0[kind as usize]
    }
}

impl<T> IndexMut<Kind> for PerKind<T> {
    fn index_mut(&mut self, kind: Kind) -> &mut T {
        &mut self.0[kind as usize]
    }
}
