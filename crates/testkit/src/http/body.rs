//! The framing of a response body: how much of the buffer is body, and where it ends.

use anyhow::{Result, bail};

/// What is still to come of a body (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(usize),
    /// A chunk head comes next.
    ChunkHead,
    /// So many bytes of a chunk, then its line end.
    Chunk(usize),
    /// Everything until the server closes.
    UntilClose,
    /// Nothing.
    Done,
}

impl Framing {
    /// From the status and the header fields, names in lower case.
    pub(super) fn of(status: u16, headers: &[(String, String)]) -> Result<Self> {
        let header = |wanted: &str| {
            headers
                .iter()
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value)
        };
        if status == 204 || status == 304 || status < 200 {
            return Ok(Self::Done);
        }
        if header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            return Ok(Self::ChunkHead);
        }
        match header("content-length") {
            Some(length) => Ok(Self::length(length.parse()?)),
            None => Ok(Self::UntilClose),
        }
    }

    fn length(length: usize) -> Self {
        if length == 0 {
            Self::Done
        } else {
            Self::Length(length)
        }
    }

    /// Takes what is body from the front of `raw` to the end of `body`.
    ///
    /// Gives the framing of what follows; it is unchanged when `raw` holds too little to go on.
    pub(super) fn take(self, raw: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<Self> {
        match self {
            Self::Length(left) => {
                let n = left.min(raw.len());
                body.extend(raw.drain(..n));
                Ok(Self::length(left - n))
            }
            Self::UntilClose => {
                body.append(raw);
                Ok(Self::UntilClose)
            }
            Self::Chunk(left) if left > 0 => {
                let n = left.min(raw.len());
                body.extend(raw.drain(..n));
                Ok(Self::Chunk(left - n))
            }
            Self::Chunk(_) if raw.starts_with(b"\r\n") => {
                raw.drain(..2);
                Ok(Self::ChunkHead)
            }
            Self::ChunkHead => take_chunk_head(raw),
            Self::Chunk(_) | Self::Done => Ok(self),
        }
    }
}

fn take_chunk_head(raw: &mut Vec<u8>) -> Result<Framing> {
    match httparse::parse_chunk_size(raw) {
        // The last chunk; trailers are not read, the line end after them is.
        Ok(httparse::Status::Complete((head, 0))) => {
            let Some(end) = raw.get(head..).and_then(|rest| rest.strip_prefix(b"\r\n")) else {
                return Ok(Framing::ChunkHead);
            };
            *raw = end.to_vec();
            Ok(Framing::Done)
        }
        Ok(httparse::Status::Complete((head, size))) => {
            raw.drain(..head);
            Ok(Framing::Chunk(usize::try_from(size)?))
        }
        Ok(httparse::Status::Partial) => Ok(Framing::ChunkHead),
        Err(_) => bail!("invalid chunk size in {:?}", String::from_utf8_lossy(raw)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mut framing: Framing, input: &[u8], body: &[u8], rest: &[u8]) {
        let (mut raw, mut taken) = (Vec::new(), Vec::new());
        for byte in input {
            raw.push(*byte);
            loop {
                let before = (framing, raw.len());
                framing = framing.take(&mut raw, &mut taken).unwrap();
                if before == (framing, raw.len()) {
                    break;
                }
            }
        }
        assert_eq!((taken.as_slice(), raw.as_slice()), (body, rest));
        assert_eq!(framing, Framing::Done);
    }

    #[test]
    fn body_of_known_length_ends_there() {
        check(Framing::Length(3), b"abcHTTP", b"abc", b"HTTP");
    }

    #[test]
    fn chunks_are_joined_however_they_arrive() {
        check(
            Framing::ChunkHead,
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nHTTP",
            b"abcde",
            b"HTTP",
        );
    }
}
