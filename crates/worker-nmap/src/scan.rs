//! What a call asks nmap for: the options, all of them fixed words and checked values, and the
//! time that it takes at best.

use std::time::Duration;

use protocol::{MAX_HOLD, ToolError};
use schemars::JsonSchema;
use serde::Serialize;

use crate::addresses::{AddressSet, in_short};
use crate::ports::PortSet;

/// Ports that nmap scans when it is told none.
pub(crate) const DEFAULT_PORTS: u32 = 1000;
/// Ports of nmap's fast scan.
pub(crate) const FAST_PORTS: u32 = 100;
/// UDP ports of one host that are settled in a second at best; hosts that answer at all often
/// allow one answer in a second (RFC 1812, section 4.3.2.8).
const UDP_PORTS_PER_SECOND: u64 = 10;
/// Hosts whose UDP ports nmap scans side by side.
const UDP_HOSTS: u128 = 64;

/// Kind of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Technique {
    /// Which hosts are up.
    Ping,
    /// Half-open TCP connections, from raw sockets.
    TcpSyn,
    /// Whole TCP connections.
    TcpConnect,
    /// UDP packets, from raw sockets.
    Udp,
    /// TCP ports, or UDP ports as well, and what serves there.
    Version,
}

/// A scan without its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a caller says each of them independently"
)]
pub(crate) struct Scan {
    pub(crate) technique: Technique,
    /// 0 is the slowest, 5 the fastest (nmap's option `-T`).
    pub(crate) timing: u8,
    /// Options of the technique and its ports.
    pub(crate) options: Vec<String>,
    /// Ports of each protocol that are scanned at each address.
    pub(crate) n_tcp_ports: u32,
    pub(crate) n_udp_ports: u32,
    /// Whether every address counts as up, without a look.
    pub(crate) skip_discovery: bool,
    /// Whether it cannot be done without raw sockets.
    pub(crate) needs_raw_sockets: bool,
    pub(crate) open_only: bool,
    pub(crate) reason: bool,
}

impl Technique {
    /// Name of the kind of scan, for people.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Ping => "ping scan",
            Self::TcpSyn => "TCP SYN scan",
            Self::TcpConnect => "TCP connect scan",
            Self::Udp => "UDP scan",
            Self::Version => "version scan",
        }
    }

    /// Addresses that one nmap takes at a time.
    fn part(self) -> u128 {
        match self {
            Self::Ping => 1024,
            _ => 256,
        }
    }
}

impl Scan {
    /// Addresses of the next part, when so many hosts may still be listed: not many more than
    /// that, since hosts beyond the page are scanned again for the next one.
    pub(crate) fn part(&self, hosts_left: usize) -> u128 {
        let most = self.technique.part();
        (hosts_left as u128).clamp(most / 4, most)
    }

    /// nmap's whole argument vector for a part of the targets, which are of one IP version.
    pub(crate) fn arguments(&self, targets: &AddressSet, has_raw_sockets: bool) -> Vec<String> {
        let privilege = if has_raw_sockets {
            "--privileged"
        } else {
            "--unprivileged"
        };
        // Names are never looked up; verbose output tells of each address that is done, and of
        // each stage that begins.
        let mut arguments: Vec<String> = ["-n", "-v", "-oX", "-", "--stats-every", "1s", privilege]
            .map(str::to_owned)
            .into();
        arguments.push(format!("-T{}", self.timing));
        if targets.is_ipv6() {
            arguments.push("-6".to_owned());
        }
        if self.skip_discovery {
            arguments.push("-Pn".to_owned());
        }
        arguments.extend(self.options.iter().cloned());
        arguments.push("--".to_owned());
        arguments.extend(targets.networks().into_iter().map(in_short));
        arguments
    }

    /// The time that the scan of so many addresses takes at best: if all of them answer, nothing
    /// is lost and nothing slows it down.
    pub(crate) fn at_best(&self, n_addresses: u128) -> Duration {
        let probes = n_addresses.saturating_mul(self.probes_per_address().into());
        let in_milliseconds = |count: u128, milliseconds_each: u128, at_once: u128| {
            count.saturating_mul(milliseconds_each) / at_once
        };
        let (milliseconds, at_once) = self.pace();
        let sent = in_milliseconds(probes, milliseconds, at_once);
        let rounds = n_addresses.div_ceil(UDP_HOSTS);
        let udp = u128::from(self.n_udp_ports).saturating_mul(rounds) * 1000
            / u128::from(UDP_PORTS_PER_SECOND);
        Duration::from_millis(u64::try_from(sent.max(udp)).unwrap_or(u64::MAX))
    }

    /// Refuses a scan that cannot be over in the time that is left for it.
    ///
    /// # Errors
    /// `invalid_arguments`, with the estimate and what would fit.
    pub(crate) fn check_fits(&self, n_addresses: u128, left: Duration) -> Result<(), ToolError> {
        let estimate = self.at_best(n_addresses);
        if estimate <= left {
            return Ok(());
        }
        let message = format!(
            "a {} of {n_addresses} address{} with {} takes {} even at best, and this call ends in {}",
            self.technique.in_words(),
            if n_addresses == 1 { "" } else { "es" },
            self.ports_in_words(),
            in_words(estimate),
            in_words(left),
        );
        let most = self.most_addresses(left.max(estimate.min(MAX_HOLD)));
        let more_time = if estimate <= MAX_HOLD {
            "ask for more time (_meta opendiscovery/timeoutMs up to 900000), or "
        } else {
            ""
        };
        let less = match most {
            0 => "name fewer ports, or a faster timing_template".to_owned(),
            most => format!(
                "at most {most} addresses in one call, or fewer ports, or a faster \
                 timing_template; nmap_ping_scan first tells which addresses are worth it"
            ),
        };
        let hint = format!("{more_time}narrow it: {less}");
        Err(ToolError::invalid(message).hint(hint))
    }

    fn most_addresses(&self, left: Duration) -> u128 {
        let (mut fits, mut too_many) = (0, 1 << 16);
        while too_many - fits > 1 {
            let middle = u128::midpoint(fits, too_many);
            if self.at_best(middle) <= left {
                fits = middle;
            } else {
                too_many = middle;
            }
        }
        fits
    }

    fn probes_per_address(&self) -> u32 {
        let discovery = u32::from(!self.skip_discovery);
        discovery + self.n_tcp_ports + self.n_udp_ports
    }

    /// Milliseconds for so many probes. Templates 0 to 2 send one probe at a time, with a fixed
    /// pause (nmap's reference guide, "Timing and Performance"); the others as many as the network
    /// takes, of which these are good figures on a local network.
    fn pace(&self) -> (u128, u128) {
        match self.timing {
            0 => (300_000, 1),
            1 => (15_000, 1),
            2 => (400, 1),
            3 => (1000, 3000),
            4 => (1000, 6000),
            _ => (1000, 10_000),
        }
    }

    fn ports_in_words(&self) -> String {
        match self.n_tcp_ports + self.n_udp_ports {
            0 => format!("timing_template {}", self.timing),
            1 => format!("1 port and timing_template {}", self.timing),
            ports => format!("{ports} ports and timing_template {}", self.timing),
        }
    }
}

/// The option that names ports of TCP, of UDP, or of both.
pub(crate) fn port_option(tcp: &PortSet, udp: &PortSet) -> [String; 2] {
    let ports = match (tcp.is_empty(), udp.is_empty()) {
        (false, false) => format!("T:{tcp},U:{udp}"),
        (true, _) => udp.to_string(),
        (_, true) => tcp.to_string(),
    };
    ["-p".to_owned(), ports]
}

/// `40 s`, `12 min`, `3 h`, `5 days`; rounded up.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_millis().div_ceil(1000);
    match seconds {
        0..=120 => format!("{seconds} s"),
        121..=7200 => format!("{} min", seconds.div_ceil(60)),
        7201..=172_800 => format!("{} h", seconds.div_ceil(3600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(timing: u8, n_tcp_ports: u32, n_udp_ports: u32) -> Scan {
        Scan {
            technique: Technique::TcpConnect,
            timing,
            options: vec!["-sT".to_owned()],
            n_tcp_ports,
            n_udp_ports,
            skip_discovery: true,
            needs_raw_sockets: false,
            open_only: false,
            reason: false,
        }
    }

    #[test]
    fn targets_come_last_and_behind_the_end_of_options() {
        let check = |networks: &[&str], has_raw_sockets, expected: &str| {
            let targets = AddressSet::of(networks.iter().map(|network| network.parse().unwrap()));
            let arguments = scan(3, 1, 0).arguments(&targets, has_raw_sockets);
            assert_eq!(arguments.join(" "), expected);
        };
        check(
            &["10.0.0.7/32", "10.0.1.0/24"],
            true,
            "-n -v -oX - --stats-every 1s --privileged -T3 -Pn -sT -- 10.0.0.7 10.0.1.0/24",
        );
        check(
            &["fd00::/120"],
            false,
            "-n -v -oX - --stats-every 1s --unprivileged -T3 -6 -Pn -sT -- fd00::/120",
        );
    }

    #[test]
    fn what_cannot_fit_is_refused_with_an_estimate_and_what_would_fit() {
        let left = Duration::from_mins(5);
        let check = |scan: &Scan, n_addresses: u128, words: &[&str]| {
            let refused = scan.check_fits(n_addresses, left);
            assert_eq!(
                refused.is_err(),
                !words.is_empty(),
                "{n_addresses}: {refused:?}"
            );
            let said = refused.map_or_else(|error| error.to_string(), |()| String::new());
            for word in words {
                assert!(said.contains(word), "{word}: {said}");
            }
        };
        check(&scan(3, 1000, 0), 256, &[]);
        check(&scan(3, 65_535, 0), 1, &[]);
        check(
            &scan(3, 1000, 0),
            65_536,
            &["7 h", "5 min", "at most 2700 addresses"],
        );
        check(
            &scan(3, 1000, 0),
            2000,
            &["12 min", "timeoutMs", "at most 2000 addresses"],
        );
        check(&scan(0, 10, 0), 1, &["50 min", "fewer ports"]);
        check(&scan(0, 1000, 0), 1, &["4 days", "timing_template 0"]);
        check(&scan(2, 100, 0), 1, &[]);
        check(&scan(3, 0, 100), 256, &[]);
        check(&scan(5, 0, 65_535), 1, &["110 min"]);
    }

    #[test]
    fn durations_are_said_in_a_unit_that_fits() {
        let check = |seconds: u64, expected: &str| {
            assert_eq!(in_words(Duration::from_secs(seconds)), expected);
        };
        check(1, "1 s");
        check(119, "119 s");
        check(125, "3 min");
        check(10_000, "3 h");
        check(1_000_000, "12 days");
    }
}
