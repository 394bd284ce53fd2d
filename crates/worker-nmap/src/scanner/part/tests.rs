//! What is left of a part, and of the page that takes it.

use super::*;
use crate::ports::{PortSet, PortSets};
use crate::report::{Port, PortState};
use crate::result::{Scanned, TruncatedBy};
use crate::scan::Technique;
use crate::scanner::page::PageOfHosts;
use crate::scanner::todo::Todo;

fn ip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn scan(ports: &str) -> Scan {
    Scan {
        technique: Technique::TcpSyn,
        timing: 3,
        options: vec!["-sS".to_owned()],
        ports: Selection::Named(PortSets {
            tcp: PortSet::listed(ports).unwrap(),
            udp: PortSet::default(),
        }),
        n_probes: 1,
        skip_discovery: false,
        needs_raw_sockets: true,
        open_only: false,
        reason: false,
    }
}

/// All ports of 10.0.0.0/29.
fn todo(scan: &Scan) -> Todo {
    let addresses = AddressSet::of(["10.0.0.0/29".parse().unwrap()]);
    let todo = Todo::new(&addresses, None).unwrap();
    todo.of_ports(scan.ports.clone()).unwrap()
}

/// The next run of a part, as if nmap had told of these hosts.
fn run(part: &Part, scan: &Scan, up: &[u8], down: &[u8]) -> Chunk {
    let mut chunk = part.next(scan, Duration::from_mins(5)).unwrap();
    chunk.hosts = up.iter().map(|last| Host::at(ip(*last))).collect();
    for host in &mut chunk.hosts {
        host.complete = true;
    }
    chunk.down = down.iter().map(|last| ip(*last)).collect();
    chunk
}

fn page(limit: usize, todo: &Todo) -> PageOfHosts {
    PageOfHosts::new(limit, BTreeMap::new(), todo.cursor())
}

fn result(page: PageOfHosts) -> Scanned {
    let from = worker::HostIdentity::default();
    page.into_result(Technique::TcpSyn, from, Duration::from_secs(1))
}

fn listed(scanned: &Scanned) -> Vec<(IpAddr, bool)> {
    let hosts = scanned.hosts.iter();
    hosts.map(|host| (host.address, host.complete)).collect()
}

#[test]
fn runs_grow_with_the_pace_and_have_the_hosts_that_are_up() {
    let scan = scan("1-65535");
    let mut part = todo(&scan).part(8).unwrap();
    let chunk = run(&part, &scan, &[1, 5], &[0, 2, 3, 4, 6, 7]);
    assert_eq!((chunk.ports.len(), chunk.addresses.len()), (1000, 8));
    part.take(chunk, Duration::from_secs(5));
    let chunk = run(&part, &scan, &[1, 5], &[]);
    assert_eq!((chunk.ports.len(), chunk.addresses.len()), (5000, 2));
    assert!(chunk.is_up);
    part.take(chunk, Duration::from_secs(1));
    // As many as take 25 s would be 125,000; the others may be slower.
    let chunk = run(&part, &scan, &[1, 5], &[]);
    assert_eq!(chunk.ports.len(), 40_000);
    // Little time is left.
    part.take(chunk, Duration::from_secs(20));
    let chunk = part.next(&scan, Duration::from_secs(4)).unwrap();
    assert_eq!(chunk.ports.len(), 6000);
    let mut chunk = run(&part, &scan, &[1], &[5]);
    assert_eq!(chunk.ports.len(), 19_535);
    chunk.hosts[0].ports.push(Port {
        port: 65_000,
        proto: Protocol::Tcp,
        state: PortState::Open,
        reason: None,
        service: None,
    });
    part.take(chunk, Duration::from_secs(10));
    assert!(part.next(&scan, Duration::from_mins(5)).is_none());
    let mut page = page(100, &todo(&scan));
    assert!(page.take(&mut part, &scan, None));
    let scanned = result(page);
    // One of them was gone before the end.
    assert_eq!(listed(&scanned), [(ip(1), true), (ip(5), false)]);
    assert_eq!(scanned.hosts[0].ports[0].port, 65_000);
    assert!(scanned.warnings[0].contains("10.0.0.5"));
    assert_eq!((scanned.stats.up, scanned.stats.down), (2, 6));
    assert!(!scanned.truncated);
}

#[test]
fn a_first_run_that_was_ended_leaves_the_addresses_from_the_first_open_one_on() {
    let scan = scan("1-1000");
    let todo = todo(&scan);
    let mut part = todo.part(8).unwrap();
    let mut chunk = run(&part, &scan, &[1, 4], &[0, 2, 7]);
    chunk.hinted = [ip(1), ip(4), ip(5)].into();
    part.take_unfinished(chunk);
    let mut page = page(100, &todo);
    page.take_unfinished(&mut part, &scan, TruncatedBy::Deadline);
    let scanned = result(page);
    assert_eq!(scanned.next_cursor.as_deref(), Some("from-10.0.0.3"));
    let expected = [(ip(1), true), (ip(4), true), (ip(5), false)];
    assert_eq!(listed(&scanned), expected);
    // Those from the cursor on are counted by the next page.
    let stats = &scanned.stats;
    assert_eq!((stats.up, stats.down, stats.total), (1, 2, 3));
    assert_eq!(stats.unfinished, 2);
}

#[test]
fn of_some_ports_the_addresses_that_are_done_are_kept() {
    let scan = scan("1-2000");
    let todo = todo(&scan);
    let mut part = todo.part(8).unwrap();
    part.take_unfinished(run(&part, &scan, &[1, 4], &[0, 2]));
    let mut page = page(100, &todo);
    page.take_unfinished(&mut part, &scan, TruncatedBy::Deadline);
    let scanned = result(page);
    let cursor = "from-10.0.0.0-to-10.0.0.2-tcp-1001";
    assert_eq!(scanned.next_cursor.as_deref(), Some(cursor));
    assert_eq!(listed(&scanned), [(ip(1), false), (ip(4), false)]);
    assert_eq!((scanned.stats.total, scanned.stats.unfinished), (0, 2));

    // The next page goes on there, and then with all ports of the others.
    let addresses = AddressSet::of(["10.0.0.0/29".parse().unwrap()]);
    let next = Todo::new(&addresses, Some(cursor)).unwrap();
    let mut next = next.of_ports(scan.ports.clone()).unwrap();
    assert_eq!(next.cursor().unwrap().to_string(), cursor);
    let part = next.part(8).unwrap();
    let chunk = run(&part, &scan, &[], &[]);
    assert_eq!((chunk.addresses.len(), chunk.ports.len()), (3, 1000));
    next.remove(&part);
    let part = next.part(8).unwrap();
    assert_eq!(part.addresses().len(), 5);
    assert_eq!(run(&part, &scan, &[], &[]).ports.len(), 1000);
    assert_eq!(part.next(&scan, Duration::ZERO).unwrap().addresses.len(), 5);
}

#[test]
fn an_unfinished_part_leaves_no_host_out_for_which_a_page_has_no_room() {
    let scan = scan("1-1000");
    let todo = todo(&scan);
    let mut part = todo.part(8).unwrap();
    part.take_unfinished(run(&part, &scan, &[1, 2, 3], &[0]));
    let mut page = page(2, &todo);
    page.take_unfinished(&mut part, &scan, TruncatedBy::Deadline);
    let scanned = result(page);
    assert_eq!(listed(&scanned), [(ip(1), true), (ip(2), true)]);
    assert_eq!(scanned.next_cursor.as_deref(), Some("from-10.0.0.3"));
    assert_eq!((scanned.stats.up, scanned.stats.total), (2, 3));
}

#[test]
fn a_page_that_comes_no_further_than_it_began_has_no_cursor() {
    let scan = scan("1-1000");
    let todo = todo(&scan);
    let mut part = todo.part(8).unwrap();
    part.take_unfinished(run(&part, &scan, &[], &[5]));
    let mut page = page(2, &todo);
    page.take_unfinished(&mut part, &scan, TruncatedBy::Deadline);
    let scanned = result(page);
    assert_eq!((scanned.next_cursor, scanned.truncated), (None, true));
    assert!(scanned.warnings[0].contains("more time"));
}
