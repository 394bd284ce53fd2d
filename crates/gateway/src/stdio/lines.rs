use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Longest line, in bytes.
pub(super) const MAX_LINE: usize = 4 * 1024 * 1024;

/// One line of input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its end.
    Whole(Bytes),
    /// Longer than [`MAX_LINE`]; it was skipped to its end.
    TooLong,
}

/// Lines of bounded length.
#[derive(Debug)]
pub(super) struct Lines<I> {
    input: BufReader<I>,
    line: BytesMut,
    is_too_long: bool,
}

impl<I: AsyncRead + Unpin> Lines<I> {
    pub(super) fn new(input: I) -> Self {
        Self {
            input: BufReader::new(input),
            line: BytesMut::new(),
            is_too_long: false,
        }
    }

    /// The next line; `None` at the end of the input. Cancel safe.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let read = self.input.fill_buf().await?;
            if read.is_empty() {
                let has_rest = self.is_too_long || !self.line.is_empty();
                return Ok(has_rest.then(|| self.take()));
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let part = read.get(..end.unwrap_or(read.len())).unwrap_or(read);
            if self.is_too_long || self.line.len() + part.len() > MAX_LINE {
                self.is_too_long = true;
                self.line.clear();
            } else {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Line {
        if std::mem::take(&mut self.is_too_long) {
            return Line::TooLong;
        }
        Line::Whole(self.line.split().freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(input: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(input);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn lines_end_with_a_line_feed_or_with_the_input() {
        assert_eq!(
            read(b"a\n\nbc\r\nd").await,
            [whole("a"), whole(""), whole("bc\r"), whole("d")]
        );
        assert!(read(b"").await.is_empty());
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_read() {
        let mut input = vec![b'x'; MAX_LINE];
        input.extend_from_slice(b"\n");
        input.extend(vec![b'x'; MAX_LINE + 1]);
        input.extend_from_slice(b"\nnext\n");
        input.extend(vec![b'x'; MAX_LINE * 2]);
        let lines = read(&input).await;
        assert!(matches!(&lines[0], Line::Whole(line) if line.len() == MAX_LINE));
        assert_eq!(lines[1..], [Line::TooLong, whole("next"), Line::TooLong]);
    }
}
