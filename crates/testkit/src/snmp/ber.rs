//! As much of SNMP's encoding (RFC 3416, X.690) as the harness needs of its own.

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const GET: u8 = 0xa0;
const RESPONSE: u8 = 0xa2;
const GET_BULK: u8 = 0xa5;

/// SNMP v2c in a message.
const V2C: u8 = 1;

/// A question for `sysDescr.0`.
pub(super) fn get_sys_descr(community: &str) -> Vec<u8> {
    let oid = [0x06, 8, 0x2b, 6, 1, 2, 1, 1, 1, 0];
    let null = [0x05, 0];
    let variables = tlv(SEQUENCE, &tlv(SEQUENCE, &[&oid[..], &null].concat()));
    let numbers = [tlv(INTEGER, &[1]), integer(0), integer(0)].concat();
    message(community.as_bytes(), GET, &[numbers, variables].concat())
}

/// A GETBULK request of SNMP v2c, as far as the harness reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GetBulk<'a> {
    community: &'a [u8],
    /// The whole field, identifier and length included.
    request_id: &'a [u8],
    pub(super) max_repetitions: u32,
    /// The whole field, identifier and length included.
    variables: &'a [u8],
}

impl<'a> GetBulk<'a> {
    /// Reads a message; `None` for every other one.
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        let (sequence, _) = field(message, SEQUENCE)?;
        let (version, rest) = field(sequence.content, INTEGER)?;
        let (community, rest) = field(rest, OCTET_STRING)?;
        let (pdu, _) = field(rest, GET_BULK)?;
        let (request_id, rest) = field(pdu.content, INTEGER)?;
        let (_non_repeaters, rest) = field(rest, INTEGER)?;
        let (max_repetitions, rest) = field(rest, INTEGER)?;
        let (variables, _) = field(rest, SEQUENCE)?;
        (version.content == [V2C]).then_some(())?;
        let number = max_repetitions
            .content
            .iter()
            .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
        Some(Self {
            community: community.content,
            request_id: request_id.whole,
            max_repetitions: number,
            variables: variables.whole,
        })
    }

    /// The answer that nothing could be read, with an error status of RFC 3416.
    pub(super) fn refuse(&self, status: u8) -> Vec<u8> {
        let pdu = [
            self.request_id,
            &integer(status),
            &integer(0),
            self.variables,
        ];
        message(self.community, RESPONSE, &pdu.concat())
    }
}

fn message(community: &[u8], pdu: u8, content: &[u8]) -> Vec<u8> {
    let parts = [
        integer(V2C),
        tlv(OCTET_STRING, community),
        tlv(pdu, content),
    ];
    tlv(SEQUENCE, &parts.concat())
}

fn integer(number: u8) -> Vec<u8> {
    tlv(INTEGER, &[number])
}

fn tlv(identifier: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![identifier];
    match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => bytes.push(length),
        _ => {
            // A UDP datagram is shorter than 64 KiB, so two bytes hold every length.
            let [.., high, low] = content.len().to_be_bytes();
            bytes.extend([0x82, high, low]);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

struct Field<'a> {
    whole: &'a [u8],
    content: &'a [u8],
}

/// The first field, which must have this identifier, and what comes after it.
fn field(bytes: &[u8], identifier: u8) -> Option<(Field<'_>, &[u8])> {
    let (&found, after) = bytes.split_first()?;
    let (&first, after) = after.split_first()?;
    let (length, after) = if first < 0x80 {
        (usize::from(first), after)
    } else {
        let (length, after) = after.split_at_checked(usize::from(first & 0x7f))?;
        let number = length
            .iter()
            .fold(0_usize, |number, byte| (number << 8) | usize::from(*byte));
        (number, after)
    };
    let (content, rest) = after.split_at_checked(length)?;
    let whole = bytes.get(..bytes.len() - rest.len())?;
    (found == identifier).then_some((Field { whole, content }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get_bulk(max_repetitions: u8) -> Vec<u8> {
        let numbers = [
            tlv(INTEGER, &[1, 2, 3, 4]),
            integer(0),
            integer(max_repetitions),
        ];
        let content = [numbers.concat(), tlv(SEQUENCE, &[7; 200])].concat();
        message(b"public", GET_BULK, &content)
    }

    #[test]
    fn get_bulk_is_read_and_refused_with_its_own_id_and_variables() {
        let request = get_bulk(50);
        let read = GetBulk::read(&request).unwrap();
        assert_eq!(read.max_repetitions, 50);
        let numbers = [tlv(INTEGER, &[1, 2, 3, 4]), integer(5), integer(0)];
        let content = [numbers.concat(), tlv(SEQUENCE, &[7; 200])].concat();
        assert_eq!(read.refuse(5), message(b"public", RESPONSE, &content));
    }

    #[test]
    fn other_messages_are_none_of_its_business() {
        assert_eq!(GetBulk::read(&get_sys_descr("public")), None);
        assert_eq!(GetBulk::read(b""), None);
        let cut = get_bulk(50);
        assert_eq!(GetBulk::read(cut.get(..40).unwrap()), None);
    }
}
