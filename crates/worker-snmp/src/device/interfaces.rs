//! Interfaces of a device: IF-MIB, with the addresses of IP-MIB.

use schemars::JsonSchema;
use serde::Serialize;

use super::addresses::{self, Addresses};
use super::{Survey, days};
use crate::client::{Row, Table};
use crate::markdown;

/// `ifSpeed` of an interface that is faster than it can say.
const FASTER: u64 = 4_294_967_295;

/// An interface.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Interface {
    /// Number of the interface (`ifIndex`).
    pub(crate) index: u32,
    /// Name: `ifName`, or else `ifDescr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The device's words for it (`ifDescr`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// The administrator's words for it (`ifAlias`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alias: Option<String>,
    /// Kind of interface, such as `ethernetCsmacd`; the number where it has no built-in name.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// MAC address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<String>,
    /// Whether it is meant to work: up, down, testing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin_status: Option<String>,
    /// Whether it works: up, down, testing, unknown, dormant, notPresent, lowerLayerDown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oper_status: Option<String>,
    /// Seconds that `oper_status` has stood, at most as long as the agent runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since_seconds: Option<u64>,
    /// Bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) speed_bps: Option<u64>,
    /// Longest packet in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mtu: Option<u64>,
    /// Whether it has a plug.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connector: Option<bool>,
    /// Whether it takes packets for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) promiscuous: Option<bool>,
    /// IP addresses, with the prefix length where it is known.
    pub(crate) addresses: Vec<String>,
    /// What went through it.
    pub(crate) counters: Counters,
}

/// Counters of an interface since its agent started; they begin again at 0 when they are full.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Counters {
    /// Width of the counters of bytes and packets in bits: 64 where the device has them so.
    pub(crate) bits: u8,
    /// Bytes received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_bytes: Option<u64>,
    /// Bytes sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out_bytes: Option<u64>,
    /// Packets to one receiver, received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_unicast: Option<u64>,
    /// Packets to one receiver, sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out_unicast: Option<u64>,
    /// Packets to several receivers, received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_multicast: Option<u64>,
    /// Packets to several receivers, sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out_multicast: Option<u64>,
    /// Packets to all, received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_broadcast: Option<u64>,
    /// Packets to all, sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out_broadcast: Option<u64>,
    /// Packets that were received broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_errors: Option<u64>,
    /// Packets that could not be sent for errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out_errors: Option<u64>,
    /// Good packets that were thrown away when received.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_discards: Option<u64>,
    /// Good packets that were thrown away instead of sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) out_discards: Option<u64>,
}

const COLUMNS: [&str; 16] = [
    "ifDescr",
    "ifType",
    "ifMtu",
    "ifSpeed",
    "ifPhysAddress",
    "ifAdminStatus",
    "ifOperStatus",
    "ifLastChange",
    "ifInOctets",
    "ifInUcastPkts",
    "ifInDiscards",
    "ifInErrors",
    "ifOutOctets",
    "ifOutUcastPkts",
    "ifOutDiscards",
    "ifOutErrors",
];
const MORE_COLUMNS: [&str; 16] = [
    "ifName",
    "ifInMulticastPkts",
    "ifInBroadcastPkts",
    "ifOutMulticastPkts",
    "ifOutBroadcastPkts",
    "ifHCInOctets",
    "ifHCInUcastPkts",
    "ifHCInMulticastPkts",
    "ifHCInBroadcastPkts",
    "ifHCOutOctets",
    "ifHCOutUcastPkts",
    "ifHCOutMulticastPkts",
    "ifHighSpeed",
    "ifPromiscuousMode",
    "ifConnectorPresent",
    "ifAlias",
];

/// Reads them, in the order of their numbers.
pub(crate) async fn read(survey: &mut Survey<'_>) -> Vec<Interface> {
    survey.part("interfaces");
    let table = survey.table("IF-MIB", "ifTable", &COLUMNS).await;
    let more = survey.table("IF-MIB", "ifXTable", &MORE_COLUMNS).await;
    let broadcast = ["ifHCOutBroadcastPkts"];
    let broadcast = survey.optional_table("ifXTable", &broadcast).await;
    let up_time = survey.scalars("SNMPv2-MIB sysUpTime", &["sysUpTime"]).await;
    let addresses = addresses::read(survey).await;
    let parts = Parts {
        more,
        broadcast,
        up_time: up_time.unsigned("sysUpTime"),
        addresses,
    };
    table
        .rows()
        .filter_map(|(index, row)| parts.interface(index, row))
        .collect()
}

/// What stands beside `ifTable`.
struct Parts {
    more: Table,
    broadcast: Table,
    up_time: Option<u64>,
    addresses: Addresses,
}

impl Parts {
    fn interface(&self, index: &[u32], row: &Row) -> Option<Interface> {
        let [number] = index else {
            return None;
        };
        let none = Row::default();
        let more = self.more.row(index).unwrap_or(&none);
        let broadcast = self.broadcast.row(index).unwrap_or(&none);
        let addresses = self.addresses.get(number).into_iter().flatten();
        Some(Interface {
            index: *number,
            name: more.text("ifName").or_else(|| row.text("ifDescr")),
            description: row.text("ifDescr"),
            alias: more.text("ifAlias"),
            kind: row.label("ifType"),
            mac: row.mac("ifPhysAddress"),
            admin_status: row.label("ifAdminStatus"),
            oper_status: row.label("ifOperStatus"),
            since_seconds: self.since(row),
            speed_bps: speed(row, more),
            mtu: row.unsigned("ifMtu"),
            connector: more.number("ifConnectorPresent").map(|truth| truth == 1),
            promiscuous: more.number("ifPromiscuousMode").map(|truth| truth == 1),
            addresses: addresses
                .map(|(address, length)| match length {
                    Some(length) => format!("{address}/{length}"),
                    None => address.to_string(),
                })
                .collect(),
            counters: counters(row, more, broadcast),
        })
    }

    /// 0 means that nothing has changed since the agent started.
    fn since(&self, row: &Row) -> Option<u64> {
        let (now, changed) = (self.up_time?, row.unsigned("ifLastChange")?);
        now.checked_sub(changed).map(|hundredths| hundredths / 100)
    }
}

/// `ifHighSpeed` counts in millions, so slow interfaces say it better in `ifSpeed`.
fn speed(row: &Row, more: &Row) -> Option<u64> {
    let slow = row.unsigned("ifSpeed").filter(|speed| *speed != FASTER);
    let fast = more
        .unsigned("ifHighSpeed")
        .map(|millions| millions.saturating_mul(1_000_000));
    match (slow, fast) {
        (Some(slow), Some(fast)) => Some(slow.max(fast)),
        (slow, fast) => slow.or(fast),
    }
    .filter(|speed| *speed > 0)
}

fn counters(row: &Row, more: &Row, broadcast: &Row) -> Counters {
    let has_wide = more.get("ifHCInOctets").is_some();
    let wide = |wide: &str, narrow: &str| more.unsigned(wide).or_else(|| row.unsigned(narrow));
    let cast = |wide: &str, narrow: &str| more.unsigned(wide).or_else(|| more.unsigned(narrow));
    let out_broadcast = broadcast.unsigned("ifHCOutBroadcastPkts");
    Counters {
        bits: if has_wide { 64 } else { 32 },
        in_bytes: wide("ifHCInOctets", "ifInOctets"),
        out_bytes: wide("ifHCOutOctets", "ifOutOctets"),
        in_unicast: wide("ifHCInUcastPkts", "ifInUcastPkts"),
        out_unicast: wide("ifHCOutUcastPkts", "ifOutUcastPkts"),
        in_multicast: cast("ifHCInMulticastPkts", "ifInMulticastPkts"),
        out_multicast: cast("ifHCOutMulticastPkts", "ifOutMulticastPkts"),
        in_broadcast: cast("ifHCInBroadcastPkts", "ifInBroadcastPkts"),
        out_broadcast: out_broadcast.or_else(|| more.unsigned("ifOutBroadcastPkts")),
        in_errors: row.unsigned("ifInErrors"),
        out_errors: row.unsigned("ifOutErrors"),
        in_discards: row.unsigned("ifInDiscards"),
        out_discards: row.unsigned("ifOutDiscards"),
    }
}

/// Interfaces as a table of a summary.
pub(crate) fn summary(interfaces: &[Interface]) -> String {
    let heads = [
        "interface",
        "status",
        "speed",
        "MAC",
        "addresses",
        "alias",
        "for",
    ];
    markdown::table(&heads, interfaces, |interface| {
        let speed = interface.speed_bps.map(|speed| match speed {
            1_000_000.. => format!("{} Mbit/s", speed / 1_000_000),
            _ => format!("{speed} bit/s"),
        });
        vec![
            interface
                .name
                .clone()
                .unwrap_or_else(|| interface.index.to_string()),
            format!(
                "{} ({})",
                markdown::or_dash(interface.oper_status.as_ref()),
                markdown::or_dash(interface.admin_status.as_ref())
            ),
            markdown::or_dash(speed.as_ref()),
            markdown::or_dash(interface.mac.as_ref()),
            interface.addresses.join(", "),
            markdown::or_dash(interface.alias.as_ref()),
            markdown::or_dash(interface.since_seconds.map(days).as_ref()),
        ]
    })
}
