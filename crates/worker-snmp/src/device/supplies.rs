//! Toner and batteries: Printer-MIB and UPS-MIB.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Survey, percent};

/// What a printer uses up, or fills.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Supply {
    /// The printer's words for it.
    pub(crate) name: String,
    /// Kind: toner, ink, wasteToner, fuser and others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// Hundredths left, or filled of what takes waste; absent where the printer does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level_percent: Option<f64>,
}

/// A power supply with a battery.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Ups {
    /// Maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) manufacturer: Option<String>,
    /// Model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// State of the battery: batteryNormal, batteryLow, batteryDepleted, unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) battery_status: Option<String>,
    /// Hundredths of its charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) charge_percent: Option<u64>,
    /// Minutes that the charge lasts at the present load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) minutes_remaining: Option<u64>,
    /// Seconds for which it has run on its battery; 0 when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds_on_battery: Option<u64>,
    /// Where its power comes from: normal, bypass, battery and others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output_source: Option<String>,
    /// Hundredths of what it can give, of the output with the highest load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) load_percent: Option<u64>,
    /// Degrees Celsius of the battery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature_celsius: Option<i64>,
    /// Alarms that are on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alarms: Option<u64>,
}

/// Reads what printers have.
pub(crate) async fn printer(survey: &mut Survey<'_>) -> Vec<Supply> {
    survey.part("supplies");
    let columns = [
        "prtMarkerSuppliesType",
        "prtMarkerSuppliesDescription",
        "prtMarkerSuppliesMaxCapacity",
        "prtMarkerSuppliesLevel",
    ];
    let table = survey
        .table("Printer-MIB", "prtMarkerSuppliesTable", &columns)
        .await;
    let supplies = table.rows().map(|(index, row)| {
        // Negative numbers say "unknown" and the like.
        let level = row.unsigned("prtMarkerSuppliesLevel");
        let most = row.unsigned("prtMarkerSuppliesMaxCapacity");
        let name = row.text("prtMarkerSuppliesDescription");
        Supply {
            name: name.unwrap_or_else(|| format!("supply {index:?}")),
            kind: row.label("prtMarkerSuppliesType"),
            level_percent: level
                .zip(most)
                .and_then(|(level, most)| percent(level, most)),
        }
    });
    supplies.collect()
}

/// Reads what power supplies have; `None` of a device that is none.
pub(crate) async fn ups(survey: &mut Survey<'_>) -> Option<Ups> {
    survey.part("power");
    let names = [
        "upsIdentManufacturer",
        "upsIdentModel",
        "upsBatteryStatus",
        "upsSecondsOnBattery",
        "upsEstimatedMinutesRemaining",
        "upsEstimatedChargeRemaining",
        "upsBatteryTemperature",
        "upsOutputSource",
        "upsAlarmsPresent",
    ];
    let row = survey.scalars("UPS-MIB", &names).await;
    if row.is_empty() {
        return None;
    }
    let outputs = ["upsOutputPercentLoad"];
    let outputs = survey.optional_table("upsOutputTable", &outputs).await;
    let loads = outputs
        .rows()
        .filter_map(|(_, row)| row.unsigned("upsOutputPercentLoad"));
    Some(Ups {
        manufacturer: row.text("upsIdentManufacturer"),
        model: row.text("upsIdentModel"),
        battery_status: row.label("upsBatteryStatus"),
        charge_percent: row.unsigned("upsEstimatedChargeRemaining"),
        minutes_remaining: row.unsigned("upsEstimatedMinutesRemaining"),
        seconds_on_battery: row.unsigned("upsSecondsOnBattery"),
        output_source: row.label("upsOutputSource"),
        load_percent: loads.max(),
        temperature_celsius: row.number("upsBatteryTemperature"),
        alarms: row.unsigned("upsAlarmsPresent"),
    })
}
