//! The one request that every address gets, and what comes back.

use async_snmp::message::{CommunityMessage, V3Message};
use async_snmp::pdu::{Pdu, PduType, RequestPdu};
use async_snmp::v3::UsmSecurityParams;
use async_snmp::{DecodeConfig, Version as LibraryVersion};
use bytes::Bytes;

use crate::Oid;
use crate::client::{Credentials, Secret, Version, from_library, oid_to_library};
use crate::value::Value;

/// The beginning of all objects of the group system.
const SYSTEM: [u32; 7] = [1, 3, 6, 1, 2, 1, 1];
/// The objects that are asked for, by their number in that group: description, kind, time since
/// the start, contact, name, location.
const OBJECTS: [u32; 6] = [1, 2, 3, 4, 5, 6];

/// What an agent said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) description: Option<String>,
    pub(crate) object_id: Option<Oid>,
    pub(crate) up_time: Option<std::time::Duration>,
    pub(crate) contact: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) location: Option<String>,
    pub(crate) engine_id: Option<Vec<u8>>,
    /// The error status that it answered with.
    pub(crate) error: Option<String>,
}

/// A request for every address, the same but for the identifier.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    version: Version,
    community: Secret,
}

impl Probe {
    /// What agents answer who accept these credentials. Whether they accept a user of SNMP v3 is
    /// not asked.
    pub(crate) fn of(credentials: &Credentials) -> Self {
        match credentials {
            Credentials::V1(community) => Self::v1(community.clone()),
            Credentials::V2c(community) => Self::v2c(community.clone()),
            Credentials::V3(_) => Self::v3(),
        }
    }

    /// GET of the group system, in SNMP v1.
    pub(crate) fn v1(community: Secret) -> Self {
        Self::new(Version::V1, community)
    }

    /// GET of the group system, in SNMP v2c.
    pub(crate) fn v2c(community: Secret) -> Self {
        Self::new(Version::V2c, community)
    }

    /// The question for an engine's identifier, which needs no user (RFC 3414, section 4).
    pub(crate) fn v3() -> Self {
        Self::new(Version::V3, Secret::from(""))
    }

    fn new(version: Version, community: Secret) -> Self {
        Self { version, community }
    }

    /// The request with this identifier, which is not negative.
    pub(super) fn request(&self, id: i32) -> Option<Bytes> {
        let community = self.community.expose();
        match self.version {
            Version::V1 => {
                let pdu = get(LibraryVersion::V1, id)?;
                CommunityMessage::v1(community, pdu).ok()?.encode().ok()
            }
            Version::V2c => {
                let pdu = get(LibraryVersion::V2c, id)?;
                CommunityMessage::v2c(community, pdu).ok()?.encode().ok()
            }
            Version::V3 => {
                let most = 65_507.try_into().ok()?;
                V3Message::discovery_request(id, most).ok()?.encode().ok()
            }
        }
    }

    /// The identifier of the request that an answer is to, and what it says; `None` of what is no
    /// answer, such as the request itself from a service that sends everything back.
    pub(super) fn answer(&self, message: &[u8]) -> Option<(i32, Answer)> {
        let message = Bytes::copy_from_slice(message);
        if self.version == Version::V3 {
            engine(message)
        } else {
            system(message)
        }
    }
}

fn get(version: LibraryVersion, id: i32) -> Option<Pdu> {
    let oids = OBJECTS.map(|object| oid_to_library(&Oid::from(&SYSTEM[..]).join(&[object, 0])));
    Some(RequestPdu::get(version, id, &oids).ok()?.into_raw())
}

fn system(message: Bytes) -> Option<(i32, Answer)> {
    let decoded = CommunityMessage::decode(message, DecodeConfig::DEFAULT).ok()?;
    let pdu = decoded.value.into_pdu()?;
    if pdu.pdu_type() != PduType::Response {
        return None;
    }
    let id = pdu.request_id();
    let error = pdu.is_error().then(|| {
        let status = pdu.error_status_enum();
        status
            .as_str()
            .map_or_else(|| format!("error {}", pdu.error_status()), str::to_owned)
    });
    let mut answer = Answer {
        error,
        ..Answer::default()
    };
    let root = Oid::from(&SYSTEM[..]);
    for varbind in pdu.into_varbinds() {
        let varbind = from_library(varbind);
        if let Some([object, 0]) = varbind.oid.after(&root) {
            answer.set(*object, &varbind.value);
        }
    }
    Some((id, answer))
}

fn engine(message: Bytes) -> Option<(i32, Answer)> {
    let message = V3Message::decode(message, DecodeConfig::DEFAULT)
        .ok()?
        .value;
    let kind = message.pdu()?.pdu_type();
    if !matches!(kind, PduType::Report | PduType::Response) {
        return None;
    }
    let security = message.security_params().clone();
    let security = UsmSecurityParams::decode(security, DecodeConfig::DEFAULT).ok()?;
    let engine_id = security.value.engine_id().to_vec();
    let answer = Answer {
        engine_id: Some(engine_id).filter(|it| !it.is_empty()),
        ..Answer::default()
    };
    answer
        .engine_id
        .is_some()
        .then(|| (message.msg_id(), answer))
}

impl Answer {
    fn set(&mut self, object: u32, value: &Value) {
        match object {
            1 => self.description = value.text(),
            2 => self.object_id = value.oid().cloned(),
            3 => self.up_time = value.duration(),
            4 => self.contact = value.text(),
            5 => self.name = value.text(),
            6 => self.location = value.text(),
            _ => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use async_snmp::VarBind;
    use async_snmp::message::{MsgFlags, MsgGlobalData, ScopedPdu, SecurityLevel};
    use async_snmp::pdu::ResponsePdu;
    use proptest::prelude::*;

    use super::*;

    /// What a device called `switch-1` answers to a request.
    pub(in crate::sweep) fn answer_to(request: &[u8]) -> Vec<u8> {
        let request = Bytes::copy_from_slice(request);
        let request = CommunityMessage::decode(request, DecodeConfig::DEFAULT)
            .unwrap()
            .value;
        let (version, community, _) = request.clone().into_parts();
        let pdu = request.into_pdu().unwrap();
        let values = pdu.varbinds().iter().map(|asked| {
            let value = match asked.oid.arcs()[7] {
                1 => "a switch".into(),
                5 => "switch-1".into(),
                3 => async_snmp::Value::TimeTicks(4200),
                _ => async_snmp::Value::NoSuchInstance,
            };
            VarBind::new(asked.oid.clone(), value)
        });
        let pdu = ResponsePdu::success(version, pdu.request_id(), values.collect()).unwrap();
        let message = match version {
            LibraryVersion::V1 => CommunityMessage::v1(community, pdu.into_raw()),
            _ => CommunityMessage::v2c(community, pdu.into_raw()),
        };
        message.unwrap().encode().unwrap().to_vec()
    }

    #[test]
    fn an_answer_belongs_to_the_request_whose_identifier_it_has() {
        let probe = Probe::v2c(Secret::from("public"));
        for id in [0, 7, 65_535, i32::MAX] {
            let request = probe.request(id).unwrap();
            let (found, answer) = probe.answer(&answer_to(&request)).unwrap();
            assert_eq!(found, id);
            assert_eq!(answer.name.as_deref(), Some("switch-1"));
            assert_eq!(answer.up_time.unwrap().as_secs(), 42);
            assert_eq!((answer.location, answer.error), (None, None));
        }
    }

    #[test]
    fn every_version_has_a_request() {
        for probe in [Probe::v1("a".into()), Probe::v2c("a".into()), Probe::v3()] {
            assert!(probe.request(1).is_some());
            assert!(probe.answer(b"").is_none());
        }
    }

    #[test]
    fn a_request_that_comes_back_is_no_answer() {
        for probe in [Probe::v1("a".into()), Probe::v2c("a".into()), Probe::v3()] {
            let request = probe.request(7).unwrap();
            assert_eq!(probe.answer(&request), None, "{probe:?}");
        }
    }

    #[test]
    fn an_engine_is_known_by_a_report_with_its_identifier() {
        let report = |security: UsmSecurityParams| {
            let global = MsgGlobalData::new(
                7,
                65_507.try_into().unwrap(),
                MsgFlags::new(SecurityLevel::NoAuthNoPriv, false),
            );
            // usmStatsUnknownEngineIDs.
            let oid = Oid::new(&[1, 3, 6, 1, 6, 3, 15, 1, 1, 4, 0]);
            let count = VarBind::new(oid_to_library(&oid), async_snmp::Value::Counter32(1));
            let pdu = ResponsePdu::report(0, vec![count]).unwrap().into_raw();
            let pdu = ScopedPdu::with_empty_context(pdu);
            V3Message::new(global.unwrap(), security.encode().unwrap(), pdu)
                .unwrap()
                .encode()
                .unwrap()
        };
        let engine_id = &b"\x80\0\x1f\x88\x04a"[..];
        let known = UsmSecurityParams::new(engine_id, 1, 1, Bytes::new()).unwrap();
        let (id, answer) = Probe::v3().answer(&report(known)).unwrap();
        assert_eq!((id, answer.engine_id.as_deref()), (7, Some(engine_id)));
        let unknown = UsmSecurityParams::discovery();
        assert_eq!(Probe::v3().answer(&report(unknown)), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            for probe in [Probe::v1("a".into()), Probe::v2c("a".into()), Probe::v3()] {
                let _ = probe.answer(&bytes);
            }
        }
    }
}
