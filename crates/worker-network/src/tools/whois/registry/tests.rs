use super::super::fields::{self, Fields};
use super::numbers::prefixes;
use super::*;

fn domain(text: &str) -> Option<Domain> {
    Domain::read(Fields::new(&fields::read(text)))
}

fn network(text: &str) -> Network {
    Network::read(Fields::new(&fields::read(text)), text).unwrap()
}

#[test]
fn a_generic_registry_is_understood() {
    let domain = domain(
        "   Domain Name: EXAMPLE.TEST\r\n   Registrar: Registrar Ltd.\n   Updated Date: 2024-08-14T07:01:34Z\n   \
         Creation Date: 1995-08-14T04:00:00Z\n   Registry Expiry Date: 2030-08-13T04:00:00Z\n   \
         Domain Status: clientDeleteProhibited https://icann.org/epp#clientDeleteProhibited\n   \
         Domain Status: clientDeleteProhibited https://icann.org/epp#clientDeleteProhibited\n   \
         Name Server: A.NS.EXAMPLE\n   Name Server: B.NS.EXAMPLE.\n   DNSSEC: signedDelegation\n   \
         Registrar Abuse Contact Email: abuse@registrar.example\n>>> Last update of whois database <<<\n\
         NOTICE: The expiration date displayed in this record\n",
    )
    .unwrap();
    assert_eq!(domain.name.as_deref(), Some("EXAMPLE.TEST"));
    assert_eq!(domain.registrar.as_deref(), Some("Registrar Ltd."));
    assert_eq!(domain.created.as_deref(), Some("1995-08-14T04:00:00Z"));
    assert_eq!(domain.updated.as_deref(), Some("2024-08-14T07:01:34Z"));
    assert_eq!(domain.expires.as_deref(), Some("2030-08-13T04:00:00Z"));
    assert_eq!(domain.name_servers, ["a.ns.example", "b.ns.example"]);
    assert_eq!(domain.status, ["clientDeleteProhibited"]);
    assert_eq!(domain.dnssec.as_deref(), Some("signedDelegation"));
    assert_eq!(
        domain.abuse_contact.as_deref(),
        Some("abuse@registrar.example")
    );
}

#[test]
fn a_registry_that_answers_in_blocks_is_understood() {
    let domain = domain(
        "\n    Domain name:\n        example.test\n\n    Registrar:\n        Registrar Ltd [Tag = R]\n        \
         URL: https://registrar.example\n\n    Relevant dates:\n        Registered on: 14-Feb-1999\n        \
         Expiry date:  14-Feb-2027\n        Last updated:  13-Jan-2026\n\n    Registration status:\n        \
         Registered until expiry date.\n\n    Name servers:\n        ns1.example.test  192.0.2.1 2001:db8::1\n        \
         ns2.example.test\n",
    )
    .unwrap();
    assert_eq!(domain.name.as_deref(), Some("example.test"));
    assert_eq!(domain.registrar.as_deref(), Some("Registrar Ltd [Tag = R]"));
    assert_eq!(domain.created.as_deref(), Some("14-Feb-1999"));
    assert_eq!(domain.expires.as_deref(), Some("14-Feb-2027"));
    assert_eq!(domain.updated.as_deref(), Some("13-Jan-2026"));
    assert_eq!(domain.status, ["Registered until expiry date."]);
    assert_eq!(
        domain.name_servers,
        ["ns1.example.test", "ns2.example.test"]
    );
}

#[test]
fn an_answer_about_another_domain_is_told_apart() {
    let check = |text: &str, domain: &str, expected: bool| {
        let fields = fields::read(text);
        assert_eq!(speaks_of(Fields::new(&fields), domain), expected, "{text}");
    };
    check("Domain Name: EXAMPLE.TEST\n", "example.test", true);
    check("domain: example.test.\n", "example.test", true);
    check("domain: bücher.test\n", "xn--bcher-kva.test", true);
    check("Registrar: R\n", "example.test", true);
    check("domain: TEST\n", "example.test", false);
    check("domain: \u{0}\n", "example.test", false);
}

#[test]
fn prose_is_no_registration() {
    assert_eq!(
        domain("No match for \"EXAMPLE.TEST\".\nTERMS OF USE: none\n"),
        None
    );
    assert_eq!(domain(""), None);
}

#[test]
fn a_registrar_completes_what_the_registry_leaves_out() {
    let mut registry =
        domain("Registrar: R\nCreation Date: 1999\nName Server: a.example\n").unwrap();
    let registrar = domain(
        "Registrar: Another\nCreation Date: 2000\nRegistrant Organization: Org\n\
         Registrant Country: NL\nName Server: b.example\n",
    );
    registry.complete(registrar.unwrap());
    assert_eq!(registry.registrar.as_deref(), Some("R"));
    assert_eq!(registry.created.as_deref(), Some("1999"));
    assert_eq!(registry.organization.as_deref(), Some("Org"));
    assert_eq!(registry.country.as_deref(), Some("NL"));
    assert_eq!(registry.name_servers, ["a.example"]);
}

#[test]
fn an_address_block_of_ripe_is_understood() {
    let network = network(
        "% Information related to '192.0.2.0 - 192.0.2.255'\n\n\
         % Abuse contact for '192.0.2.0 - 192.0.2.255' is 'abuse@isp.example'\n\n\
         inetnum:        192.0.2.0 - 192.0.2.255\nnetname:        EXAMPLE-NET\ncountry:        NL\n\
         org:            ORG-EX1-RIPE\nstatus:         ASSIGNED PA\ncreated:        2003-03-17T12:15:57Z\n\
         last-modified:  2017-12-04T14:42:31Z\n\norganisation:   ORG-EX1-RIPE\n\
         org-name:       Example ISP\ncountry:        DE\n",
    );
    assert_eq!(network.range.as_deref(), Some("192.0.2.0 - 192.0.2.255"));
    assert_eq!(network.cidr, ["192.0.2.0/24".parse().unwrap()]);
    assert_eq!(network.name.as_deref(), Some("EXAMPLE-NET"));
    assert_eq!(network.country.as_deref(), Some("NL"));
    assert_eq!(network.organization.as_deref(), Some("Example ISP"));
    assert_eq!(network.status.as_deref(), Some("ASSIGNED PA"));
    assert_eq!(network.abuse_contact.as_deref(), Some("abuse@isp.example"));
}

#[test]
fn the_smallest_of_several_blocks_counts() {
    let network = network(
        "NetRange:       198.51.0.0 - 198.51.255.255\nCIDR:           198.51.0.0/16\nNetName:        BIG\n\
         OrgName:        Big ISP\nCountry:        US\n\n\
         NetRange:       198.51.100.0 - 198.51.100.255\nNetName:        SMALL\nOrganization:   Small Shop (SS-1)\n\
         RegDate:        2010-01-02\nOrgName:        Small Shop\nCountry:        CA\nOrgAbuseEmail:  abuse@small.example\n",
    );
    assert_eq!(network.name.as_deref(), Some("SMALL"));
    assert_eq!(network.organization.as_deref(), Some("Small Shop"));
    assert_eq!(network.country.as_deref(), Some("CA"));
    assert_eq!(network.created.as_deref(), Some("2010-01-02"));
    assert_eq!(
        network.abuse_contact.as_deref(),
        Some("abuse@small.example")
    );
}

#[test]
fn a_range_is_shown_as_prefixes() {
    let check = |range: &str, expected: &[&str]| {
        let shown: Vec<String> = prefixes(range).iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected, "{range}");
    };
    check(
        "192.0.2.0 - 192.0.2.191",
        &["192.0.2.0/25", "192.0.2.128/26"],
    );
    check(
        "192.0.2.0/25, 192.0.2.128/26",
        &["192.0.2.0/25", "192.0.2.128/26"],
    );
    check("2001:db8::/32", &["2001:db8::/32"]);
    check("192.0.2.9 - 192.0.2.1", &[]);
    check("200.160/20", &[]);
    check("", &[]);
}

#[test]
fn an_autonomous_system_is_understood() {
    let text = "aut-num:        AS64496\nas-name:        EXAMPLE-AS\norg-name:       Example ISP\ncreated:        2002\n";
    let system = AutonomousSystem::read(Fields::new(&fields::read(text)), text).unwrap();
    assert_eq!(system.number.as_deref(), Some("AS64496"));
    assert_eq!(system.name.as_deref(), Some("EXAMPLE-AS"));
    assert_eq!(system.organization.as_deref(), Some("Example ISP"));
}

#[test]
fn registries_say_in_their_own_words_that_there_is_nothing() {
    for text in [
        "No match for domain \"X\".",
        "% No entries found for query \"x\"",
        "Domain not found.",
        "Status: free",
        "Status:   AVAILABLE",
        "%ERROR:101: no entries found",
        "The queried object does not exist: x",
    ] {
        assert!(says_absent(text), "{text}");
    }
    assert!(!says_absent("Domain Name: X\nStatus: active\n"));
}
