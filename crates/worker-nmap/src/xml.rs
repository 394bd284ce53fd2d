//! nmap's XML output, read while it is written.
//!
//! Only one host is held at a time, and of its ports no more than the reader allows, so the size
//! of a scan does not matter.

use std::borrow::Cow;
use std::net::IpAddr;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;
use tokio::io::AsyncBufRead;

use crate::Error;
use crate::ports::Protocol;
use crate::report::{Host, HostState, Method, OtherPorts, OtherReason, Port, PortState, Service};

/// One thing that nmap says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    /// Its version.
    Version(String),
    /// A host is up; its ports follow later.
    Hint(IpAddr),
    /// All about one host, whether it is up or not.
    Host(Box<Host>),
    /// An address that it cannot scan.
    Skipped(String),
    /// The ports of a protocol that it scans, such as `22,80-90`.
    Ports(Protocol, String),
    /// How far it has come.
    Progress(Progress),
    /// The end, and what went wrong, if anything.
    Finished(Option<String>),
}

/// How far one stage of a scan has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Progress {
    /// nmap's name of the stage, such as `SYN Stealth Scan`.
    pub(crate) task: String,
    pub(crate) percent: f64,
    /// Seconds until the stage is over, by nmap's own estimate.
    pub(crate) remaining_s: Option<u64>,
}

/// Reads what nmap writes.
pub(crate) struct Document<R> {
    reader: Reader<R>,
    buffer: Vec<u8>,
    state: State,
}

/// Where in the document the reader is.
#[derive(Debug)]
struct State {
    host: Option<Host>,
    port: Option<Port>,
    /// In `hosthint`, which is written like a host.
    is_hint: bool,
    /// What was read so far of the `cpe` that the reader is in.
    cpe: Option<String>,
    /// Ports that may still be kept.
    room: usize,
}

impl<R: AsyncBufRead + Unpin> Document<R> {
    /// A document that is not yet read. Of all its hosts together it keeps at most `max_ports`
    /// single ports, and counts the others.
    pub(crate) fn new(source: R, max_ports: usize) -> Self {
        let mut reader = Reader::from_reader(source);
        reader.config_mut().expand_empty_elements = true;
        Self {
            reader,
            buffer: Vec::new(),
            state: State {
                host: None,
                port: None,
                is_hint: false,
                cpe: None,
                room: max_ports,
            },
        }
    }

    /// The next thing that nmap says; `None` at the end of its output. Not cancel-safe: after a
    /// read that was given up the document cannot be read any more.
    ///
    /// # Errors
    /// [`Error::Xml`] where it is not nmap's XML, [`Error::Read`].
    pub(crate) async fn next(&mut self) -> Result<Option<Said>, Error> {
        loop {
            self.buffer.clear();
            let event = self.reader.read_event_into_async(&mut self.buffer).await;
            let said = match event.map_err(unreadable)? {
                Event::Start(element) => self.state.begin(&element)?,
                Event::End(element) => self.state.end(element.name().as_ref())?,
                Event::Text(text) => {
                    self.state.text(&text.xml10_content());
                    None
                }
                // References come one by one, between the pieces of text around them.
                Event::GeneralRef(reference) => {
                    self.state.text(&resolved(&reference));
                    None
                }
                Event::Eof => return Ok(None),
                _ => None,
            };
            if said.is_some() {
                return Ok(said);
            }
        }
    }
}

impl State {
    fn begin(&mut self, element: &BytesStart<'_>) -> Result<Option<Said>, Error> {
        match element.name().as_ref() {
            "nmaprun" => return Ok(value(element, "version").map(Said::Version)),
            "target" => return Ok(skipped(element)),
            "taskprogress" => return progress(element).map(Some),
            "taskbegin" => return Ok(task_begins(element)),
            "finished" => return Ok(Some(finished(element))),
            "host" | "hosthint" => {
                self.is_hint = element.name().as_ref() == "hosthint";
                self.host = Some(Host::at(IpAddr::from([0, 0, 0, 0])));
            }
            "port" if self.host.is_some() => self.port = Some(port(element)?),
            "cpe" => self.cpe = Some(String::new()),
            "scaninfo" => return Ok(ports(element)),
            _ => self.inside(element)?,
        }
        Ok(None)
    }

    /// What describes the host or port that the reader is in.
    fn inside(&mut self, element: &BytesStart<'_>) -> Result<(), Error> {
        let Some(host) = &mut self.host else {
            return Ok(());
        };
        match (element.name().as_ref(), &mut self.port) {
            ("status", _) => {
                host.state = required(element, "state", HostState::from_nmap)?;
                host.reason = value(element, "reason");
            }
            ("address", _) => address(element, host)?,
            ("times", _) => host.rtt_ms = rtt_ms(element),
            ("extraports", _) => host.other_ports.push(OtherPorts {
                state: required(element, "state", PortState::from_nmap)?,
                count: number(element, "count")?,
                reasons: Vec::new(),
            }),
            ("extrareasons", _) => {
                let reason = OtherReason {
                    reason: required(element, "reason", |word| Some(word.to_owned()))?,
                    count: number(element, "count")?,
                };
                if let Some(others) = host.other_ports.last_mut() {
                    others.reasons.push(reason);
                }
            }
            ("state", Some(port)) => {
                port.state = required(element, "state", PortState::from_nmap)?;
                port.reason = value(element, "reason");
            }
            ("service", Some(port)) => port.service = Some(service(element)?),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some(cpe) = &mut self.cpe {
            cpe.push_str(text);
        }
    }

    fn end(&mut self, name: &str) -> Result<Option<Said>, Error> {
        match name {
            "cpe" => {
                let service = self.port.as_mut().and_then(|port| port.service.as_mut());
                if let (Some(cpe), Some(service)) = (self.cpe.take(), service) {
                    service.cpe.push(cpe);
                }
            }
            "port" => {
                if let (Some(host), Some(port)) = (&mut self.host, self.port.take()) {
                    if self.room == 0 {
                        host.ports_omitted += 1;
                    } else {
                        self.room -= 1;
                        host.ports.push(port);
                    }
                }
            }
            "host" | "hosthint" => {
                let Some(mut host) = self.host.take() else {
                    return Ok(None);
                };
                if host.address.is_unspecified() {
                    return Err(Error::Xml("a host without an address".to_owned()));
                }
                if std::mem::take(&mut self.is_hint) {
                    return Ok(Some(Said::Hint(host.address)));
                }
                host.complete = true;
                host.ports.sort_by_key(|port| (port.proto, port.port));
                host.other_ports.sort_by_key(|others| others.state);
                return Ok(Some(Said::Host(Box::new(host))));
            }
            _ => {}
        }
        Ok(None)
    }
}

fn skipped(element: &BytesStart<'_>) -> Option<Said> {
    let is_skipped = value(element, "status").as_deref() == Some("skipped");
    let target = value(element, "specification").filter(|_| is_skipped);
    target.map(Said::Skipped)
}

fn ports(element: &BytesStart<'_>) -> Option<Said> {
    let protocol = Protocol::from_nmap(&value(element, "protocol")?)?;
    value(element, "services").map(|ports| Said::Ports(protocol, ports))
}

/// What a reference stands for; one that XML does not know stays as it is written.
fn resolved(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return character.to_string();
    }
    let name: &str = reference;
    resolve_xml_entity(name).map_or_else(|| format!("&{name};"), str::to_owned)
}

fn progress(element: &BytesStart<'_>) -> Result<Said, Error> {
    let percent = |word: &str| {
        word.parse()
            .ok()
            .filter(|percent| (0.0..=100.0).contains(percent))
    };
    Ok(Said::Progress(Progress {
        task: required(element, "task", |word| Some(word.to_owned()))?,
        percent: required(element, "percent", percent)?,
        remaining_s: value(element, "remaining").and_then(|word| word.parse().ok()),
    }))
}

fn task_begins(element: &BytesStart<'_>) -> Option<Said> {
    value(element, "task").map(|task| {
        Said::Progress(Progress {
            task,
            percent: 0.0,
            remaining_s: None,
        })
    })
}

fn finished(element: &BytesStart<'_>) -> Said {
    let is_error = value(element, "exit").as_deref() == Some("error");
    let why = || value(element, "errormsg").unwrap_or_else(|| "it does not say why".to_owned());
    Said::Finished(is_error.then(why))
}

fn address(element: &BytesStart<'_>, host: &mut Host) -> Result<(), Error> {
    let kind = value(element, "addrtype");
    if kind.as_deref() == Some("mac") {
        host.mac = value(element, "addr");
        host.vendor = value(element, "vendor");
    } else {
        host.address = required(element, "addr", |word| word.parse().ok())?;
    }
    Ok(())
}

/// The smoothed round-trip time, which nmap writes in microseconds.
fn rtt_ms(element: &BytesStart<'_>) -> Option<f64> {
    let microseconds: u32 = value(element, "srtt")?.parse().ok()?;
    Some(f64::from(microseconds) / 1000.0)
}

fn port(element: &BytesStart<'_>) -> Result<Port, Error> {
    Ok(Port {
        port: number(element, "portid")?,
        proto: required(element, "protocol", Protocol::from_nmap)?,
        state: PortState::Unfiltered,
        reason: None,
        service: None,
    })
}

fn service(element: &BytesStart<'_>) -> Result<Service, Error> {
    let method = |word: &str| match word {
        "table" => Some(Method::Table),
        "probed" => Some(Method::Probed),
        _ => None,
    };
    Ok(Service {
        name: required(element, "name", |word| Some(word.to_owned()))?,
        method: required(element, "method", method)?,
        confidence: number(element, "conf")?,
        tunnel: value(element, "tunnel"),
        product: value(element, "product"),
        version: value(element, "version"),
        extrainfo: value(element, "extrainfo"),
        ostype: value(element, "ostype"),
        devicetype: value(element, "devicetype"),
        hostname: value(element, "hostname"),
        cpe: Vec::new(),
    })
}

/// An attribute as text, if it is there.
fn value(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok().flatten()?;
    // What a service said may hold references that XML does not allow: better as it is written
    // than not at all.
    let text = attribute.normalized_value(XmlVersion::Explicit1_0);
    Some(text.map_or_else(|_| attribute.value.to_string(), Cow::into_owned))
}

fn required<T>(
    element: &BytesStart<'_>,
    name: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Error> {
    let found = value(element, name);
    found.as_deref().and_then(read).ok_or_else(|| {
        let element = element.name();
        Error::Xml(format!("{} with {name} {found:?}", element.as_ref()))
    })
}

fn number<T: std::str::FromStr>(element: &BytesStart<'_>, name: &str) -> Result<T, Error> {
    required(element, name, |word| word.parse().ok())
}

fn unreadable(error: quick_xml::Error) -> Error {
    match error {
        quick_xml::Error::Io(error) => {
            Error::Read(std::io::Error::new(error.kind(), error.to_string()))
        }
        error => Error::Xml(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
