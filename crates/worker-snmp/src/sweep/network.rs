//! The networks that can be swept.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use protocol::ToolError;

/// Bits of an IPv6 address before the IPv4 address that it maps.
const MAPPED: u8 = 96;

/// Reads a network, or an address, of at most 2 to the power of `most_bits` addresses. What maps
/// IPv4 to IPv6 is IPv4.
///
/// # Errors
/// `invalid_arguments`, naming the argument; the hint for a network that is too large is the
/// caller's.
pub(crate) fn network(
    argument: &str,
    text: &str,
    most_bits: u8,
    too_large: &str,
) -> Result<IpNet, ToolError> {
    let single = text.parse::<IpAddr>().map(IpNet::from);
    let network = single.or_else(|_| text.parse::<IpNet>()).map_err(|_| {
        let text: String = text.chars().take(64).collect();
        ToolError::invalid(format!("argument {argument}: {text:?} is not a network"))
            .hint("give a network such as 10.1.0.0/24 or 2001:db8::/120, or one address")
    })?;
    let network = canonical(network);
    if network.trunc() != network {
        let error = format!("argument {argument}: {network} has bits beyond its prefix");
        let hint = format!("the network is {}", network.trunc());
        return Err(ToolError::invalid(error).hint(hint));
    }
    let least = network.max_prefix_len() - most_bits;
    if network.prefix_len() < least {
        let error = format!(
            "argument {argument}: {network} is larger than a /{least}, and {} addresses are \
             searched at most",
            1_u64 << most_bits
        );
        return Err(ToolError::invalid(error).hint(too_large));
    }
    Ok(network)
}

fn canonical(network: IpNet) -> IpNet {
    let mapped = || match network {
        IpNet::V6(v6) => {
            let prefix_len = v6.prefix_len().checked_sub(MAPPED)?;
            Ipv4Net::new(v6.addr().to_ipv4_mapped()?, prefix_len).ok()
        }
        IpNet::V4(_) => None,
    };
    mapped().map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_so_many_addresses_are_searched_and_others_refused() {
        let check = |text: &str, expected: Option<(&str, usize)>| {
            let network = network("range", text, 16, "sweep less").ok();
            let found = network.map(|it| (it.to_string(), it.hosts().count()));
            let expected = expected.map(|(text, count)| (text.to_owned(), count));
            assert_eq!(found, expected, "{text}");
        };
        check("10.0.0.0/16", Some(("10.0.0.0/16", 65_534)));
        check("10.0.0.0/24", Some(("10.0.0.0/24", 254)));
        check("10.0.0.0/31", Some(("10.0.0.0/31", 2)));
        check("10.0.0.7/32", Some(("10.0.0.7/32", 1)));
        check("10.0.0.7", Some(("10.0.0.7/32", 1)));
        check("::ffff:10.0.0.7", Some(("10.0.0.7/32", 1)));
        check("::ffff:10.0.0.0/112", Some(("10.0.0.0/16", 65_534)));
        check("::ffff:10.0.0.0/120", Some(("10.0.0.0/24", 254)));
        check("fd00::/112", Some(("fd00::/112", 65_536)));
        check("255.255.0.0/16", Some(("255.255.0.0/16", 65_534)));
        for text in [
            "10.0.0.0/15",
            "fd00::/111",
            "::ffff:0.0.0.0/96",
            "::ffff:10.0.0.0/111",
            "::/0",
            "10.0.0.1/24",
            "::ffff:10.0.0.1/120",
            "10.0.0.0/33",
            "10.0.0.1-9",
            "",
            "-iL",
            "0.0.0.0/0",
            "10.0.0.0 /24",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn a_refusal_says_what_would_do() {
        let check = |text: &str, message: &str, hint: &str| {
            let error = network("range", text, 12, "sweep less").unwrap_err();
            assert!(error.message.contains(message), "{error}");
            assert_eq!(error.hint.as_deref(), Some(hint));
        };
        check(
            "10.0.0.0/8",
            "larger than a /20, and 4096 addresses",
            "sweep less",
        );
        check(
            "10.0.0.1/24",
            "10.0.0.1/24 has bits",
            "the network is 10.0.0.0/24",
        );
    }
}
