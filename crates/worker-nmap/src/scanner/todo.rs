//! What a call has left to scan.

use std::net::IpAddr;

use protocol::ToolError;

use super::cursor::Cursor;
use super::part::Part;
use crate::addresses::AddressSet;
use crate::ports::Place;
use crate::scan::Selection;

/// Addresses and their ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Todo {
    addresses: AddressSet,
    ports: Selection,
    /// Up to this address the ports before that one are done.
    resumed: Option<(IpAddr, Place)>,
}

impl Todo {
    /// What is left from the cursor on, of ports that are named later.
    ///
    /// # Errors
    /// `invalid_arguments` for a cursor of other targets.
    pub(crate) fn new(addresses: &AddressSet, cursor: Option<&str>) -> Result<Self, ToolError> {
        let Some(text) = cursor else {
            return Ok(Self {
                addresses: addresses.clone(),
                ports: Selection::None,
                resumed: None,
            });
        };
        let cursor = text.parse().ok().filter(|cursor: &Cursor| {
            let is_known = |(last, _)| addresses.contains(last) && last >= cursor.first;
            addresses.contains(cursor.first) && cursor.ports.is_none_or(is_known)
        });
        let cursor = cursor.ok_or_else(|| unknown(text))?;
        Ok(Self {
            addresses: addresses.starting_at(cursor.first),
            ports: Selection::None,
            resumed: cursor.ports,
        })
    }

    /// Names the ports.
    ///
    /// # Errors
    /// `invalid_arguments` for a cursor of other ports.
    pub(crate) fn of_ports(self, ports: Selection) -> Result<Self, ToolError> {
        if let (Some((_, place)), Some(cursor)) = (self.resumed, self.cursor())
            && from(&ports, place).is_none()
        {
            return Err(unknown(&cursor.to_string()));
        }
        Ok(Self { ports, ..self })
    }

    /// How many addresses are left.
    pub(crate) fn len(&self) -> u128 {
        self.addresses.len()
    }

    /// Where it begins.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        Some(Cursor {
            first: self.addresses.first()?,
            ports: self.resumed,
        })
    }

    /// The first addresses, of one IP version and at most so many, that have the same ports left.
    pub(crate) fn part(&self, most: u128) -> Option<Part> {
        let first = self.addresses.first()?;
        let ports = self
            .resumed
            .and_then(|(_, place)| from(&self.ports, place))
            .unwrap_or_else(|| self.ports.clone());
        let addresses = match self.resumed {
            Some((last, _)) => self.addresses.up_to(last).first_part(most),
            None => self.addresses.first_part(most),
        };
        let start = Cursor {
            first,
            ports: self.resumed,
        };
        Some(Part::new(addresses, ports, start))
    }

    /// Takes away a part that is done.
    pub(crate) fn remove(&mut self, part: &Part) {
        let last = part.addresses().last();
        self.addresses = last.map_or_else(AddressSet::default, |last| self.addresses.after(last));
        let first = self.addresses.first();
        self.resumed = self
            .resumed
            .filter(|(last, _)| first.is_some_and(|first| first <= *last));
    }
}

/// The port and those behind it, if it is one of them.
fn from(ports: &Selection, place: Place) -> Option<Selection> {
    match ports {
        Selection::Named(ports) => ports.starting_at(place).map(Selection::Named),
        _ => None,
    }
}

fn unknown(cursor: &str) -> ToolError {
    let message = format!(
        "argument cursor is {cursor:?}, which no page of these targets and ports ended with"
    );
    ToolError::invalid(message).hint(
        "take nextCursor of the page before, with the same target and ports, or leave cursor out",
    )
}
