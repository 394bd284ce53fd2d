//! How workers and gateways find each other: notifications on the control exchange.
//!
//! A worker announces its tools when it starts, when they change and when asked; between
//! that it sends only a digest, and a goodbye when it leaves.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::Category;

/// Method of an [`Announcement`].
pub const ANNOUNCE: &str = "opendiscovery/announce";
/// Method of a [`Digest`].
pub const DIGEST: &str = "opendiscovery/digest";
/// Method with which an [`Instance`] leaves.
pub const GOODBYE: &str = "opendiscovery/goodbye";
/// Method with which a gateway asks for announcements; no parameters.
pub const DISCOVER: &str = "opendiscovery/discover";

/// Method with which a worker tells its category of a [`Fault`].
pub const FAULT: &str = "opendiscovery/fault";

/// Method of a message of type `started`, with which an [`Asking`] instance asks a caller for
/// the grant of a call that must not run twice.
pub const STARTED: &str = "opendiscovery/started";
/// Method of a [`Grant`], the caller's word on that.
pub const GRANT: &str = "opendiscovery/grant";
/// Method of a message of type `withdrawn`, with which an [`Asking`] instance says that it will
/// never run the call, granted or not.
pub const WITHDRAWN: &str = "opendiscovery/withdrawn";

/// Method with which a worker tells the others of its category that it is about to run a call
/// with a key of its caller.
pub const ANSWERS_CLAIM: &str = "opendiscovery/answers/claim";
/// Method with which it tells that it will not, or that there is no answer to keep.
pub const ANSWERS_RELEASE: &str = "opendiscovery/answers/release";
/// Method with which it tells the answer.
pub const ANSWERS_KEEP: &str = "opendiscovery/answers/keep";
/// Method with which a worker sees how far it has heard the others; sent to itself.
pub const ANSWERS_MARK: &str = "opendiscovery/answers/mark";

/// Method with which a worker that begins to listen greets the others of its category; each of
/// them tells what it has claimed.
pub const ANSWERS_HELLO: &str = "opendiscovery/answers/hello";
/// Method with which it ends that.
pub const ANSWERS_HERE: &str = "opendiscovery/answers/here";
/// Method with which one of those is asked for all answers.
pub const ANSWERS_TELL: &str = "opendiscovery/answers/tell";
/// Method with which it ends those.
pub const ANSWERS_TOLD: &str = "opendiscovery/answers/told";

/// Which worker process speaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Instance {
    /// Unique per process start.
    pub instance: String,
    /// What it provides.
    pub category: Category,
}

/// Everything a gateway needs to know of a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Announcement {
    /// Who speaks.
    #[serde(flatten)]
    pub instance: Instance,
    /// Semantic version of the worker.
    pub version: String,
    /// Site it speaks for.
    pub site: String,
    /// Calls it runs at once.
    pub capacity: u32,
    /// Values of `content-encoding` that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encodings: Vec<String>,
    /// See [`digest_of`].
    pub digest: String,
    /// Tool descriptors as the worker wrote them.
    pub tools: Vec<Box<RawValue>>,
    /// Descriptors of resources, in the shape of MCP's `Resource`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Box<RawValue>>,
    /// Descriptors of resource templates, in the shape of MCP's `ResourceTemplate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_templates: Vec<Box<RawValue>>,
    /// Descriptors of prompts, in the shape of MCP's `Prompt`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<Box<RawValue>>,
}

impl Announcement {
    /// The digest of what is announced; see [`digest_of`].
    #[must_use]
    pub fn digest(&self) -> String {
        digest_of(
            &self.version,
            [
                &self.tools,
                &self.resources,
                &self.resource_templates,
                &self.prompts,
            ],
        )
    }
}

/// Sent every few seconds in place of the whole announcement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Who speaks.
    #[serde(flatten)]
    pub instance: Instance,
    /// The digest of its last announcement.
    pub digest: String,
    /// When the newest request that it has ever taken was made, in milliseconds since the Unix
    /// epoch: queues are first in, first out, so what still waits is newer. Absent before the
    /// first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_up_to: Option<u64>,
}

/// Parameters of [`STARTED`] and [`WITHDRAWN`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// The instance that has the call.
    pub instance: String,
}

/// A caller's word on a call that must not run twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// The call's correlation id.
    pub request_id: String,
    /// Whether the instance that asked may run it; otherwise it forgets the call.
    pub granted: bool,
}

/// A cancel on `{prefix}.cancel.{category}`, as parameters of `notifications/cancelled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cancel {
    /// The call's correlation id.
    pub request_id: String,
    /// For the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a worker gave a call back to the queue, on `{prefix}.faults.{category}`.
///
/// A queue cannot write on a message that goes back, so workers tell each other, for the
/// letter that the call may become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Property `message-id` of the call.
    pub message_id: String,
    /// Which hand-out of the call it was, from 1.
    pub attempt: u32,
    /// The worker that gave it back.
    pub instance: String,
    /// Why.
    pub error: String,
}

/// SHA-256 in hexadecimal over a worker's version and its descriptors in their order: tools,
/// resources, resource templates, prompts.
#[must_use]
pub fn digest_of(version: &str, lists: [&[Box<RawValue>]; 4]) -> String {
    let mut hash = Sha256::new();
    hash.update(version.as_bytes());
    for list in lists {
        // No JSON text holds these bytes, so that no two lists can be mistaken.
        hash.update([1]);
        for descriptor in list {
            hash.update([0]);
            hash.update(descriptor.get().as_bytes());
        }
    }
    hash.finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
