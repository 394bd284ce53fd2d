//! Temperatures, voltages, fans: ENTITY-SENSOR-MIB and LM-SENSORS-MIB.

use schemars::JsonSchema;
use serde::Serialize;

use super::Survey;
use crate::client::{Row, Table};

/// A sensor and what it reads.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Sensor {
    /// Name that the device gives it.
    pub(crate) name: String,
    /// What it measures: celsius, voltsDC, amperes, watts, rpm, percentRH and others.
    pub(crate) measures: String,
    /// The reading.
    pub(crate) value: f64,
    /// Unit of the reading.
    pub(crate) unit: String,
    /// Whether the sensor works: ok, unavailable, nonoperational; absent where it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
}

/// Units of `entPhySensorType`.
const UNITS: [(&str, &str); 9] = [
    ("voltsAC", "V"),
    ("voltsDC", "V"),
    ("amperes", "A"),
    ("watts", "W"),
    ("hertz", "Hz"),
    ("celsius", "°C"),
    ("percentRH", "%"),
    ("rpm", "rpm"),
    ("cmm", "m³/min"),
];

/// Tables of LM-SENSORS-MIB: name, columns of name and value, what it measures, unit, and how many
/// of its numbers make one unit.
const LM: [(&str, [&str; 2], &str, &str, f64); 3] = [
    (
        "lmTempSensorsTable",
        ["lmTempSensorsDevice", "lmTempSensorsValue"],
        "celsius",
        "°C",
        1000.0,
    ),
    (
        "lmFanSensorsTable",
        ["lmFanSensorsDevice", "lmFanSensorsValue"],
        "rpm",
        "rpm",
        1.0,
    ),
    (
        "lmVoltSensorsTable",
        ["lmVoltSensorsDevice", "lmVoltSensorsValue"],
        "voltsDC",
        "V",
        1000.0,
    ),
];

const COLUMNS: [&str; 6] = [
    "entPhySensorType",
    "entPhySensorScale",
    "entPhySensorPrecision",
    "entPhySensorValue",
    "entPhySensorOperStatus",
    "entPhySensorUnitsDisplay",
];

/// Reads them.
pub(crate) async fn read(survey: &mut Survey<'_>) -> Vec<Sensor> {
    survey.part("sensors");
    let table = survey
        .table("ENTITY-SENSOR-MIB", "entPhySensorTable", &COLUMNS)
        .await;
    let names = if table.is_empty() {
        Table::default()
    } else {
        let names = ["entPhysicalName", "entPhysicalDescr"];
        survey.optional_table("entPhysicalTable", &names).await
    };
    let mut sensors: Vec<Sensor> = table
        .rows()
        .filter_map(|(index, row)| sensor(index, row, names.row(index)))
        .collect();
    let (mut has_lm, n_missing) = (false, survey.n_missing());
    for (name, columns, measures, unit, parts) in LM {
        let table = survey.optional_table(name, &columns).await;
        has_lm |= !table.is_empty();
        sensors.extend(table.rows().filter_map(|(_, row)| {
            Some(Sensor {
                name: row.text(columns[0])?,
                measures: measures.to_owned(),
                value: float(row.number(columns[1])?) / parts,
                unit: unit.to_owned(),
                status: None,
            })
        }));
    }
    if !has_lm {
        survey.lacks("LM-SENSORS-MIB", n_missing);
    }
    sensors
}

fn sensor(index: &[u32], row: &Row, names: Option<&Row>) -> Option<Sensor> {
    let measures = row.label("entPhySensorType")?;
    let known = UNITS.iter().find(|(kind, _)| *kind == measures);
    let unit = known.map(|(_, unit)| (*unit).to_owned());
    let name = names.and_then(|row| {
        row.text("entPhysicalName")
            .or_else(|| row.text("entPhysicalDescr"))
    });
    Some(Sensor {
        name: name.unwrap_or_else(|| format!("sensor {}", index.first().copied().unwrap_or(0))),
        unit: unit
            .or_else(|| row.text("entPhySensorUnitsDisplay"))
            .unwrap_or_default(),
        measures,
        value: scaled(
            row.number("entPhySensorValue")?,
            row.number("entPhySensorScale").unwrap_or(9),
            row.number("entPhySensorPrecision").unwrap_or(0),
        ),
        status: row.label("entPhySensorOperStatus"),
    })
}

/// The number of an `EntitySensorValue` (RFC 3433): the scale counts thousands from 9, which is
/// one, and ends at 17; the precision counts digits after the point, up to 9.
fn scaled(value: i64, scale: i64, precision: i64) -> f64 {
    let exponent = (scale.clamp(1, 17) - 9) * 3 - precision.clamp(-8, 9);
    let exponent = i32::try_from(exponent).unwrap_or_default();
    // Division by a whole power of ten is exact to the last digit that can be shown.
    if exponent < 0 {
        float(value) / 10_f64.powi(-exponent)
    } else {
        float(value) * 10_f64.powi(exponent)
    }
}

/// Numbers of 32 bits are exact as floats.
fn float(number: i64) -> f64 {
    i32::try_from(number).map_or_else(|_| f64::from(i32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::float_cmp,
        reason = "division by powers of ten gives these very numbers"
    )]
    fn readings_have_their_scale_and_precision() {
        assert_eq!(scaled(231, 9, 1), 23.1);
        assert_eq!(scaled(3300, 8, 0), 3.3);
        assert_eq!(scaled(12, 10, 0), 12_000.0);
        assert_eq!(scaled(-5, 9, 0), -5.0);
        assert!(scaled(1, i64::from(i32::MAX), 0).is_finite());
        assert!(scaled(i64::MIN, i64::MAX, i64::MIN).is_finite());
        assert!(scaled(i64::MAX, i64::MIN, i64::MAX).is_finite());
    }
}
