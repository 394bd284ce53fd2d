use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use proptest::prelude::*;

use super::*;

fn scope(allow: &[&str], deny: &[&str]) -> Scope {
    let owned = |items: &[&str]| {
        items
            .iter()
            .map(|&item| item.to_owned())
            .collect::<Vec<_>>()
    };
    Scope::new(&owned(allow), &owned(deny)).unwrap()
}

fn allows(scope: &Scope, address: &str) -> bool {
    scope.check(address.parse().unwrap()).is_ok()
}

#[test]
fn by_default_loopback_and_private_networks_are_allowed() {
    let scope = Scope::default();
    for address in [
        "127.0.0.1",
        "127.255.255.254",
        "::1",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.1.1",
        "fd12::1",
        "fe80::1",
        "::ffff:10.0.0.1",
    ] {
        assert!(allows(&scope, address), "{address}");
    }
}

#[test]
fn by_default_everything_else_is_refused() {
    let scope = Scope::default();
    for address in [
        "8.8.8.8",
        "172.32.0.1",
        "192.169.0.1",
        "169.254.1.1",
        "100.64.0.1",
        "2001:db8::1",
        "fec0::1",
        "::ffff:8.8.8.8",
        "::8.8.8.8",
        "::10.0.0.1",
        "2002:a00:1::1",
        "64:ff9b::10.0.0.1",
    ] {
        assert!(!allows(&scope, address), "{address}");
    }
}

#[test]
fn metadata_services_need_their_exact_address() {
    let all = scope(&["0.0.0.0/0", "::/0"], &[]);
    for address in [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "2002:a9fe:a9fe::1",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
    ] {
        assert!(!allows(&all, address), "{address}");
        assert!(!allows(&Scope::default(), address), "{address}");
    }
    let exact = scope(&["169.254.169.254", "fd00:ec2::254/128"], &[]);
    assert!(allows(&exact, "169.254.169.254"));
    assert!(allows(&exact, "::ffff:169.254.169.254"));
    assert!(allows(&exact, "fd00:ec2::254"));
    let named = scope(&["metadata.example"], &[]);
    let addresses = vec!["169.254.169.254".parse().unwrap()];
    assert!(named.admit("metadata.example", addresses).is_err());
}

#[test]
fn what_is_no_single_host_is_never_allowed() {
    let all = scope(
        &[
            "0.0.0.0/0",
            "::/0",
            "255.255.255.255",
            "224.0.0.1",
            "0.0.0.0",
            "::",
        ],
        &[],
    );
    for address in [
        "224.0.0.1",
        "239.255.255.250",
        "255.255.255.255",
        "0.0.0.0",
        "::",
        "ff02::1",
        "::ffff:224.0.0.1",
        "::ffff:0.0.0.0",
        "64:ff9b::255.255.255.255",
    ] {
        assert!(!allows(&all, address), "{address}");
    }
}

#[test]
fn a_refusal_names_the_address_and_the_setting() {
    let error = Scope::default()
        .check("8.8.8.8".parse().unwrap())
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::OutOfScope);
    let text = error.to_string();
    assert!(text.contains("8.8.8.8") && text.contains(ALLOW), "{text}");

    let denied = scope(&[], &["10.0.0.0/24"]);
    let text = denied
        .check("10.0.0.7".parse().unwrap())
        .unwrap_err()
        .to_string();
    for part in ["10.0.0.7", "10.0.0.0/24", DENY] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_allow_list_replaces_the_default() {
    let scope = scope(&["192.0.2.0/24"], &[]);
    assert!(allows(&scope, "192.0.2.9"));
    assert!(!allows(&scope, "127.0.0.1"));
}

#[test]
fn an_allowed_name_admits_its_addresses() {
    let scope = scope(
        &["Server.example.com", "*.lab.example"],
        &["198.51.100.0/24"],
    );
    let public: IpAddr = "192.0.2.1".parse().unwrap();
    let denied: IpAddr = "198.51.100.1".parse().unwrap();
    for name in ["server.example.com", "a.lab.example", "a.B.LAB.example"] {
        assert_eq!(scope.admit(name, vec![public]).unwrap(), [public], "{name}");
        assert_eq!(
            scope.admit(name, vec![denied, public]).unwrap(),
            [public],
            "{name}"
        );
        assert!(scope.admit(name, vec![denied]).is_err(), "{name}");
    }
    for name in ["other.example.com", "lab.example", "xlab.example"] {
        assert!(scope.admit(name, vec![public]).is_err(), "{name}");
    }
    assert!(scope.check(public).is_err());
}

#[test]
fn a_denied_name_is_refused_whatever_its_addresses() {
    let scope = scope(&[], &["secret.example.com", "*.vault.example"]);
    let private = vec!["10.0.0.1".parse().unwrap()];
    for name in ["Secret.example.com", "a.vault.example"] {
        assert!(scope.admit(name, private.clone()).is_err(), "{name}");
    }
    assert!(scope.admit("vault.example", private).is_ok());
}

#[test]
fn addresses_out_of_scope_are_left_out() {
    let scope = Scope::default();
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let mixed = vec![
        address("8.8.8.8"),
        address("::ffff:10.0.0.1"),
        address("10.0.0.1"),
        address("::1"),
    ];
    let admitted = scope.admit("mixed.example", mixed).unwrap();
    assert_eq!(admitted, [address("10.0.0.1"), address("::1")]);
    let error = scope.admit("none.example", Vec::new()).unwrap_err();
    assert_eq!(error.code, ErrorCode::NameNotResolved);
}

#[tokio::test]
async fn a_name_is_resolved_and_checked() {
    let localhost: Host = "localhost".parse().unwrap();
    let addresses = Scope::default().resolve(&localhost).await.unwrap();
    assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");

    let elsewhere = scope(&["192.0.2.0/24"], &[]);
    let error = elsewhere.resolve(&localhost).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OutOfScope);

    let denied = scope(&[], &["localhost"]);
    let error = denied.resolve(&localhost).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OutOfScope);
}

#[tokio::test]
async fn a_mapped_address_is_used_as_the_ipv4_address_it_is() {
    let host: Host = "::ffff:127.0.0.1".parse().unwrap();
    let addresses = Scope::default().resolve(&host).await.unwrap();
    assert_eq!(addresses, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
}

#[test]
fn an_item_that_is_no_target_is_refused_with_its_setting() {
    for item in [
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.1",
        "*",
        "*.",
        "a b",
        "-x",
        "[::1]",
        "",
    ] {
        let list = [item.to_owned()];
        let error = Scope::new(&list, &[]).unwrap_err();
        assert_eq!((error.setting, error.item.as_str()), (ALLOW, item));
        assert_eq!(Scope::new(&[], &list).unwrap_err().setting, DENY);
    }
}

fn mapped(address: Ipv4Addr) -> IpAddr {
    address.to_ipv6_mapped().into()
}

fn networks() -> impl Strategy<Value = Vec<String>> {
    let v4 = (any::<u32>(), 0u8..=32)
        .prop_map(|(bits, length)| Ipv4Net::new(Ipv4Addr::from(bits), length).unwrap().trunc());
    let v6 = (any::<u128>(), 0u8..=128).prop_map(|(bits, length)| {
        IpNet::new(Ipv6Addr::from(bits).into(), length)
            .unwrap()
            .trunc()
    });
    let item = prop_oneof![
        v4.prop_map(|net| net.to_string()),
        v6.prop_map(|net| net.to_string())
    ];
    proptest::collection::vec(item, 0..6)
}

proptest! {
    #[test]
    fn deny_wins(allow in networks(), deny in networks(), bits in any::<u32>()) {
        let address = IpAddr::V4(Ipv4Addr::from(bits));
        let mut deny = deny;
        deny.push(address.to_string());
        let mut allow = allow;
        allow.push(address.to_string());
        let scope = Scope::new(&allow, &deny).unwrap();
        prop_assert!(scope.check(address).is_err());
        prop_assert!(scope.admit("name.example", vec![address]).is_err());
    }

    #[test]
    fn more_denied_never_allows_more(
        allow in networks(), deny in networks(), more in networks(), bits in any::<u32>(),
    ) {
        let address = IpAddr::V4(Ipv4Addr::from(bits));
        let narrow = Scope::new(&allow, &[deny.clone(), more].concat()).unwrap();
        let wide = Scope::new(&allow, &deny).unwrap();
        prop_assert!(narrow.check(address).is_err() || wide.check(address).is_ok());
    }

    #[test]
    fn a_mapped_address_is_judged_as_the_plain_one(
        allow in networks(), deny in networks(), bits in any::<u32>(),
    ) {
        let scope = Scope::new(&allow, &deny).unwrap();
        let plain = Ipv4Addr::from(bits);
        prop_assert_eq!(scope.check(plain.into()).is_ok(), scope.check(mapped(plain)).is_ok());
    }

    #[test]
    fn a_mapped_rule_is_the_plain_rule(bits in any::<u32>(), length in 0u8..=32, probe in any::<u32>()) {
        let net = Ipv4Net::new(Ipv4Addr::from(bits), length).unwrap().trunc();
        let plain = Scope::new(&[net.to_string()], &[]).unwrap();
        let hidden = format!("{}/{}", mapped(net.addr()), length + 96);
        let hidden = Scope::new(&[hidden], &[]).unwrap();
        let probe = IpAddr::V4(Ipv4Addr::from(probe));
        prop_assert_eq!(plain.check(probe).is_ok(), hidden.check(probe).is_ok());
    }

    #[test]
    fn a_disguise_never_allows_what_is_refused_plainly(
        allow in networks(), deny in networks(), bits in any::<u32>(), rest in any::<u64>(),
    ) {
        let scope = Scope::new(&[allow, vec!["::/0".to_owned()]].concat(), &deny).unwrap();
        let plain = Ipv4Addr::from(bits);
        if scope.check(plain.into()).is_err() {
            let bits = u128::from(bits);
            let disguises = [
                bits,
                0x64_ff9b << 96 | bits,
                0x2002 << 112 | bits << 80 | u128::from(rest),
                0x2001 << 112 | u128::from(rest) << 32 | (!bits & 0xffff_ffff),
            ];
            for disguise in disguises.map(Ipv6Addr::from) {
                prop_assume!(disguise != Ipv6Addr::LOCALHOST);
                prop_assert!(scope.check(disguise.into()).is_err(), "{}", disguise);
            }
        }
    }

    #[test]
    fn by_default_only_private_addresses_are_allowed(bits in any::<u32>()) {
        let address = Ipv4Addr::from(bits);
        let private = address.is_private() || address.is_loopback();
        prop_assert_eq!(Scope::default().check(address.into()).is_ok(), private);
    }
}
