//! Which records are of one and the same device.

use super::{Mac, Named};

/// By what a device is known, the best first. What it does not tell is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Serial number of the chassis (ENTITY-MIB).
    pub(crate) serial: Option<String>,
    /// Engine of SNMP, in hexadecimal digits (RFC 3411).
    pub(crate) engine: Option<String>,
    /// Chassis in LLDP.
    pub(crate) chassis: Option<Named>,
    /// MAC address of the bridge.
    pub(crate) base_mac: Option<Mac>,
    /// Name (`sysName`).
    pub(crate) name: Option<String>,
}

/// Serial numbers of boards whose makers had none to give.
const NO_SERIALS: [&str; 9] = [
    "0",
    "0123456789",
    "123456789",
    "default string",
    "n/a",
    "none",
    "not specified",
    "system serial number",
    "to be filled by o.e.m.",
];
/// Names that devices have before anybody has named them.
const NO_NAMES: [&str; 6] = [
    "(none)",
    "localhost",
    "localhost.localdomain",
    "router",
    "switch",
    "unknown",
];

impl Identity {
    /// Leaves out what many devices say alike.
    pub(crate) fn meaningful(mut self) -> Self {
        let is_among = |text: &String, list: &[&str]| {
            let text = text.trim().to_ascii_lowercase();
            text.is_empty() || list.contains(&text.as_str())
        };
        self.serial = self.serial.filter(|serial| !is_among(serial, &NO_SERIALS));
        self.name = self.name.filter(|name| !is_among(name, &NO_NAMES));
        self
    }

    /// Whether both are of one device: what both tell and is the best of it must agree, and
    /// nothing else but the name may disagree, because engines and serial numbers get cloned.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let told = [
            agree(self.serial.as_ref(), other.serial.as_ref()),
            agree(self.engine.as_ref(), other.engine.as_ref()),
            agree(self.chassis.as_ref(), other.chassis.as_ref()),
            agree(self.base_mac.as_ref(), other.base_mac.as_ref()),
        ];
        if told.contains(&Some(false)) {
            return false;
        }
        let names = || agree(self.name.as_ref(), other.name.as_ref()) == Some(true);
        told.contains(&Some(true)) || names()
    }

    /// This one, completed by what the other tells besides.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            serial: self.serial.or(other.serial),
            engine: self.engine.or(other.engine),
            chassis: self.chassis.or(other.chassis),
            base_mac: self.base_mac.or(other.base_mac),
            name: self.name.or(other.name),
        }
    }

    /// The best of it: by what, and which. `None` where it tells nothing.
    pub(crate) fn best(&self) -> Option<(&'static str, String)> {
        let serial = || Some(("serial", self.serial.clone()?));
        let engine = || Some(("engine", self.engine.clone()?));
        let chassis = || Some(("chassis", self.chassis.as_ref()?.to_string()));
        let mac = || Some(("mac", self.base_mac?.to_string()));
        let name = || Some(("name", self.name.clone()?));
        serial()
            .or_else(engine)
            .or_else(chassis)
            .or_else(mac)
            .or_else(name)
    }
}

/// Whether both say the same; `None` where one says nothing.
fn agree<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> Option<bool> {
    Some(one? == other?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(serial: &str, engine: &str, mac: u8, name: &str) -> Identity {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Identity {
            serial: text(serial),
            engine: text(engine),
            chassis: Mac::new(&[2, 0, 0, 0, 0, mac])
                .filter(|_| mac != 0)
                .map(Named::Mac),
            base_mac: None,
            name: text(name),
        }
    }

    #[test]
    fn the_best_that_both_tell_decides() {
        let check = |one: (&str, &str, u8, &str), other: (&str, &str, u8, &str), same: bool| {
            let [a, b] = [one, other].map(|it| identity(it.0, it.1, it.2, it.3).meaningful());
            assert_eq!(a.is_same(&b), same, "{a:?} {b:?}");
            assert_eq!(b.is_same(&a), same, "{a:?} {b:?}");
        };
        check(("S1", "", 0, "a"), ("S1", "", 0, "b"), true);
        check(("S1", "", 0, "a"), ("S2", "", 0, "a"), false);
        check(("", "e1", 0, "a"), ("S2", "e1", 0, "a"), true);
        check(("", "", 1, ""), ("", "e1", 1, ""), true);
        check(("", "", 1, "a"), ("", "", 2, "a"), false);
        check(("", "", 0, "core-1"), ("", "e1", 0, "core-1"), true);
        check(("", "", 0, ""), ("", "", 0, ""), false);
        // Virtual machines of one template have the same engine and other addresses.
        check(("", "e1", 1, "a"), ("", "e1", 2, "b"), false);
    }

    #[test]
    fn what_many_devices_say_alike_identifies_none() {
        let [a, b] =
            ["localhost", " Localhost "].map(|name| identity("N/A", "", 0, name).meaningful());
        assert!(!a.is_same(&b));
        assert_eq!(a.best(), None);
    }

    #[test]
    fn the_best_is_told_first() {
        let all = identity("S1", "e1", 1, "a");
        assert_eq!(all.best(), Some(("serial", "S1".to_owned())));
        assert_eq!(identity("", "", 1, "a").best().unwrap().0, "chassis");
    }
}
