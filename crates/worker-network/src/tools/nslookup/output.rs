use std::fmt::Write as _;
use std::net::SocketAddr;

use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::Record;
use protocol::{ErrorCode, ToolError};
use schemars::JsonSchema;
use serde::Serialize;
use worker::Summary;
use worker::markdown::{plain, table};

use super::exchange::{Failure, Reply, Transport};
use super::record::{Answer, shown, type_name};
use crate::tools::milliseconds::milliseconds;

/// Most records of one section; a message of 64 KiB holds some thousands.
const MAX_RECORDS: usize = 1000;

/// What a name server answered.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the header of a DNS message has one bit for each"
)]
pub(super) struct Output {
    /// Name that was asked for, completed by the search list where that found it; the reverse
    /// name for an address.
    name: String,
    /// Record type that was asked for.
    #[serde(rename = "type")]
    query_type: String,
    /// Server that answered, as `address:port`.
    server: String,
    /// Whether the answer came over UDP or, being too long for that, over TCP.
    transport: Transport,
    /// Milliseconds from the question to the answer.
    elapsed_ms: f64,
    /// Response code, such as `NOERROR`, `NXDOMAIN` (no such name), `SERVFAIL` or `REFUSED`.
    rcode: String,
    /// Whether the server vouches for the answer by DNSSEC (AD bit). It is as trustworthy as the
    /// way to the server.
    authenticated: bool,
    /// Whether the server is an authority for the name (AA bit).
    authoritative: bool,
    /// Whether the server looks names up for others (RA bit).
    recursion_available: bool,
    /// Records of the answer in the server's order, aliases (CNAME) on the way included. Empty
    /// where the name or the record type does not exist.
    answers: Vec<Answer>,
    /// Records of the authority section: the SOA of the zone that denies a name, or the name
    /// servers of a delegated zone.
    authority: Vec<Answer>,
    /// Whether records are missing: the answer was cut and could not be had over TCP, or a
    /// section has more than 1,000 records.
    truncated: bool,
}

impl Output {
    pub(super) fn new(query: &Query, server: SocketAddr, reply: &Reply) -> Self {
        let message = &reply.message;
        let too_many =
            message.answers.len() > MAX_RECORDS || message.authorities.len() > MAX_RECORDS;
        Self {
            name: shown(query.name()),
            query_type: type_name(query.query_type()),
            server: server.to_string(),
            transport: reply.transport,
            elapsed_ms: milliseconds(reply.elapsed),
            rcode: mnemonic(message.metadata.response_code),
            authenticated: message.metadata.authentic_data,
            authoritative: message.metadata.authoritative,
            recursion_available: message.metadata.recursion_available,
            answers: records(&message.answers),
            authority: records(&message.authorities),
            truncated: message.metadata.truncation || too_many,
        }
    }
}

fn records(section: &[Record]) -> Vec<Answer> {
    section.iter().take(MAX_RECORDS).map(Answer::from).collect()
}

/// Names of the DNS RCODEs registry at IANA.
fn mnemonic(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::BADVERS | ResponseCode::BADSIG => "BADVERS",
        ResponseCode::BADCOOKIE => "BADCOOKIE",
        other => return format!("RCODE{}", u16::from(other)),
    }
    .to_owned()
}

impl Summary for Output {
    fn summary(&self) -> String {
        let mut text = format!(
            "**{}** {}: {} from {} in {:.1} ms{}{}\n",
            plain(&self.name),
            self.query_type,
            self.rcode,
            self.server,
            self.elapsed_ms,
            if self.authenticated {
                ", DNSSEC-validated"
            } else {
                ""
            },
            if self.truncated { ", truncated" } else { "" },
        );
        let meaning = match (self.rcode.as_str(), self.answers.is_empty()) {
            ("NOERROR", true) => "The name exists or has names below it, but has no such records.",
            ("NXDOMAIN", _) => "There is no such name.",
            ("SERVFAIL", _) => "The server could not find out.",
            ("REFUSED", _) => "The server does not answer this question for this client.",
            _ => "",
        };
        if !meaning.is_empty() {
            let _ = writeln!(text, "\n{meaning}");
        }
        text.push('\n');
        text + &table(["name", "type", "ttl s", "data"], &self.answers, |answer| {
            [
                answer.name.clone(),
                answer.record_type.clone(),
                answer.ttl.to_string(),
                answer.data.to_string(),
            ]
        })
    }
}

/// The error where no server answered at all, or only with what is no DNS message.
pub(super) fn no_answer(query: &Query, failures: &[(SocketAddr, Failure)]) -> ToolError {
    let all = |kind: fn(&Failure) -> bool| {
        !failures.is_empty() && failures.iter().all(|(_, failure)| kind(failure))
    };
    let code = if all(|failure| matches!(failure, Failure::Refused)) {
        ErrorCode::ConnectionRefused
    } else if all(|failure| matches!(failure, Failure::Malformed(_))) {
        ErrorCode::BadResponse
    } else {
        ErrorCode::Unreachable
    };
    let servers: Vec<String> = failures
        .iter()
        .map(|(server, failure)| format!("{server}: {failure}"))
        .collect();
    ToolError::new(
        code,
        format!(
            "no DNS server answered for {} {}: {}",
            shown(query.name()),
            type_name(query.query_type()),
            servers.join("; ")
        ),
    )
    .hint("check the server's address and port, and that UDP and TCP reach it; \"server\" asks another one")
}
