use std::io::Write;

use service::ExitError;

/// Writes text to standard output. A reader that has gone away is no error: `| head` is fine.
///
/// # Errors
/// When standard output cannot be written for another reason.
pub(crate) fn print(text: &str) -> Result<(), ExitError> {
    let mut output = std::io::stdout().lock();
    let written = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(ExitError::internal(error))
        }
        _ => Ok(()),
    }
}

/// Text with the characters that could control a terminal made visible, as a target's answer
/// may hold any.
pub(crate) fn harmless(text: &str) -> String {
    let shown = |c: char| {
        let is_control = c.is_control() && c != '\n' && c != '\t';
        if is_control {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\r\n\tc"), "a\\u{1b}[2Jb\\r\n\tc");
    }
}
