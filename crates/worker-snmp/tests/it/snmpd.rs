//! A real agent, net-snmp's `snmpd`, and net-snmp's own tools to compare with.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::ports::free_port;
use testkit::process::{Process, Program};
use testkit::wait;

/// Community that may read everything.
pub(crate) const COMMUNITY: &str = "c0mmun1ty";
/// Passwords of all users.
pub(crate) const AUTH_KEY: &str = "authpass123";
/// Password of encryption of all users.
pub(crate) const PRIV_KEY: &str = "privpass123";
/// How long an agent may take to start.
const START: Duration = Duration::from_secs(20);
/// How long one of net-snmp's tools may take.
const TOOL: Duration = Duration::from_secs(30);

/// Users: name, authentication and privacy as `snmpd.conf` has them.
const USERS: [(&str, &str, &str); 8] = [
    ("md5des", "MD5", "DES"),
    ("shaaes", "SHA", "AES"),
    ("sha224aes", "SHA-224", "AES"),
    ("sha256aes", "SHA-256", "AES"),
    ("sha384aes192", "SHA-384", "AES-192"),
    ("sha512aes256", "SHA-512", "AES-256"),
    ("sha256only", "SHA-256", ""),
    ("nobody", "", ""),
];

/// A running agent on the loopback address.
#[derive(Debug)]
pub(crate) struct Snmpd {
    _process: Process,
    _folder: TempDir,
    pub(crate) port: u16,
}

impl Snmpd {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port().unwrap();
        let users: String = USERS.iter().map(|user| users_lines(*user)).collect();
        let config = format!(
            "agentAddress udp:127.0.0.1:{port}\n\
             rocommunity {COMMUNITY}\n\
             sysName router-1\n\
             sysLocation Rack 7, Zürich\n\
             sysContact noc@example.com\n\
             {users}"
        );
        let path = folder.path().join("snmpd.conf");
        fs::write(&path, config).unwrap();
        let program = Program::new("/usr/sbin/snmpd")
            .args(["-f", "-Lo", "-C", "-c"])
            .arg(&path)
            .args(["-I", "-smux,mteTrigger,mteTriggerConf"])
            .arg("-p")
            .arg(folder.path().join("snmpd.pid"))
            .env("SNMP_PERSISTENT_DIR", folder.path())
            .folder(folder.path());
        let process = program.start().expect("snmpd: scripts/test installs it");
        let snmpd = Self {
            _process: process,
            _folder: folder,
            port,
        };
        let asked = async || {
            let said = snmpd
                .tool(
                    "snmpget",
                    &["-v2c", "-c", COMMUNITY],
                    &["1.3.6.1.2.1.1.3.0"],
                )
                .await;
            said.contains("Timeticks").then_some(())
        };
        wait::until("snmpd answers", START, asked).await.unwrap();
        snmpd
    }

    /// Options of a session with the community.
    pub(crate) fn v2c(&self) -> Value {
        json!({ "host": "127.0.0.1", "port": self.port, "community": COMMUNITY })
    }

    /// Options of a session with a user, by the lower-case names of its protocols.
    pub(crate) fn v3(&self, user: &str, auth: &str, privacy: &str) -> Value {
        let mut options = json!({ "host": "127.0.0.1", "port": self.port, "version": "3",
            "user": user });
        if !auth.is_empty() {
            options["authProtocol"] = json!(auth);
            options["authKey"] = json!(AUTH_KEY);
        }
        if !privacy.is_empty() {
            options["privProtocol"] = json!(privacy);
            options["privKey"] = json!(PRIV_KEY);
        }
        options
    }

    /// What one of net-snmp's tools prints.
    pub(crate) async fn tool(&self, name: &str, options: &[&str], objects: &[&str]) -> String {
        let agent = format!("127.0.0.1:{}", self.port);
        let program = Program::new(name)
            .args(options)
            .args(["-t", "5", "-r", "1"])
            .arg(agent)
            .args(objects);
        program.run(b"", TOOL).await.unwrap().stdout
    }
}

fn users_lines((name, auth, privacy): (&str, &str, &str)) -> String {
    let create = match (auth, privacy) {
        ("", _) => format!("createUser {name}\n"),
        (auth, "") => format!("createUser {name} {auth} \"{AUTH_KEY}\"\n"),
        (auth, privacy) => {
            format!("createUser {name} {auth} \"{AUTH_KEY}\" {privacy} \"{PRIV_KEY}\"\n")
        }
    };
    let level = match (auth, privacy) {
        ("", _) => "noauth",
        (_, "") => "auth",
        _ => "authpriv",
    };
    format!("{create}rouser {name} {level}\n")
}
