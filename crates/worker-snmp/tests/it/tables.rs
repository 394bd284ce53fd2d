//! Tables, cell by cell as net-snmp's walk prints them.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testkit::snmp::{COMMUNITY, Snmpd, Snmpsim};

use crate::call::{done, failed, session, worker};
use crate::net_snmp::{Line, line, over_v2c, v2c};
use crate::values::assert_same;

/// Tables by name, the object identifier of their entry, and their columns by number.
const TABLES: [(&str, &str, &str); 6] = [
    (
        "ifTable",
        "1.3.6.1.2.1.2.2.1",
        "ifIndex ifDescr ifType ifMtu ifSpeed ifPhysAddress ifAdminStatus ifOperStatus \
         ifLastChange ifInOctets ifInUcastPkts ifInNUcastPkts ifInDiscards ifInErrors \
         ifInUnknownProtos ifOutOctets ifOutUcastPkts ifOutNUcastPkts ifOutDiscards ifOutErrors \
         ifOutQLen ifSpecific",
    ),
    (
        "ifXTable",
        "1.3.6.1.2.1.31.1.1.1",
        "ifName ifInMulticastPkts ifInBroadcastPkts ifOutMulticastPkts ifOutBroadcastPkts \
         ifHCInOctets ifHCInUcastPkts ifHCInMulticastPkts ifHCInBroadcastPkts ifHCOutOctets \
         ifHCOutUcastPkts ifHCOutMulticastPkts ifHCOutBroadcastPkts ifLinkUpDownTrapEnable \
         ifHighSpeed ifPromiscuousMode ifConnectorPresent ifAlias ifCounterDiscontinuityTime",
    ),
    (
        "hrStorageTable",
        "1.3.6.1.2.1.25.2.3.1",
        "hrStorageIndex hrStorageType hrStorageDescr hrStorageAllocationUnits hrStorageSize \
         hrStorageUsed hrStorageAllocationFailures",
    ),
    (
        "dot1dTpFdbTable",
        "1.3.6.1.2.1.17.4.3.1",
        "dot1dTpFdbAddress dot1dTpFdbPort dot1dTpFdbStatus",
    ),
    (
        "cdpCacheTable",
        "1.3.6.1.4.1.9.9.23.1.2.1.1",
        "cdpCacheIfIndex cdpCacheDeviceIndex cdpCacheAddressType cdpCacheAddress cdpCacheVersion \
         cdpCacheDeviceId cdpCacheDevicePort cdpCachePlatform cdpCacheCapabilities \
         cdpCacheVTPMgmtDomain cdpCacheNativeVLAN cdpCacheDuplex",
    ),
    (
        "prtMarkerSuppliesTable",
        "1.3.6.1.2.1.43.11.1.1",
        "prtMarkerSuppliesIndex prtMarkerSuppliesMarkerIndex prtMarkerSuppliesColorantIndex \
         prtMarkerSuppliesClass prtMarkerSuppliesType prtMarkerSuppliesDescription \
         prtMarkerSuppliesSupplyUnit prtMarkerSuppliesMaxCapacity prtMarkerSuppliesLevel",
    ),
];

/// The cells of a table, column by column as a walk gives them.
fn cells(table: &Value, entry: &str, columns: &str) -> Vec<Line> {
    let columns: Vec<&str> = columns.split_ascii_whitespace().collect();
    let rows = table["rows"].as_array().unwrap();
    let of_row = |row: &Value| {
        let cells = row["cells"].as_object().unwrap().iter();
        let cell = |(name, cell): (&String, &Value)| {
            let n = columns.iter().position(|column| column == name).unwrap();
            let mut cell = cell.clone();
            let index = row["index"].as_str().unwrap();
            cell["oid"] = json!(format!("{entry}.{}.{index}", n + 1));
            (n, line(&cell))
        };
        cells.map(cell).collect::<Vec<_>>()
    };
    let mut cells: Vec<(usize, Line)> = rows.iter().flat_map(of_row).collect();
    // The rows are in order already.
    cells.sort_by_key(|(n, _)| *n);
    cells.into_iter().map(|(_, line)| line).collect()
}

/// Every cell of a table, whole and by a page of two rows, is what a walk prints; says how many.
async fn check_table(agent: SocketAddr, community: &str, table: &(&str, &str, &str)) -> usize {
    let (name, entry, columns) = table;
    let worker = worker();
    let mut arguments = session(&worker, v2c(agent, community)).await;
    let walked = over_v2c("snmpbulkwalk", agent, community, &[entry]).await;
    for root in [name, entry] {
        arguments["oid"] = json!(root);
        arguments["limit"] = json!(1000);
        let read = done(&worker, "snmp_table", arguments.clone()).await;
        let what = format!("{name} of {community}");
        assert_eq!(read["table"], *name, "{what}");
        assert_eq!(read["notes"], json!([]), "{what}");
        let cells = cells(&read, entry, columns);
        assert_same(&cells, &walked, &what);
        if community != COMMUNITY {
            // Nothing moves in a simulated device.
            assert_eq!(cells, walked, "{what}");
        }
        let rows = read["rows"].as_array().unwrap();
        assert_eq!(read["total"], rows.len(), "{what}");
        arguments["limit"] = json!(2);
        let page = done(&worker, "snmp_table", arguments.clone()).await;
        let n_rows = page["rows"].as_array().unwrap().len();
        assert_eq!(n_rows, rows.len().min(2), "{what}");
        assert_eq!(page["truncated"], rows.len() > 2, "{what}");
    }
    walked.len()
}

#[tokio::test]
async fn a_table_has_every_cell_that_a_walk_has() {
    let snmpd = Snmpd::start().await.unwrap();
    for table in &TABLES[..3] {
        assert!(check_table(snmpd.address(), COMMUNITY, table).await > 5);
    }
    let simulator = Snmpsim::start().await.unwrap();
    for device in ["switch", "cdp", "counters", "printer"] {
        let mut n_cells = 0;
        for table in &TABLES {
            n_cells += check_table(simulator.address(), device, table).await;
        }
        assert!(n_cells > 30, "{device}: {n_cells}");
    }
}

#[tokio::test]
async fn a_table_that_is_not_built_in_and_a_column_are_tables_too() {
    let (snmpd, worker) = (Snmpd::start().await.unwrap(), worker());
    let arguments = session(&worker, v2c(snmpd.address(), COMMUNITY)).await;
    let mut unknown = arguments.clone();
    unknown["oid"] = json!("1.3.6.1.6.3.15.1.2.2");
    let table = done(&worker, "snmp_table", unknown).await;
    assert!(table["columns"].as_array().unwrap().len() > 3, "{table:#}");
    let mut none = arguments.clone();
    none["oid"] = json!("lldpRemTable");
    assert_eq!(done(&worker, "snmp_table", none).await["total"], 0);
    let mut single = arguments.clone();
    single["oid"] = json!("ifDescr.1");
    let error = failed(&worker, "snmp_table", single).await;
    assert_eq!(error["code"], "invalid_arguments", "{error}");
    let mut one = arguments;
    one["oid"] = json!("ifDescr");
    let one = done(&worker, "snmp_table", one).await;
    assert_eq!(one["columns"], json!(["ifDescr"]));
    assert_eq!(one["rows"][0]["key"], json!({ "ifIndex": "1" }));
    assert_eq!(one["rows"][0]["cells"]["ifDescr"]["display"], "lo");
}
