//! The arguments by which a caller says which agent, and how to speak with it.

use std::num::NonZeroU16;
use std::time::Duration;

use protocol::ToolError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use worker::Host;

use crate::client::{
    Access, AuthProtocol, Credentials, PrivProtocol, Secret, Timing, Usm, Version,
};

/// Which agent, and how to speak with it; flattened into the arguments of tools.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionOptions {
    /// Host that the agent runs on. Of a name with several addresses the first that answers is
    /// used.
    pub(crate) host: Host,
    /// How to speak with it.
    #[serde(flatten)]
    pub(crate) access: AccessOptions,
}

/// How to speak with an agent; flattened into the arguments of tools.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccessOptions {
    /// UDP port of the agent.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) port: NonZeroU16,
    /// Version of the protocol; 3 needs `user`.
    #[serde(default)]
    pub(crate) version: Version,
    /// Community of version 1 or 2c. Without it `public`.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(min = 1, max = 255), extend("writeOnly" = true))]
    pub(crate) community: Option<Secret>,
    /// Milliseconds to wait for one answer.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 50, max = 60000))]
    pub(crate) timeout: u64,
    /// How often a request is sent again when it is not answered.
    #[serde(default = "default_retries")]
    #[schemars(range(min = 0, max = 10))]
    pub(crate) retries: u32,
    /// User of version 3.
    #[serde(default)]
    #[schemars(length(min = 1, max = 32))]
    pub(crate) user: Option<String>,
    /// Context of version 3 to read from; mostly empty.
    #[serde(default)]
    #[schemars(length(max = 255))]
    pub(crate) context_name: Option<String>,
    /// How version 3 authenticates; needs `authKey`.
    #[serde(default)]
    pub(crate) auth_protocol: Option<AuthProtocol>,
    /// Password of `authProtocol`.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(min = 8, max = 255), extend("writeOnly" = true))]
    pub(crate) auth_key: Option<Secret>,
    /// How version 3 encrypts; needs `privKey` and `authKey`. aes192c and aes256c extend keys as
    /// Cisco does, the others as net-snmp does.
    #[serde(default)]
    pub(crate) priv_protocol: Option<PrivProtocol>,
    /// Password of `privProtocol`.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(min = 8, max = 255), extend("writeOnly" = true))]
    pub(crate) priv_key: Option<Secret>,
}

/// What stands in a sealed session: all of [`SessionOptions`], checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: NonZeroU16,
    pub(crate) credentials: Credentials,
    pub(crate) timing: Timing,
}

impl AccessOptions {
    /// Credentials and patience.
    ///
    /// # Errors
    /// `invalid_arguments` for options that do not go together, naming them.
    pub(crate) fn access(&self) -> Result<Access, ToolError> {
        Ok(Access::new(self.credentials()?, self.timing()))
    }

    fn timing(&self) -> Timing {
        Timing {
            timeout: Duration::from_millis(self.timeout),
            retries: self.retries,
        }
    }

    fn credentials(&self) -> Result<Credentials, ToolError> {
        let community = || {
            self.community
                .clone()
                .unwrap_or_else(|| Secret::from("public"))
        };
        match self.version {
            Version::V3 => Ok(Credentials::V3(Box::new(self.usm()?))),
            version => {
                self.refuse_v3_options()?;
                Ok(match version {
                    Version::V1 => Credentials::V1(community()),
                    _ => Credentials::V2c(community()),
                })
            }
        }
    }

    fn refuse_v3_options(&self) -> Result<(), ToolError> {
        let given = [
            ("user", self.user.is_some()),
            ("contextName", self.context_name.is_some()),
            ("authProtocol", self.auth_protocol.is_some()),
            ("authKey", self.auth_key.is_some()),
            ("privProtocol", self.priv_protocol.is_some()),
            ("privKey", self.priv_key.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((name, _)) => Err(ToolError::invalid(format!(
                "argument {name} is for version \"3\" only, and the version is {}",
                self.version
            ))
            .hint("set version to \"3\", or leave the arguments of users out")),
        }
    }

    fn usm(&self) -> Result<Usm, ToolError> {
        if self.community.is_some() {
            let error = "argument community is for versions \"1\" and \"2c\"; version 3 has users";
            return Err(ToolError::invalid(error).hint("give user, and leave community out"));
        }
        let user = self
            .user
            .clone()
            .ok_or_else(|| ToolError::invalid("argument user is missing; version 3 needs it"))?;
        let auth = pair(
            "authProtocol",
            self.auth_protocol,
            "authKey",
            self.auth_key.as_ref(),
        )?;
        let privacy = pair(
            "privProtocol",
            self.priv_protocol,
            "privKey",
            self.priv_key.as_ref(),
        )?;
        if privacy.is_some() && auth.is_none() {
            let error = "arguments privProtocol and privKey need authProtocol and authKey: SNMP v3 has no privacy without authentication";
            return Err(ToolError::invalid(error));
        }
        Ok(Usm {
            user,
            context: self.context_name.clone().unwrap_or_default(),
            auth,
            privacy,
        })
    }
}

impl SessionOptions {
    /// All that is needed to ask the agent, by whoever holds it.
    ///
    /// # Errors
    /// As of [`AccessOptions::access`].
    pub(crate) fn target(&self) -> Result<Target, ToolError> {
        Ok(Target {
            host: self.host.to_string(),
            port: self.access.port,
            credentials: self.access.credentials()?,
            timing: self.access.timing(),
        })
    }
}

/// Both of two options that need each other, or neither.
fn pair<P>(
    protocol_name: &str,
    protocol: Option<P>,
    key_name: &str,
    key: Option<&Secret>,
) -> Result<Option<(P, Secret)>, ToolError> {
    let missing = |given: &str, missing: &str| {
        ToolError::invalid(format!("argument {given} is given and {missing} is not"))
    };
    match (protocol, key) {
        (Some(protocol), Some(key)) => Ok(Some((protocol, key.clone()))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing(protocol_name, key_name)),
        (None, Some(_)) => Err(missing(key_name, protocol_name)),
    }
}

fn default_port() -> NonZeroU16 {
    NonZeroU16::MIN.saturating_add(160)
}

fn default_timeout() -> u64 {
    5000
}

fn default_retries() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(options: Value) -> SessionOptions {
        serde_json::from_value(options).unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_most_agents() {
        let options = read(json!({ "host": "10.0.0.1" }));
        let target = options.target().unwrap();
        assert_eq!(target.port.get(), 161);
        assert_eq!(target.credentials, Credentials::V2c("public".into()));
        assert_eq!(target.timing, Timing::default());
    }

    #[test]
    fn options_that_do_not_go_together_are_refused_by_name() {
        let check = |mut options: Value, words: &[&str]| {
            options["host"] = json!("10.0.0.1");
            let error = read(options).target().unwrap_err();
            for word in words {
                assert!(error.message.contains(word), "{error}");
            }
            for secret in ["s3cr3tkey", "s3cr3tpriv", "s3cr3tcomm"] {
                assert!(!error.to_string().contains(secret), "{error}");
            }
        };
        check(json!({ "user": "admin" }), &["user", "version"]);
        check(json!({ "version": "3" }), &["user"]);
        check(
            json!({ "version": "3", "user": "a", "community": "s3cr3tcomm" }),
            &["community"],
        );
        check(
            json!({ "version": "3", "user": "a", "authKey": "s3cr3tkey" }),
            &["authKey", "authProtocol is not"],
        );
        check(
            json!({ "version": "3", "user": "a", "authProtocol": "sha256" }),
            &["authProtocol", "authKey is not"],
        );
        check(
            json!({ "version": "3", "user": "a", "privProtocol": "aes", "privKey": "s3cr3tpriv" }),
            &["authKey", "authentication"],
        );
        check(
            json!({ "version": "1", "privKey": "s3cr3tpriv" }),
            &["privKey"],
        );
    }

    #[test]
    fn a_user_has_the_level_that_the_keys_say() {
        let auth = json!({ "host": "h", "version": "3", "user": "a", "authProtocol": "sha512",
            "authKey": "authentic" });
        let Credentials::V3(usm) = read(auth).target().unwrap().credentials else {
            panic!("not v3");
        };
        assert_eq!(usm.auth, Some((AuthProtocol::Sha512, "authentic".into())));
        assert_eq!(usm.privacy, None);
    }
}
