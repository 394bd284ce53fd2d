//! Simulated devices, answered for by the Python program `snmpsim`.

use std::{fs, net::SocketAddr, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::answers;
use crate::{
    ports::free_port,
    process::{Process, Program},
    python,
};

/// How long the simulator may take to read its data and open its port, on a busy machine.
const START: Duration = Duration::from_secs(30);

/// The devices; each one's name is its community, and its context name in SNMP v3.
///
/// * `switch`: forwarding tables in BRIDGE-MIB and Q-BRIDGE-MIB with bridge ports numbered apart
///   from interfaces, LLDP neighbours, ENTITY-MIB, a temperature sensor.
/// * `cdp`: a router with CDP neighbours, an ARP table and three addresses.
/// * `printer`: no ifXTable; text with NUL bytes, control bytes and Latin-1.
/// * `ups`: UPS-MIB alone, no interfaces.
/// * `windows`: HOST-RESOURCES-MIB with processes, software and a volume of over 2³¹ blocks.
/// * `backwards`: OIDs that do not increase.
/// * `counters`: wrong types, speeds and counts of interfaces.
/// * `broken`: one object whose reading is a `genErr`.
/// * `long`: a table of 300 rows.
pub const DEVICES: [&str; 9] = [
    "switch",
    "cdp",
    "printer",
    "ups",
    "windows",
    "backwards",
    "counters",
    "broken",
    "long",
];

/// The one SNMP v3 user: name, MD5 authentication password, DES privacy password.
pub const SIMULATOR_USER: (&str, &str, &str) = ("simulator", "auctoritas", "privatus");

/// A running simulator with all [`DEVICES`]; dropping it ends it.
#[derive(Debug)]
pub struct Snmpsim {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl Snmpsim {
    /// Starts the simulator on a free port of 127.0.0.1 and waits until it answers.
    ///
    /// # Errors
    /// Its Python environment cannot be made, or it does not answer in time; its last lines are
    /// in the message.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("testkit-snmpsim-")
            .tempdir()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let process = program(&python::interpreter().await?, folder.path(), address)?.start()?;
        let [first, ..] = DEVICES;
        answers(address, first, START)
            .await
            .with_context(|| format!("snmpsim said: {}", process.stderr().tail()))?;
        Ok(Self {
            process,
            address,
            _folder: folder,
        })
    }

    /// Where it listens, UDP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process, to freeze it or to end it early.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}

fn program(interpreter: &Path, folder: &Path, address: SocketAddr) -> Result<Program> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("snmpsim");
    // As a module: a script names its interpreter in a first line that must not be long.
    let mut program = Program::new(interpreter).args(["-m", "snmpsim.commands.responder"]);
    if fs::metadata("/proc/self").context("/proc")?.uid() == 0 {
        // The simulator would rather not be root and must be told whom to become instead. Here
        // it stays who it is: another user might not be able to read the environment.
        program = program.args(["--process-user=root", "--process-group=root"]);
    }
    Ok(program
        // Every request would be several lines otherwise.
        .arg("--log-level=error")
        .arg("--cache-dir")
        .arg(folder)
        // The engine's identity comes before what belongs to the engine.
        .arg("--v3-engine-id=auto")
        .arg("--data-dir")
        .arg(data)
        .arg(format!("--agent-udpv4-endpoint={address}")))
}
