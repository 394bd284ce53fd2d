//! Where an answer sends its reader on.

use super::fields::Fields;
use super::query::{Kind, Query};
use crate::tools::server::Server;

/// Another server that knows more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Referral {
    /// As the answer names it.
    pub(super) named: String,
    /// What can be asked, if the text names a whois server at all.
    pub(super) server: Option<Server>,
    /// Whether the answer with the referral is not itself about the subject, but about the
    /// block or the top-level domain that it lies in.
    pub(super) delegates: bool,
}

/// The referral of an answer, if it has one.
pub(super) fn find(fields: Fields<'_>, query: &Query) -> Option<Referral> {
    // IANA, then the regional registries among themselves. The last one is the closest.
    let delegation = fields
        .all(&["refer", "referralserver"])
        .last()
        .or_else(|| fields.all(&["whois"]).next());
    if let Some(value) = delegation
        && !query.is_top_level()
    {
        return Some(referral(value, true));
    }
    if query.kind() != Kind::Domain || query.is_top_level() {
        return None;
    }
    let registrar = fields.first(&["registrar whois server", "whois server"])?;
    Some(referral(&registrar, false))
}

fn referral(value: &str, delegates: bool) -> Referral {
    let named: String = value.chars().take(300).collect();
    let bare = value.strip_prefix("whois://").unwrap_or(value);
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    Referral {
        named,
        server: bare.parse().ok(),
        delegates,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields;
    use super::*;

    fn check(query: &str, text: &str, expected: Option<(&str, Option<&str>, bool)>) {
        let fields = fields::read(text);
        let found = find(Fields::new(&fields), &query.parse().unwrap());
        let found = found.as_ref().map(|referral| {
            let server = referral.server.as_ref().map(ToString::to_string);
            (referral.named.as_str(), server, referral.delegates)
        });
        let expected = expected
            .map(|(named, server, delegates)| (named, server.map(str::to_owned), delegates));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_registry_refers_to_the_next() {
        check(
            "a.example",
            "refer:        whois.nic.example\n\ndomain:       EXAMPLE\n",
            Some(("whois.nic.example", Some("whois.nic.example"), true)),
        );
        check(
            "192.0.2.1",
            "ReferralServer:  whois://whois.ripe.net:43\n",
            Some(("whois://whois.ripe.net:43", Some("whois.ripe.net:43"), true)),
        );
        check(
            "a.example",
            "Registrar WHOIS Server: whois.registrar.example/\n",
            Some((
                "whois.registrar.example/",
                Some("whois.registrar.example"),
                false,
            )),
        );
    }

    #[test]
    fn what_is_no_whois_server_is_named_but_not_asked() {
        check(
            "192.0.2.1",
            "ReferralServer: rwhois://rwhois.example:4321\n",
            Some(("rwhois://rwhois.example:4321", None, true)),
        );
        check(
            "a.example",
            "Registrar WHOIS Server: https://r.example/whois\n",
            Some(("https://r.example/whois", None, false)),
        );
    }

    #[test]
    fn the_root_itself_answers_for_a_top_level_domain() {
        check(
            "example",
            "refer: whois.nic.example\nwhois: whois.nic.example\n",
            None,
        );
    }

    #[test]
    fn an_empty_referral_is_none() {
        check("a.example", "Registrar WHOIS Server: \n\n", None);
    }
}
