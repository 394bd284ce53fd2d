//! Who a device is: SNMPv2-MIB, and its engine.

use schemars::JsonSchema;
use serde::Serialize;

use super::Survey;
use crate::mib;

/// Services of `sysServices`, by the layer's bit (RFC 3418).
const LAYERS: [(u64, &str); 5] = [
    (1, "physical"),
    (2, "datalink"),
    (4, "internet"),
    (8, "end_to_end"),
    (64, "applications"),
];

/// What a device says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct System {
    /// Name that its administrator gave it (`sysName`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Hardware and software in words (`sysDescr`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// The maker's identifier of the kind of device (`sysObjectID`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object_id: Option<String>,
    /// Name of that identifier, where it is built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object_name: Option<String>,
    /// Who to ask about it (`sysContact`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) contact: Option<String>,
    /// Where it stands (`sysLocation`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) location: Option<String>,
    /// Seconds since its SNMP agent started (`sysUpTime`; begins again after 497 days).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent_uptime_seconds: Option<u64>,
    /// Seconds since the device itself started (`hrSystemUptime`; begins again after 497 days).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) uptime_seconds: Option<u64>,
    /// Date and time by its own clock (RFC 3339), without a zone where it tells none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clock: Option<String>,
    /// Layers on which it offers services (`sysServices`): physical, datalink, internet,
    /// `end_to_end`, applications.
    pub(crate) services: Vec<String>,
    /// Identifier of its SNMP engine in hexadecimal (`snmpEngineID`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) engine_id: Option<String>,
}

/// Reads it.
pub(crate) async fn read(survey: &mut Survey<'_>) -> System {
    survey.part("system");
    let names = [
        "sysName",
        "sysDescr",
        "sysObjectID",
        "sysContact",
        "sysLocation",
        "sysUpTime",
        "sysServices",
    ];
    let system = survey.scalars("SNMPv2-MIB system", &names).await;
    let engine = survey
        .scalars("SNMP-FRAMEWORK-MIB", &["snmpEngineID"])
        .await;
    let host = ["hrSystemUptime", "hrSystemDate"];
    let host = survey.scalars("HOST-RESOURCES-MIB hrSystem", &host).await;
    let services = system.unsigned("sysServices").unwrap_or_default();
    let engine_id = engine.octets("snmpEngineID");
    System {
        name: system.text("sysName"),
        description: system.text("sysDescr"),
        object_id: system.oid("sysObjectID").map(ToString::to_string),
        object_name: system.oid("sysObjectID").and_then(mib::name),
        contact: system.text("sysContact"),
        location: system.text("sysLocation"),
        agent_uptime_seconds: system.duration("sysUpTime").map(|time| time.as_secs()),
        uptime_seconds: host.duration("hrSystemUptime").map(|time| time.as_secs()),
        clock: host.octets("hrSystemDate").and_then(mib::date_and_time),
        services: LAYERS
            .iter()
            .filter(|(bit, _)| services & bit != 0)
            .map(|(_, name)| (*name).to_owned())
            .collect(),
        engine_id: engine_id.map(mib::hex),
    }
}
