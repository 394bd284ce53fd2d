use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

/// Most sub-identifiers of an object identifier (RFC 2578, section 3.5).
const MAX_ARCS: usize = 128;
const TOO_MANY: &str = "it has more than 128 numbers";
const NO_NUMBERS: &str = "it is not numbers of 32 bits with dots between them";

/// An object identifier. The order is that in which agents answer GETNEXT.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Oid(Cow<'static, [u32]>);

impl Oid {
    /// The object identifier of these numbers.
    #[must_use]
    pub const fn new(arcs: &'static [u32]) -> Self {
        Self(Cow::Borrowed(arcs))
    }

    /// The numbers.
    #[must_use]
    pub fn arcs(&self) -> &[u32] {
        &self.0
    }

    /// This one with more numbers at its end.
    #[must_use]
    pub fn join(&self, more: &[u32]) -> Self {
        Self(Cow::Owned([self.arcs(), more].concat()))
    }

    /// This one with more numbers at its end, written with dots between them.
    ///
    /// # Errors
    /// They are no numbers, or too many.
    pub(crate) fn join_text(&self, more: &str) -> Result<Self, &'static str> {
        let oid = self.join(&arcs(more).ok_or(NO_NUMBERS)?);
        if oid.arcs().len() > MAX_ARCS {
            return Err(TOO_MANY);
        }
        Ok(oid)
    }

    /// Whether `root` is this one or above it.
    #[must_use]
    pub fn is_in(&self, root: &Self) -> bool {
        self.arcs().starts_with(root.arcs())
    }

    /// What follows `root`; `None` where this one is not in it.
    #[must_use]
    pub fn after(&self, root: &Self) -> Option<&[u32]> {
        self.arcs().strip_prefix(root.arcs())
    }
}

/// So that places in a tree of them can be looked up by numbers alone; the order is the same.
impl Borrow<[u32]> for Oid {
    fn borrow(&self) -> &[u32] {
        self.arcs()
    }
}

impl From<Vec<u32>> for Oid {
    fn from(arcs: Vec<u32>) -> Self {
        Self(Cow::Owned(arcs))
    }
}

impl From<&[u32]> for Oid {
    fn from(arcs: &[u32]) -> Self {
        Self(Cow::Owned(arcs.to_vec()))
    }
}

impl FromStr for Oid {
    type Err = &'static str;

    /// Reads numbers with dots between them, and perhaps one before.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix('.').unwrap_or(text);
        let arcs = arcs(text).ok_or(NO_NUMBERS)?;
        match arcs.as_slice() {
            [] | [_] => Err("it has fewer than two numbers"),
            [first, ..] if *first > 2 => Err("its first number is above 2"),
            [0 | 1, second, ..] if *second > 39 => Err("its second number is above 39"),
            _ if arcs.len() > MAX_ARCS => Err(TOO_MANY),
            _ => Ok(arcs.into()),
        }
    }
}

/// Numbers with dots between them.
fn arcs(text: &str) -> Option<Vec<u32>> {
    let arc = |arc: &str| {
        // `parse` would take a sign.
        let is_number = arc.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| arc.parse().ok()).flatten()
    };
    text.split('.').map(arc).collect()
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, arc) in self.arcs().iter().enumerate() {
            let dot = if n == 0 { "" } else { "." };
            write!(f, "{dot}{arc}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_object_identifiers_are_read() {
        let check = |text: &str, expected: Option<&str>| {
            let read = text.parse::<Oid>().map(|oid| oid.to_string());
            assert_eq!(read.ok().as_deref(), expected, "{text}");
        };
        check("1.3.6.1.2.1.1.1.0", Some("1.3.6.1.2.1.1.1.0"));
        check(".1.3.6", Some("1.3.6"));
        check("2.999.4294967295", Some("2.999.4294967295"));
        for text in [
            "",
            ".",
            "1",
            "3.1",
            "1.40",
            "1..3",
            "1.3.",
            "1.-3",
            "1.+3",
            "1.3 ",
            "1.4294967296",
            "iso.3",
            "1.3;id",
        ] {
            check(text, None);
        }
        check(&["1"; 129].join("."), None);
    }

    #[test]
    fn the_order_is_that_of_walks() {
        let oid = |text: &str| text.parse::<Oid>().unwrap();
        assert!(oid("1.3.6") < oid("1.3.6.0"));
        assert!(oid("1.3.6.9") < oid("1.3.6.10"));
        assert!(oid("1.3.6.1.5") < oid("1.3.7"));
        assert!(oid("1.3.6.1").is_in(&oid("1.3.6")));
        assert!(!oid("1.3.61").is_in(&oid("1.3.6")));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(arcs in proptest::collection::vec(any::<u32>(), 0..20)) {
            let oid = Oid::from([&[1, 3][..], &arcs].concat());
            prop_assert_eq!(oid.to_string().parse::<Oid>().unwrap(), oid);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = text.parse::<Oid>();
        }
    }
}
