//! net-snmp's agent.

use std::{fmt::Write as _, fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::{COMMUNITY, answers};
use crate::{
    ports::free_port,
    process::{Process, Program},
};

/// How long an agent may take to start, on a busy machine.
const START: Duration = Duration::from_secs(20);

/// The password that every user of [`USERS`] with authentication has.
pub const AUTH_PASSWORD: &str = "authentication-password";
/// The password that every user of [`USERS`] with privacy has.
pub const PRIVACY_PASSWORD: &str = "privacy-password";

/// A user of SNMP v3 (RFC 3414); the protocols are named as the SNMP tools name them.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// Security name.
    pub name: &'static str,
    /// Authentication protocol, such as `sha256`.
    pub auth: Option<&'static str>,
    /// Privacy protocol, such as `aes128`.
    pub privacy: Option<&'static str>,
}

/// The users of every [`Snmpd`]: each protocol at least once, and all three security levels.
/// Each may use its own level and those above.
pub const USERS: [User; 9] = [
    user("nobody", None, None),
    user("signed", Some("sha256"), None),
    user("md5-des", Some("md5"), Some("des")),
    user("sha-aes", Some("sha"), Some("aes128")),
    user("sha224-aes192", Some("sha224"), Some("aes192")),
    user("sha256-aes", Some("sha256"), Some("aes128")),
    user("sha256-aes256", Some("sha256"), Some("aes256")),
    user("sha384-aes256", Some("sha384"), Some("aes256")),
    user("sha512-aes256", Some("sha512"), Some("aes256")),
];

const fn user(
    name: &'static str,
    auth: Option<&'static str>,
    privacy: Option<&'static str>,
) -> User {
    User {
        name,
        auth,
        privacy,
    }
}

/// A running `snmpd` with a folder of its own; dropping it ends it.
#[derive(Debug)]
pub struct Snmpd {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl Snmpd {
    /// Starts an agent on a free port of 127.0.0.1 and waits until it answers.
    ///
    /// # Errors
    /// `snmpd` is not installed, or does not answer in time; its last lines are in the message.
    pub async fn start() -> Result<Self> {
        Self::start_with("").await
    }

    /// As [`Snmpd::start`], with more lines of snmpd.conf(5).
    ///
    /// # Errors
    /// As for [`Snmpd::start`].
    pub async fn start_with(lines: &str) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("testkit-snmpd-")
            .tempdir()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let listen = format!("agentAddress udp:{address}\n{lines}\n");
        let process = program(Program::new("snmpd"), folder.path(), &listen)?
            .start()
            .context("snmpd cannot be started; run scripts/test, which installs it")?;
        answers(address, COMMUNITY, START)
            .await
            .with_context(|| format!("snmpd said: {}", process.stdout().tail()))?;
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

/// An agent as a program that keeps everything it writes in `folder`.
///
/// `start` is `snmpd`, or a command that ends in it. `lines` say where the agent listens.
///
/// # Errors
/// Its configuration cannot be written to `folder`.
pub fn program(start: Program, folder: &Path, lines: &str) -> Result<Program> {
    let file = folder.join("snmpd.conf");
    fs::write(&file, configuration(lines)?).with_context(|| format!("{}", file.display()))?;
    Ok(start
        .args(["-f", "-Lo", "-C", "-c"])
        .arg(file)
        // These modules would open ports of their own or evaluate triggers.
        .args(["-I", "-smux,mteTrigger,mteTriggerConf"])
        .env("SNMP_PERSISTENT_DIR", folder)
        // No MIB is read: the agent needs none, and complains about those it does not find.
        .env("MIBS", ""))
}

fn configuration(lines: &str) -> Result<String> {
    let mut text = format!(
        "rocommunity {COMMUNITY}\n\
         dontLogTCPWrappersConnects yes\n\
         sysContact operations@example.test\n\
         sysLocation laboratory\n\
         includeAllDisks 10%\n\
         {lines}\n"
    );
    for user in USERS {
        let auth = user.auth.map_or_else(String::new, |protocol| {
            format!(" {} {AUTH_PASSWORD}", net_snmp_name(protocol))
        });
        let privacy = user.privacy.map_or_else(String::new, |protocol| {
            format!(" {} {PRIVACY_PASSWORD}", net_snmp_name(protocol))
        });
        let level = match (user.auth, user.privacy) {
            (None, _) => "noauth",
            (Some(_), None) => "auth",
            (Some(_), Some(_)) => "priv",
        };
        let name = user.name;
        writeln!(text, "createUser {name}{auth}{privacy}")?;
        writeln!(text, "rouser {name} {level}")?;
    }
    Ok(text)
}

/// How snmpd.conf(5) writes a protocol: `sha256` as `SHA-256`, `aes128` as `AES`.
fn net_snmp_name(protocol: &str) -> String {
    if protocol == "aes128" {
        return "AES".to_owned();
    }
    let name = protocol.to_uppercase();
    for family in ["SHA", "AES"] {
        if let Some(bits) = name.strip_prefix(family).filter(|bits| !bits.is_empty()) {
            return format!("{family}-{bits}");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_written_as_net_snmp_reads_them() {
        for (ours, theirs) in [
            ("md5", "MD5"),
            ("sha", "SHA"),
            ("sha512", "SHA-512"),
            ("des", "DES"),
            ("aes128", "AES"),
            ("aes192", "AES-192"),
        ] {
            assert_eq!(net_snmp_name(ours), theirs);
        }
    }
}
