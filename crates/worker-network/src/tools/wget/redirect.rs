//! Which responses are redirects, and how errors tell of them.

use hyper::StatusCode;
use protocol::{ErrorCode, ToolError};

use super::output::Redirect;
use super::target::Target;

/// Statuses that send a GET elsewhere (RFC 9110 section 15.4).
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The error for a redirect that is not followed any more.
pub(super) fn too_many(
    target: &Target,
    next: &Target,
    max_redirect: usize,
    seen: bool,
    redirects: &[Redirect],
) -> ToolError {
    let (what, hint) = if seen {
        (
            "a redirect loop".to_owned(),
            "set \"max_redirect\" to 0 to get the first redirect itself",
        )
    } else {
        (
            format!("more than {max_redirect} redirects"),
            "raise \"max_redirect\" (at most 10), or ask for the last address directly",
        )
    };
    ToolError::new(
        ErrorCode::BadResponse,
        format!(
            "{what}: {} leads to {}{}",
            target.url,
            next.url,
            path(redirects)
        ),
    )
    .hint(hint)
}

/// Adds to an error which redirects led to it.
pub(super) fn on_the_way(mut error: ToolError, redirects: &[Redirect]) -> ToolError {
    error.message.push_str(&path(redirects));
    error
}

/// The redirects so far, to go at the end of a message.
pub(super) fn path(redirects: &[Redirect]) -> String {
    let hops: Vec<String> = redirects
        .iter()
        .map(|redirect| {
            format!(
                "{} from {} to {}",
                redirect.status, redirect.url, redirect.location
            )
        })
        .collect();
    match hops.as_slice() {
        [] => String::new(),
        hops => format!("; redirects before: {}", hops.join(", ")),
    }
}
