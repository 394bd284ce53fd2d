/// What a token is for; one made for another purpose is never opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The identifier of a session.
    Session,
    /// The state of a request that waits for its client's input.
    RequestState,
    /// The identifier of an SNMP session.
    SnmpSession,
}

impl Purpose {
    /// What is authenticated with the token. It never changes, or tokens that are out there are
    /// lost, and it has no byte 0, which ends it.
    pub(crate) fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"session",
            Self::RequestState => b"request-state",
            Self::SnmpSession => b"snmp-session",
        }
    }
}
