//! What a call asks nmap for: the options, all of them fixed words and checked values, and the
//! time that it is likely to take.

use std::fmt::Write as _;
use std::time::Duration;

use protocol::{MAX_HOLD, ToolError};
use schemars::JsonSchema;
use serde::Serialize;

use crate::addresses::{AddressSet, in_short};
use crate::ports::{PortSets, Protocol};
use crate::targets::MAX_ADDRESSES;

/// Ports that nmap scans when it is told none.
pub(crate) const DEFAULT_PORTS: u32 = 1000;
/// Ports of nmap's fast scan.
pub(crate) const FAST_PORTS: u32 = 100;
/// Ports that the first run of nmap takes at most: UDP ports are slow.
const FIRST_TCP_PORTS: u32 = 1000;
const FIRST_UDP_PORTS: u32 = 100;
/// Time that one run of nmap shall take where a scan needs several of them. What it found is
/// known when it ends, so no more than that is lost at a deadline.
pub(crate) const RUN_TIME: Duration = Duration::from_secs(25);
/// The longest that nmap can have for a call: some of its time goes to the way and the answer.
const LONGEST: Duration = MAX_HOLD.saturating_sub(Duration::from_secs(5));
/// UDP ports of one host that are settled in a second where nothing is in the way; hosts that
/// answer at all often allow one answer in a second (RFC 1812, section 4.3.2.8).
const UDP_PORTS_PER_SECOND: u64 = 10;
/// Hosts whose UDP ports nmap scans side by side.
const UDP_HOSTS: u128 = 64;
/// Addresses that one nmap takes at most, where few of them have a host.
const MOST_ADDRESSES: u128 = 4096;

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
    /// Options of the technique.
    pub(crate) options: Vec<String>,
    /// Ports that are scanned at each address.
    pub(crate) ports: Selection,
    /// Probes that find out whether an address has a host.
    pub(crate) n_probes: u32,
    /// Whether every address counts as up, without a look.
    pub(crate) skip_discovery: bool,
    /// Whether it cannot be done without raw sockets.
    pub(crate) needs_raw_sockets: bool,
    pub(crate) open_only: bool,
    pub(crate) reason: bool,
}

/// Which ports are scanned at each address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// None, in a ping scan.
    None,
    /// Those of the protocol that are most often open, by nmap's table.
    MostOften(Protocol, u32),
    /// These.
    Named(PortSets),
}

impl Selection {
    pub(crate) fn is_empty(&self) -> bool {
        self.n_tcp() + self.n_udp() == 0
    }

    pub(crate) fn n_tcp(&self) -> u32 {
        match self {
            Self::MostOften(Protocol::Tcp, count) => *count,
            Self::Named(ports) => ports.tcp.len(),
            _ => 0,
        }
    }

    pub(crate) fn n_udp(&self) -> u32 {
        match self {
            Self::MostOften(Protocol::Udp, count) => *count,
            Self::Named(ports) => ports.udp.len(),
            _ => 0,
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.n_tcp() + self.n_udp()
    }

    /// nmap's options for them, and for the protocols that they are of.
    fn options(&self, technique: Technique) -> Vec<String> {
        let ports = match self {
            Self::None => return Vec::new(),
            Self::MostOften(_, count) => {
                return vec!["--top-ports".to_owned(), count.to_string()];
            }
            Self::Named(ports) => ports,
        };
        let (tcp, udp) = (&ports.tcp, &ports.udp);
        let mut options = match (tcp.is_empty(), udp.is_empty()) {
            (false, false) => vec!["-p".to_owned(), format!("T:{tcp},U:{udp}")],
            (true, _) => vec!["-p".to_owned(), udp.to_string()],
            (_, true) => vec!["-p".to_owned(), tcp.to_string()],
        };
        // Which technique finds the TCP ports of a version scan is left to nmap, SYN where it may
        // and connect otherwise, unless it has to be said beside UDP.
        if technique == Technique::Version && !udp.is_empty() {
            options.push("-sU".to_owned());
            if !tcp.is_empty() {
                options.push("-sS".to_owned());
            }
        }
        options
    }
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

    /// What a caller can have where there are no raw sockets.
    pub(crate) fn without_raw_sockets(self) -> &'static str {
        match self {
            Self::Ping | Self::Version => {
                "leave out the U: ports, for the others need no privilege"
            }
            Self::TcpSyn | Self::TcpConnect => "nmap_tcp_connect_scan needs no privilege",
            Self::Udp => "only TCP ports can be scanned without (nmap_tcp_connect_scan)",
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
    /// that, since hosts beyond the page are scanned again for the next one. `sparse` parts came
    /// back before it, one after the other, with few hosts each.
    pub(crate) fn part(&self, hosts_left: usize, sparse: u32) -> u128 {
        let most = self.technique.part();
        let usual = (hosts_left as u128).clamp(most / 4, most);
        (usual << sparse.min(8)).min(MOST_ADDRESSES)
    }

    /// Ports of each protocol, TCP and UDP, that one run of nmap takes when it is not known how
    /// fast they answer.
    pub(crate) fn first_ports(&self) -> (u32, u32) {
        let (milliseconds, at_once) = self.pace();
        let in_time = RUN_TIME.as_millis() * at_once / milliseconds;
        let in_time = u32::try_from(in_time).unwrap_or(u32::MAX).max(1);
        (in_time.min(FIRST_TCP_PORTS), in_time.min(FIRST_UDP_PORTS))
    }

    /// Whether the ports are too many for one run of nmap.
    pub(crate) fn needs_several_runs(&self) -> bool {
        let (n_tcp, n_udp) = self.first_ports();
        self.ports.n_tcp() > n_tcp || self.ports.n_udp() > n_udp
    }

    /// nmap's argument vector that lists the ports and scans nothing.
    pub(crate) fn listing(&self) -> Vec<String> {
        let mut arguments = vec!["-oX".to_owned(), "-".to_owned()];
        arguments.extend(self.options.iter().cloned());
        arguments.extend(self.ports.options(self.technique));
        arguments
    }

    /// nmap's whole argument vector for one run, whose targets are of one IP version.
    /// `is_up` is said of targets that have answered an earlier run.
    pub(crate) fn arguments(
        &self,
        targets: &AddressSet,
        ports: &Selection,
        is_up: bool,
        has_raw_sockets: bool,
    ) -> Vec<String> {
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
        if self.skip_discovery || is_up {
            arguments.push("-Pn".to_owned());
        }
        arguments.extend(self.options.iter().cloned());
        arguments.extend(ports.options(self.technique));
        arguments.push("--".to_owned());
        arguments.extend(targets.networks().into_iter().map(in_short));
        arguments
    }

    /// The time that the scan of so many addresses takes if each of them answers every probe:
    /// where most have no host it is less, where answers are lost or held back it is more.
    pub(crate) fn estimate(&self, n_addresses: u128) -> Duration {
        let probes = n_addresses.saturating_mul(self.probes_per_address().into());
        let (milliseconds, at_once) = self.pace();
        let sent = probes.saturating_mul(milliseconds) / at_once;
        let rounds = n_addresses.div_ceil(UDP_HOSTS);
        let udp = u128::from(self.ports.n_udp()).saturating_mul(rounds) * 1000
            / u128::from(UDP_PORTS_PER_SECOND);
        Duration::from_millis(u64::try_from(sent.max(udp)).unwrap_or(u64::MAX))
    }

    /// Refuses a scan that is not likely to be over in the time that is left for it.
    ///
    /// # Errors
    /// `invalid_arguments`, with the estimate and what would fit.
    pub(crate) fn check_fits(&self, n_addresses: u128, left: Duration) -> Result<(), ToolError> {
        let estimate = self.estimate(n_addresses);
        if estimate <= left {
            return Ok(());
        }
        let message = format!(
            "a {} of {n_addresses} address{} with {} takes about {} if every address answers, and \
             this call ends in {}",
            self.technique.in_words(),
            if n_addresses == 1 { "" } else { "es" },
            self.ports_in_words(),
            in_words(estimate),
            in_words(left),
        );
        let mut hint = String::new();
        if estimate <= LONGEST {
            hint.push_str("ask for more time (_meta opendiscovery/timeoutMs up to 900000), or ");
        }
        let less = "fewer ports, or a faster timing_template";
        let most = self.most_addresses(left);
        hint.push_str("narrow it: ");
        if most > 0 {
            // Writing to a String cannot fail.
            let _ = write!(hint, "at most {most} addresses in one call, ");
        }
        let with_more_time = self.most_addresses(LONGEST);
        if estimate > LONGEST && with_more_time > most {
            let _ = write!(
                hint,
                "with _meta opendiscovery/timeoutMs 900000 at most {with_more_time}, "
            );
        }
        hint.push_str(less);
        if n_addresses > 1 {
            hint.push_str("; nmap_ping_scan first tells which addresses are worth it");
        }
        Err(ToolError::invalid(message).hint(hint))
    }

    fn most_addresses(&self, left: Duration) -> u128 {
        let (mut fits, mut too_many) = (0, MAX_ADDRESSES + 1);
        while too_many - fits > 1 {
            let middle = u128::midpoint(fits, too_many);
            if self.estimate(middle) <= left {
                fits = middle;
            } else {
                too_many = middle;
            }
        }
        fits
    }

    fn probes_per_address(&self) -> u32 {
        let discovery = if self.skip_discovery {
            0
        } else {
            self.n_probes
        };
        discovery + self.ports.len()
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
        let (count, what) = match self.technique {
            Technique::Ping => (self.n_probes, "probe"),
            _ => (self.ports.len(), "port"),
        };
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {what}{plural} and timing_template {}", self.timing)
    }
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
    use crate::ports::PortSet;

    fn scan(timing: u8, n_tcp_ports: u32, n_udp_ports: u32) -> Scan {
        let first = |count| PortSet::listed(&format!("1-{count}")).unwrap_or_default();
        Scan {
            technique: Technique::TcpConnect,
            timing,
            options: vec!["-sT".to_owned()],
            ports: Selection::Named(PortSets {
                tcp: first(n_tcp_ports),
                udp: first(n_udp_ports),
            }),
            n_probes: 1,
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
            let scan = scan(3, 2, 0);
            let arguments = scan.arguments(&targets, &scan.ports, false, has_raw_sockets);
            assert_eq!(arguments.join(" "), expected);
        };
        check(
            &["10.0.0.7/32", "10.0.1.0/24"],
            true,
            "-n -v -oX - --stats-every 1s --privileged -T3 -Pn -sT -p 1-2 -- 10.0.0.7 10.0.1.0/24",
        );
        check(
            &["fd00::/120"],
            false,
            "-n -v -oX - --stats-every 1s --unprivileged -T3 -6 -Pn -sT -p 1-2 -- fd00::/120",
        );
    }

    #[test]
    fn parts_grow_while_they_come_back_with_few_hosts() {
        let mut scan = scan(3, 0, 0);
        scan.technique = Technique::Ping;
        let parts = |scan: &Scan, room| [0, 1, 4, 30].map(|sparse| scan.part(room, sparse));
        assert_eq!(parts(&scan, 100), [256, 512, 4096, 4096]);
        assert_eq!(parts(&scan, 1000), [1000, 2000, 4096, 4096]);
        scan.technique = Technique::TcpSyn;
        assert_eq!(parts(&scan, 10), [64, 128, 1024, 4096]);
    }

    #[test]
    fn many_ports_need_several_runs_and_slow_ones_sooner() {
        let check = |timing, n_tcp, n_udp, expected| {
            let needs = scan(timing, n_tcp, n_udp).needs_several_runs();
            assert_eq!(needs, expected, "{timing} {n_tcp} {n_udp}");
        };
        check(3, 1000, 100, false);
        check(3, 1001, 0, true);
        check(5, 0, 101, true);
        check(2, 62, 62, false);
        check(2, 63, 0, true);
        check(0, 1, 0, false);
        check(0, 2, 0, true);
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
            &[
                "7 h",
                "5 min",
                "narrow it: at most 900 addresses in one call, with _meta \
                 opendiscovery/timeoutMs 900000 at most 2685, ",
            ],
        );
        check(
            &scan(3, 1000, 0),
            2000,
            &[
                "12 min",
                "ask for more time",
                "at most 900 addresses in one call, fewer ports",
            ],
        );
        // It fits no call, though its estimate is less than the longest deadline.
        check(
            &scan(3, 1000, 0),
            2690,
            &["15 min", "timeoutMs 900000 at most 2685, "],
        );
        check(
            &scan(0, 2, 0),
            1,
            &["10 min", "ask for more time", "narrow it: fewer ports"],
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
