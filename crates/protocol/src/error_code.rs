use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($( $(#[$doc:meta])* $variant:ident = $code:literal, retryable: $retryable:literal; )*) => {
        /// The stable codes of tool errors.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum ErrorCode {
            $( $(#[$doc])* $variant, )*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$( Self::$variant, )*];

            /// The code as it stands on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $code, )* }
            }

            /// Whether the same call may succeed later.
            #[must_use]
            pub fn is_retryable(self) -> bool {
                match self { $( Self::$variant => $retryable, )* }
            }

            /// The page that explains the code: cause, then what to do.
            #[must_use]
            pub fn page(self) -> &'static str {
                match self { $( Self::$variant => include_str!(concat!("errors/", $code, ".md")), )* }
            }
        }
    };
}

error_codes! {
    /// An argument is missing, unknown, of the wrong type or out of range.
    InvalidArguments = "invalid_arguments", retryable: false;
    /// The target lies outside the scan scope.
    OutOfScope = "out_of_scope", retryable: false;
    /// The name does not resolve to an address.
    NameNotResolved = "name_not_resolved", retryable: true;
    /// No route to the target, or it does not answer at all.
    Unreachable = "unreachable", retryable: true;
    /// The target refused the connection.
    ConnectionRefused = "connection_refused", retryable: true;
    /// The TLS handshake or the certificate check failed.
    TlsFailed = "tls_failed", retryable: false;
    /// The target refuses the credentials.
    AuthenticationFailed = "authentication_failed", retryable: false;
    /// The target answered against its protocol.
    BadResponse = "bad_response", retryable: true;
    /// The deadline passed before the tool was done.
    DeadlineExceeded = "deadline_exceeded", retryable: true;
    /// The caller cancelled the call.
    Cancelled = "cancelled", retryable: false;
    /// The worker lacks a privilege.
    PermissionDenied = "permission_denied", retryable: false;
    /// The thing asked for does not exist.
    NotFound = "not_found", retryable: false;
    /// This worker or host cannot do it.
    Unsupported = "unsupported", retryable: false;
    /// A fault of the platform.
    Internal = "internal", retryable: true;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_as_it_is_read() {
        for code in ErrorCode::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("{:?}", code.as_str()));
            assert!(code.page().starts_with(&format!("# {code}\n")), "{code}");
        }
    }
}
