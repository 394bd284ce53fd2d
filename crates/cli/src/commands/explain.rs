use protocol::ErrorCode;
use service::ExitError;

use crate::output::print;

/// Prints the page of an error code.
pub(super) fn run(code: &str) -> Result<(), ExitError> {
    if let Some(known) = ErrorCode::ALL.iter().find(|known| known.as_str() == code) {
        return print(known.page());
    }
    let known: Vec<&str> = ErrorCode::ALL.iter().map(|known| known.as_str()).collect();
    let hint = format!("known codes: {}", known.join(", "));
    Err(ExitError::usage(format!("there is no error code {code:?}")).hint(hint))
}
