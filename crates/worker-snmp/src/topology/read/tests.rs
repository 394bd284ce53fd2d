//! Readings of agents of a test's own making.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;

use super::*;
use crate::Oid;
use crate::client::scripted::{Agent, text};
use crate::client::{Client, Version};
use crate::value::{Value, VarBind};

const PHYS_ADDRESS: &str = "1.3.6.1.2.1.2.2.1.6.3";
const REMOTE: &str = "1.0.8802.1.1.2.1.4.1.1";

/// A switch that has heard one neighbour, by interface 3, and tells nothing of its own ports.
fn switch() -> Agent {
    Agent::new(Version::V2c)
        .with("1.3.6.1.2.1.1.1.0", text("a switch"))
        .with("1.3.6.1.2.1.2.2.1.2.3", text("port 3"))
        .with(PHYS_ADDRESS, text("\u{2}aaaaa"))
        .with(&format!("{REMOTE}.4.0.3.1"), Value::Integer(7))
        .with(&format!("{REMOTE}.5.0.3.1"), text("other"))
        .with(&format!("{REMOTE}.6.0.3.1"), Value::Integer(5))
        .with(&format!("{REMOTE}.7.0.3.1"), text("ge-0/0/1"))
        .with(&format!("{REMOTE}.9.0.3.1"), text("other-switch"))
}

/// An agent that is asked and does not answer below some objects, or not any more from some
/// request on.
#[derive(Debug)]
struct Slow {
    agent: Agent,
    endless: Option<Oid>,
    answers: std::sync::atomic::AtomicUsize,
}

impl Slow {
    fn reader(agent: Agent, endless: Option<&str>, n_answers: usize) -> Reader {
        Reader::new(Arc::new(Self {
            agent,
            endless: endless.map(|it| it.parse().unwrap()),
            answers: n_answers.into(),
        }))
    }

    async fn delay(&self, oids: &[Oid]) -> Result<(), Error> {
        use std::sync::atomic::Ordering::Relaxed;
        let is_endless = |oid: &Oid| self.endless.as_ref().is_some_and(|it| oid.is_in(it));
        if oids.iter().any(is_endless) {
            std::future::pending::<()>().await;
        }
        let take = |left: usize| left.checked_sub(1);
        let left = self.answers.fetch_update(Relaxed, Relaxed, take);
        left.map(drop).map_err(|_| Error::Timeout {
            agent: self.agent(),
            n_asked: 2,
            waited: Duration::from_secs(10),
        })
    }
}

#[async_trait]
impl Client for Slow {
    fn agent(&self) -> SocketAddr {
        self.agent.agent()
    }

    fn version(&self) -> Version {
        self.agent.version()
    }

    async fn get(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        self.delay(oids).await?;
        self.agent.get(oids).await
    }

    async fn get_next(&self, oids: &[Oid]) -> Result<Vec<VarBind>, Error> {
        self.delay(oids).await?;
        self.agent.get_next(oids).await
    }

    async fn get_bulk(&self, oids: &[Oid], max_repetitions: u32) -> Result<Vec<VarBind>, Error> {
        self.delay(oids).await?;
        self.agent.get_bulk(oids, max_repetitions).await
    }
}

/// All sections, with so much time.
async fn read(reader: &Reader, time: Duration) -> (Device, Outcome) {
    let mut device = Device::default();
    let all = [&WHO[..], &NEIGHBOURS[..]].concat();
    let end = Instant::now() + time;
    let outcome = sections(reader, &mut device, &all, end).await;
    (device, outcome)
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn neighbours_are_read_of_an_agent_that_does_not_tell_its_own_ports() {
    let (device, outcome) = read(&Slow::reader(switch(), None, 1000), HOUR).await;
    assert_eq!(outcome, Outcome::Whole);
    let [neighbour] = &device.lldp[..] else {
        panic!("{device:?}");
    };
    assert_eq!(neighbour.name.as_deref(), Some("other-switch"));
    assert_eq!(device.interface_of_port(neighbour.local_port), Some(3));
    assert!(!device.missing.contains(&"LLDP-MIB".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_noted_and_the_rest_is_read() {
    for (slow, section) in [
        ("1.3.6.1.2.1.2.2", "interfaces"),
        ("1.3.6.1.2.1.47", "serial number"),
        ("1.0.8802.1.1.2.1.4.2", "neighbours in LLDP"),
    ] {
        let (device, outcome) = read(&Slow::reader(switch(), Some(slow), 1000), HOUR).await;
        assert_eq!(outcome, Outcome::Cut);
        assert_eq!(device.description.as_deref(), Some("a switch"));
        assert_eq!(device.lldp.len(), 1, "{device:?}");
        let note = format!("{section}: not read to the end, it takes longer than 60s");
        assert_eq!(device.notes, [note]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_reading_and_takes_nothing_away() {
    let started = Instant::now();
    let slow = Slow::reader(switch(), Some("1.0.8802.1.1.2.1.4.2"), 1000);
    let (device, outcome) = read(&slow, Duration::from_secs(5)).await;
    assert_eq!(outcome, Outcome::Cut);
    assert_eq!(started.elapsed().as_secs(), 5);
    assert_eq!((device.interfaces.len(), device.lldp.len()), (1, 1));
    assert!(device.notes[0].contains("the deadline came"), "{device:?}");
}

#[tokio::test]
async fn an_agent_that_falls_silent_is_not_asked_for_everything_else() {
    let (device, outcome) = read(&Slow::reader(switch(), None, 2), HOUR).await;
    assert_eq!(outcome, Outcome::Silent);
    assert_eq!(device.description.as_deref(), Some("a switch"));
    // Two sections without an answer, and that the others were left out.
    assert_eq!(device.notes.len(), 3, "{:?}", device.notes);
    assert!(device.notes[0].contains("asked 2 times"), "{device:?}");
}

#[tokio::test]
async fn an_address_that_is_resolved_in_both_tables_is_one_entry() {
    let mac = || text("\u{2}bbbbb");
    let agent = switch()
        .with("1.3.6.1.2.1.4.22.1.2.3.10.0.0.7", mac())
        .with("1.3.6.1.2.1.4.22.1.2.3.10.0.0.8", mac())
        .with("1.3.6.1.2.1.4.35.1.4.3.1.4.10.0.0.7", mac())
        .with("1.3.6.1.2.1.4.35.1.4.3.1.4.10.0.0.9", mac());
    let (device, _) = read(&Slow::reader(agent, None, 1000), HOUR).await;
    let addresses: Vec<String> = device.arp.iter().map(|it| it.address.to_string()).collect();
    assert_eq!(addresses, ["10.0.0.7", "10.0.0.8", "10.0.0.9"]);
}
