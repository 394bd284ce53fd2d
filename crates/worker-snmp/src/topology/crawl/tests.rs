//! Crawls among agents of a test's own making, each at an address of the loopback network.

use std::sync::{Arc, Mutex};

use async_snmp::message::CommunityMessage;
use async_snmp::pdu::{Pdu, PduType, ResponsePdu};
use async_snmp::{DecodeConfig, Oid, Value, VarBind};
use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::time::{advance, pause, resume};
use worker::Scope;

use super::*;
use crate::client::{Credentials, Timing};
use crate::topology::{Graph, LldpNeighbour, Named};

/// What an agent says, by object identifier.
type Mib = BTreeMap<Oid, Value>;

/// Agents on one port of several addresses.
struct Agents {
    port: u16,
    /// Requests by address.
    asked: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    _tasks: JoinSet<()>,
}

impl Agents {
    async fn start(mibs: &[(&str, &Mib)]) -> Self {
        let mut sockets: Vec<UdpSocket> = Vec::new();
        while sockets.len() < mibs.len() {
            // Another program may have the port of the first address at one of the others.
            let port = sockets
                .first()
                .map_or(0, |it| it.local_addr().unwrap().port());
            match UdpSocket::bind((mibs[sockets.len()].0, port)).await {
                Ok(socket) => sockets.push(socket),
                Err(_) => sockets.clear(),
            }
        }
        // Without agents nobody is asked.
        let port = sockets
            .first()
            .map_or(9, |it| it.local_addr().unwrap().port());
        let asked = Arc::new(Mutex::new(BTreeMap::new()));
        let mut tasks = JoinSet::new();
        for (socket, (address, mib)) in sockets.into_iter().zip(mibs) {
            let (mib, asked) = (Mib::clone(mib), Arc::clone(&asked));
            let address: IpAddr = address.parse().unwrap();
            tasks.spawn(async move {
                let mut buffer = vec![0; 65_536];
                while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                    *asked.lock().unwrap().entry(address).or_default() += 1;
                    if let Some(answer) = answer(&mib, &buffer[..length]) {
                        socket.send_to(&answer, client).await.unwrap();
                    }
                }
            });
        }
        Self {
            port,
            asked,
            _tasks: tasks,
        }
    }

    fn n_asked(&self, address: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked
            .get(&address.parse::<IpAddr>().unwrap())
            .copied()
            .unwrap_or_default()
    }

    fn plan(&self, seeds: &[&str]) -> Plan {
        let timing = Timing {
            timeout: Duration::from_secs(20),
            retries: 0,
        };
        Plan {
            access: Access::new(Credentials::V2c("public".into()), timing),
            port: self.port,
            seeds: seeds.iter().map(|it| it.parse().unwrap()).collect(),
            range: Vec::new(),
            within: Vec::new(),
            max_devices: 10,
        }
    }
}

/// The answer to a request; none where the value is one that an agent cannot send.
fn answer(mib: &Mib, request: &[u8]) -> Option<Bytes> {
    let request = Bytes::copy_from_slice(request);
    let request = CommunityMessage::decode(request, DecodeConfig::DEFAULT).ok()?;
    let (version, community, _) = request.value.clone().into_parts();
    let pdu = request.value.into_pdu()?;
    let values = values(mib, &pdu);
    if values.iter().any(|it| it.value == Value::Null) {
        return None;
    }
    let pdu = ResponsePdu::success(version, pdu.request_id(), values).ok()?;
    CommunityMessage::v2c(community, pdu.into_raw())
        .ok()?
        .encode()
        .ok()
}

fn values(mib: &Mib, pdu: &Pdu) -> Vec<VarBind> {
    let next = |after: &Oid| {
        let next = mib.iter().find(|(oid, _)| *oid > after);
        let end = VarBind::new(after.clone(), Value::EndOfMibView);
        next.map_or(end, |(oid, value)| VarBind::new(oid.clone(), value.clone()))
    };
    let mut oids: Vec<Oid> = pdu.varbinds().iter().map(|it| it.oid.clone()).collect();
    match pdu.pdu_type() {
        PduType::GetRequest => oids
            .into_iter()
            .map(|oid| {
                let value = mib.get(&oid).cloned().unwrap_or(Value::NoSuchObject);
                VarBind::new(oid, value)
            })
            .collect(),
        kind => {
            let (_, n_rows) = pdu.get_bulk_fields().unwrap_or((0, 1));
            assert!(matches!(
                kind,
                PduType::GetBulkRequest | PduType::GetNextRequest
            ));
            let mut values = Vec::new();
            for _ in 0..n_rows {
                for oid in &mut oids {
                    let found = next(oid);
                    *oid = found.oid.clone();
                    values.push(found);
                }
            }
            values
        }
    }
}

fn with(mut mib: Mib, oid: &str, value: impl Into<Value>) -> Mib {
    mib.insert(Oid::parse(oid).unwrap(), value.into());
    mib
}

/// A device with nothing but a name, and the addresses of its own that it tells.
fn device(name: &str, addresses: &[&str]) -> Mib {
    let mib = with(Mib::new(), "1.3.6.1.2.1.1.5.0", name);
    addresses.iter().fold(mib, |mib, address| {
        with(mib, &format!("1.3.6.1.2.1.4.20.1.2.{address}"), 1)
    })
}

/// A host of a template, with an interface of its own.
fn clone_of_template(mac: u8, addresses: &[&str]) -> Mib {
    let engine = &b"\x80\0\x1f\x88\x04template"[..];
    let mib = with(
        device("template", addresses),
        "1.3.6.1.6.3.10.2.1.1.0",
        engine,
    );
    let mib = with(mib, "1.3.6.1.2.1.2.2.1.2.1", "eth0");
    with(mib, "1.3.6.1.2.1.2.2.1.6.1", &[2, 0, 0, 0, 0, mac][..])
}

fn with_serial(mib: Mib, serial: &str) -> Mib {
    let entity = "1.3.6.1.2.1.47.1.1.1.1";
    with(
        with(mib, &format!("{entity}.5.1"), 3),
        &format!("{entity}.11.1"),
        serial,
    )
}

fn context() -> Context {
    Context::for_test(Scope::default())
}

/// The addresses of each node.
fn nodes(visited: &Visited) -> BTreeSet<Vec<String>> {
    let asked_at = |it: &Device| it.asked_at.iter().map(IpAddr::to_string).collect();
    let nodes: BTreeSet<Vec<String>> = visited.devices.iter().map(asked_at).collect();
    let graph = Graph::build(visited.devices.clone());
    assert_eq!(graph.nodes.len(), nodes.len(), "{graph:?}");
    nodes
}

/// What a crawl from all these agents finds.
async fn check(mibs: &[(&str, &Mib)], expected: &[&[&str]]) -> Agents {
    let agents = Agents::start(mibs).await;
    let seeds: Vec<&str> = mibs.iter().map(|(address, _)| *address).collect();
    let visited = crawl(&context(), agents.plan(&seeds)).await;
    let expected = expected
        .iter()
        .map(|it| it.iter().map(ToString::to_string).collect());
    assert_eq!(nodes(&visited), expected.collect(), "{visited:?}");
    assert_eq!((visited.n_answered, visited.cut_short), (mibs.len(), None));
    agents
}

#[tokio::test]
async fn clones_of_one_template_are_nodes_of_their_own() {
    let one = clone_of_template(1, &["127.77.0.1", "127.77.0.3"]);
    let other = clone_of_template(2, &["127.77.0.2"]);
    let mibs = [
        ("127.77.0.1", &one),
        ("127.77.0.2", &other),
        ("127.77.0.3", &one),
    ];
    check(&mibs, &[&["127.77.0.1", "127.77.0.3"], &["127.77.0.2"]]).await;
}

#[tokio::test]
async fn devices_of_one_name_are_told_apart_by_their_serial_numbers() {
    let one = with_serial(device("ups", &[]), "U-1");
    let other = with_serial(device("ups", &[]), "U-2");
    let mibs = [
        ("127.77.0.1", &one),
        ("127.77.0.2", &other),
        ("127.77.0.3", &one),
    ];
    check(&mibs, &[&["127.77.0.1", "127.77.0.3"], &["127.77.0.2"]]).await;
}

#[tokio::test]
async fn a_further_address_of_a_device_costs_one_request() {
    let addresses = ["127.77.0.1", "127.77.0.2", "127.77.0.3"];
    let mib = clone_of_template(1, &addresses);
    let agents = check(&addresses.map(|it| (it, &mib)), &[&addresses]).await;
    let mut n_asked = addresses.map(|it| agents.n_asked(it));
    n_asked.sort_unstable();
    assert_eq!(n_asked[..2], [1, 1], "{n_asked:?}");
    assert!(n_asked[2] > 10, "{n_asked:?}");
}

#[tokio::test]
async fn no_more_devices_are_read_than_the_caller_wants() {
    let mibs = [1, 2, 3].map(|mac| clone_of_template(mac, &[]));
    let agents = ["127.77.0.1", "127.77.0.2", "127.77.0.3"];
    let agents = [
        (agents[0], &mibs[0]),
        (agents[1], &mibs[1]),
        (agents[2], &mibs[2]),
    ];
    let agents = Agents::start(&agents).await;
    let mut plan = agents.plan(&["127.77.0.1", "127.77.0.2", "127.77.0.3"]);
    plan.max_devices = 2;
    let visited = crawl(&context(), plan).await;
    assert_eq!(nodes(&visited).len(), 2);
    assert_eq!(visited.cut_short, Some(TOO_MANY));
}

#[tokio::test]
async fn of_a_range_only_those_are_visited_who_answer() {
    let mibs = [device("a", &[]), device("b", &[])];
    let agents = Agents::start(&[("127.77.1.3", &mibs[0]), ("127.77.1.9", &mibs[1])]).await;
    let mut plan = agents.plan(&["127.77.1.3"]);
    let range: IpNet = "127.77.1.0/28".parse().unwrap();
    plan.range = range.hosts().collect();
    plan.access = Access::new(
        Credentials::V2c("public".into()),
        Timing {
            timeout: Duration::from_secs(20),
            retries: 1,
        },
    );
    let started = Instant::now();
    let visited = crawl(&context(), plan).await;
    let expected = ["127.77.1.3", "127.77.1.9"].map(|it| vec![it.to_owned()]);
    assert_eq!(nodes(&visited), expected.into());
    assert_eq!((visited.n_asked, visited.n_answered), (14, 2));
    // The silent ones are waited for a second in each round.
    assert!(started.elapsed() >= Duration::from_secs(2));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn who_answers_the_search_and_falls_silent_is_asked_again_and_told() {
    // Whoever asks for the engine gets no answer.
    let busy = with(device("busy", &[]), "1.3.6.1.6.3.10.2.1.1.0", Value::Null);
    let agents = Agents::start(&[("127.77.0.1", &busy)]).await;
    let mut plan = agents.plan(&[]);
    plan.range = vec![[127, 77, 0, 1].into()];
    let timing = Timing {
        timeout: Duration::from_millis(300),
        retries: 0,
    };
    plan.access = Access::new(Credentials::V2c("public".into()), timing);
    let visited = crawl(&context(), plan).await;
    assert_eq!((visited.n_asked, visited.n_answered), (1, 0));
    assert!(visited.failed[&IpAddr::from([127, 77, 0, 1])].contains("no answer"));
    assert_eq!(agents.n_asked("127.77.0.1"), 3);
}

#[tokio::test]
async fn a_seed_that_the_scope_allows_by_its_name_is_asked() {
    let mib = device("a", &[]);
    let agents = Agents::start(&[("127.77.0.1", &mib)]).await;
    let scope = Scope::new(&["agent.example".to_owned()], &[]).unwrap();
    assert!(scope.check([127, 77, 0, 1].into()).is_err());
    let visited = crawl(&Context::for_test(scope), agents.plan(&["127.77.0.1"])).await;
    assert_eq!(nodes(&visited).len(), 1);
    assert_eq!(visited.out_of_scope, BTreeSet::new());
}

/// A device that says it has so many neighbours, from 10.7.0.0 on.
fn with_neighbours(n_neighbours: u16) -> Device {
    let address = |n: u16| IpAddr::from([10, 7, n.to_be_bytes()[0], n.to_be_bytes()[1]]);
    let neighbour = |n: u16| LldpNeighbour {
        local_port: 1,
        chassis: Some(Named::Other(format!("chassis-{n}"))),
        port: None,
        port_description: None,
        name: None,
        description: None,
        is_router: false,
        is_bridge: false,
        addresses: vec![address(n)],
    };
    Device {
        lldp: (0..n_neighbours).map(neighbour).collect(),
        ..Device::default()
    }
}

fn idle(context: Context, plan: Plan) -> Crawl {
    let end = context.deadline();
    Crawl::new(context, end, plan)
}

#[tokio::test]
async fn a_device_does_not_lead_to_any_number_of_addresses() {
    let agents = Agents::start(&[]).await;
    let mut crawl = idle(context(), agents.plan(&[]));
    crawl.follow(&with_neighbours(500));
    assert_eq!((crawl.waiting.len(), crawl.visited.cut_short), (500, None));
    // The first 500 are known.
    crawl.follow(&with_neighbours(60_000));
    assert_eq!(crawl.waiting.len(), 500 + MOST_OF_ONE);
    assert_eq!(crawl.visited.cut_short, Some(TOO_FAR));
    for _ in 0..20 {
        crawl.follow(&with_neighbours(60_000));
    }
    assert_eq!(crawl.waiting.len(), MOST_OF_ALL);
    assert_eq!(crawl.visited.n_asked, MOST_OF_ALL);
}

#[tokio::test]
async fn neighbours_are_followed_where_the_plan_and_the_scope_allow_it() {
    let agents = Agents::start(&[]).await;
    let mut plan = agents.plan(&[]);
    plan.within = vec!["10.7.0.0/28".parse().unwrap()];
    let scope = Scope::new(&[], &["10.7.0.0/29".to_owned()]).unwrap();
    let mut crawl = idle(Context::for_test(scope), plan);
    crawl.follow(&with_neighbours(100));
    assert_eq!(
        (crawl.waiting.len(), crawl.visited.out_of_scope.len()),
        (8, 8)
    );
}

#[tokio::test]
async fn a_crawl_ends_before_the_deadline_with_what_it_has() {
    pause();
    let context = context();
    // Three seconds are left, and the crawl keeps two of them.
    advance(Duration::from_secs(27)).await;
    resume();
    let slow = with_serial(device("slow", &["127.77.0.1"]), "S-1");
    // Whoever asks for its forwarding table gets no answer.
    let slow = with(slow, "1.3.6.1.2.1.17.4.3.1.2.1", Value::Null);
    let agents = Agents::start(&[("127.77.0.1", &slow)]).await;
    // Nobody is at the other one.
    let visited = crawl(&context, agents.plan(&["127.77.0.1", "127.77.0.2"])).await;
    assert_eq!(visited.cut_short, Some(DEADLINE));
    assert!(!context.remaining().is_zero());
    assert_eq!(visited.n_asked, 2);
    let [device] = &visited.devices[..] else {
        panic!("{visited:?}");
    };
    assert_eq!(device.identity.serial.as_deref(), Some("S-1"));
    let is_said = |note: &String| note.ends_with("not read to the end, the deadline came");
    assert!(device.notes.iter().any(is_said), "{:?}", device.notes);
}
