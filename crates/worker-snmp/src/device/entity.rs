//! What a device is built of: ENTITY-MIB.

use schemars::JsonSchema;
use serde::Serialize;

use super::Survey;

/// A physical part of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Component {
    /// Number of the part in the device (`entPhysicalIndex`).
    pub(crate) index: u32,
    /// Kind of part: chassis, module, port, powerSupply, fan, sensor, cpu, stack and others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<String>,
    /// Name that the device gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The maker's words for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// Name of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// Serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<String>,
    /// Maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) manufacturer: Option<String>,
    /// Revision of the hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hardware_revision: Option<String>,
    /// Revision of the firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) firmware_revision: Option<String>,
    /// Revision of the software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) software_revision: Option<String>,
    /// Number of the part that it sits in; absent of the outermost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) contained_in: Option<u32>,
    /// Whether it can be replaced in the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replaceable: Option<bool>,
}

const COLUMNS: [&str; 11] = [
    "entPhysicalDescr",
    "entPhysicalContainedIn",
    "entPhysicalClass",
    "entPhysicalName",
    "entPhysicalHardwareRev",
    "entPhysicalFirmwareRev",
    "entPhysicalSoftwareRev",
    "entPhysicalSerialNum",
    "entPhysicalMfgName",
    "entPhysicalModelName",
    "entPhysicalIsFRU",
];

/// Reads them, in the order of their numbers.
pub(crate) async fn read(survey: &mut Survey<'_>) -> Vec<Component> {
    survey.part("physical parts");
    let table = survey
        .table("ENTITY-MIB", "entPhysicalTable", &COLUMNS)
        .await;
    let component = |(index, row): (&[u32], &crate::client::Row)| {
        let [index] = index else {
            return None;
        };
        let inside = row
            .unsigned("entPhysicalContainedIn")
            .filter(|inside| *inside != 0);
        Some(Component {
            index: *index,
            class: row.label("entPhysicalClass"),
            name: row.text("entPhysicalName"),
            description: row.text("entPhysicalDescr"),
            model: row.text("entPhysicalModelName"),
            serial: row.text("entPhysicalSerialNum"),
            manufacturer: row.text("entPhysicalMfgName"),
            hardware_revision: row.text("entPhysicalHardwareRev"),
            firmware_revision: row.text("entPhysicalFirmwareRev"),
            software_revision: row.text("entPhysicalSoftwareRev"),
            contained_in: inside.and_then(|inside| inside.try_into().ok()),
            replaceable: row.number("entPhysicalIsFRU").map(|truth| truth == 1),
        })
    };
    table.rows().filter_map(component).collect()
}
