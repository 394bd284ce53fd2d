use proptest::prelude::*;

use super::*;

const SCAN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE nmaprun>
<?xml-stylesheet href="file:///usr/bin/../share/nmap/nmap.xsl" type="text/xsl"?>
<!-- Nmap 7.93 scan initiated as: nmap -&#45;reason -->
<nmaprun scanner="nmap" args="nmap" start="1" version="7.93" xmloutputversion="1.05">
<scaninfo type="syn" protocol="tcp" numservices="3" services="22,80,443"/>
<target specification="10.9.9.9" status="skipped" reason="invalid"/>
<taskbegin task="SYN Stealth Scan" time="1"/>
<taskprogress task="SYN Stealth Scan" time="2" percent="1.50" remaining="132" etc="3"/>
<hosthint><status state="up" reason="arp-response" reason_ttl="0"/>
<address addr="10.1.0.2" addrtype="ipv4"/><hostnames>
</hostnames></hosthint>
<taskend task="SYN Stealth Scan" time="3" extrainfo="2 total ports"/>
<host><status state="down" reason="no-response" reason_ttl="0"/>
<address addr="10.1.0.3" addrtype="ipv4"/>
</host>
<host starttime="1" endtime="2"><status state="up" reason="arp-response" reason_ttl="0"/>
<address addr="10.1.0.2" addrtype="ipv4"/>
<address addr="AA:BB:CC:00:11:22" addrtype="mac" vendor="A &amp; B"/>
<hostnames></hostnames>
<ports><extraports state="filtered" count="2"><extrareasons reason="no-response" count="2" proto="tcp" ports="1-2"/></extraports>
<extraports state="closed" count="98"><extrareasons reason="reset" count="98" proto="tcp" ports="3-100"/></extraports>
<port protocol="udp" portid="161"><state state="open|filtered" reason="no-response" reason_ttl="0"/><service name="snmp" method="table" conf="3"/></port>
<port protocol="tcp" portid="443"><state state="open" reason="syn-ack" reason_ttl="64"/><service name="http" product="nginx" version="1.2" extrainfo="&lt;b&gt; &#x41;" hostname="h" ostype="Linux" devicetype="WAP" tunnel="ssl" method="probed" conf="10" servicefp="x"><cpe>cpe:/a:igor:nginx</cpe><cpe>cpe:/o:linux</cpe></service><script id="s" output="o"><elem key="k">cpe</elem></script></port>
<port protocol="tcp" portid="22"><state state="closed" reason="reset" reason_ttl="64"/></port>
</ports>
<times srtt="1500" rttvar="5000" to="100000"/>
</host>
<runstats><finished time="3" elapsed="1.26" exit="success"/><hosts up="1" down="1" total="2"/></runstats>
</nmaprun>
"#;

async fn read(text: &str, max_ports: usize) -> Result<Vec<Said>, Error> {
    let mut document = Document::new(text.as_bytes(), max_ports);
    let mut all = Vec::new();
    while let Some(said) = document.next().await? {
        all.push(said);
    }
    Ok(all)
}

/// The host that is up.
async fn host_up(max_ports: usize) -> Host {
    let said = read(SCAN, max_ports).await.unwrap();
    let host = said.into_iter().find_map(|said| match said {
        Said::Host(host) if host.state == HostState::Up => Some(*host),
        _ => None,
    });
    host.unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn progress(percent: f64, remaining_s: Option<u64>) -> Said {
    let task = "SYN Stealth Scan".to_owned();
    Said::Progress(Progress {
        task,
        percent,
        remaining_s,
    })
}

#[tokio::test]
async fn a_scan_is_read_in_the_order_it_is_written() {
    let said = read(SCAN, 100).await.unwrap();
    let mut expected_down = Host::at(ip("10.1.0.3"));
    expected_down.state = HostState::Down;
    expected_down.reason = Some("no-response".to_owned());
    expected_down.complete = true;
    let [
        version,
        ports,
        skipped,
        begins,
        percent,
        hint,
        down,
        Said::Host(host),
        finished,
    ] = said.as_slice()
    else {
        panic!("{said:#?}");
    };
    assert_eq!(version, &Said::Version("7.93".to_owned()));
    let listed = "22,80,443".to_owned();
    assert_eq!(ports, &Said::Ports(Protocol::Tcp, listed));
    assert_eq!(skipped, &Said::Skipped("10.9.9.9".to_owned()));
    assert_eq!(begins, &progress(0.0, None));
    assert_eq!(percent, &progress(1.5, Some(132)));
    assert_eq!(hint, &Said::Hint(ip("10.1.0.2")));
    assert_eq!(down, &Said::Host(Box::new(expected_down)));
    assert_eq!(finished, &Said::Finished(None));
    assert_eq!(host.address, ip("10.1.0.2"));
}

#[tokio::test]
async fn a_host_has_all_that_is_said_about_it() {
    let host = host_up(100).await;
    assert_eq!(
        (host.mac.as_deref(), host.vendor.as_deref(), host.rtt_ms),
        (Some("AA:BB:CC:00:11:22"), Some("A & B"), Some(1.5))
    );
    let others: Vec<_> = host
        .other_ports
        .iter()
        .map(|others| {
            (
                others.state,
                others.count,
                others.reasons[0].reason.as_str(),
            )
        })
        .collect();
    let expected = [
        (PortState::Closed, 98, "reset"),
        (PortState::Filtered, 2, "no-response"),
    ];
    assert_eq!(others, expected);
    let ports: Vec<_> = host
        .ports
        .iter()
        .map(|port| (port.proto, port.port))
        .collect();
    let expected = [
        (Protocol::Tcp, 22),
        (Protocol::Tcp, 443),
        (Protocol::Udp, 161),
    ];
    assert_eq!(ports, expected);
    let service = host.ports[1].service.as_ref().unwrap();
    assert_eq!(service.cpe, ["cpe:/a:igor:nginx", "cpe:/o:linux"]);
    assert_eq!(service.extrainfo.as_deref(), Some("<b> A"));
    assert_eq!((service.method, service.confidence), (Method::Probed, 10));
    assert_eq!(host.ports[2].state, PortState::OpenOrFiltered);
    assert_eq!(host.ports_omitted, 0);
}

#[tokio::test]
async fn references_in_a_cpe_are_parts_of_it() {
    let check = async |written: &str, expected: &str| {
        let text = SCAN.replace("cpe:/a:igor:nginx", written);
        let said = read(&text, 100).await.unwrap();
        let cpe = said.iter().find_map(|said| match said {
            Said::Host(host) => host.ports.get(1)?.service.as_ref().map(|it| &it.cpe),
            _ => None,
        });
        assert_eq!(cpe.unwrap(), &[expected, "cpe:/o:linux"], "{written}");
    };
    check("cpe:/a:caf&#xe9;:x&amp;y:1", "cpe:/a:café:x&y:1").await;
    check("&lt;&#65;&gt;", "<A>").await;
    check("cpe:/a:&unknown;", "cpe:/a:&unknown;").await;
}

#[tokio::test]
async fn ports_beyond_the_limit_are_counted_and_not_kept() {
    for room in 0..4 {
        let host = host_up(room).await;
        assert_eq!(host.ports.len(), room);
        assert_eq!(host.ports_omitted as usize, 3 - room);
    }
}

#[tokio::test]
async fn what_is_not_nmaps_is_an_error() {
    for (part, other) in [
        (r#"state="up""#, r#"state="well""#),
        (r#"addr="10.1.0.2""#, r#"addr="10.1.0.256""#),
        (r#"portid="443""#, r#"portid="65536""#),
        (r#"protocol="udp""#, r#"protocol="ip""#),
        (r#"count="98" proto"#, r#"count="-1" proto"#),
        (r#"percent="1.50""#, r#"percent="NaN""#),
        ("</ports>", "</port>"),
    ] {
        assert!(SCAN.contains(part), "{part}");
        let error = read(&SCAN.replace(part, other), 100).await.unwrap_err();
        assert!(matches!(error, Error::Xml(_)), "{part}: {error}");
    }
    let failed = SCAN.replace(
        r#"exit="success""#,
        r#"exit="error" errormsg="no &quot;x&quot;""#,
    );
    let said = read(&failed, 100).await.unwrap();
    assert_eq!(
        said.last(),
        Some(&Said::Finished(Some("no \"x\"".to_owned())))
    );
}

#[tokio::test]
async fn a_document_that_is_cut_off_gives_what_it_has() {
    for end in 0..SCAN.len() {
        // Whether the cut is an error of the XML or an early end: nothing is made up.
        let mut document = Document::new(&SCAN.as_bytes()[..end], 100);
        let mut hosts = 0;
        while let Ok(Some(said)) = document.next().await {
            hosts += usize::from(matches!(said, Said::Host(_)));
        }
        assert_eq!(hosts, SCAN[..end].matches("</host>").count(), "{end}");
    }
}

async fn read_to_the_end(bytes: &[u8]) {
    let mut document = Document::new(bytes, 2);
    while let Ok(Some(_)) = document.next().await {}
}

fn block_on(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(body);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        block_on(read_to_the_end(&bytes));
    }

    #[test]
    fn any_markup_is_read_or_refused(text in prop::collection::vec(
        prop::sample::select(vec![
            "<host>", "</host>", "<hosthint>", "</hosthint>", "<port portid=\"1\" protocol=\"tcp\">",
            "</port>", "<address addr=\"10.0.0.1\"/>", "<status state=\"up\"/>", "<cpe>", "</cpe>",
            "&#xe9;", "&#x110000;", "&a;", "&", "text", "<service name=\"x\" method=\"table\" conf=\"3\"/>",
            "<extraports state=\"closed\" count=\"1\"/>", "<extrareasons reason=\"x\" count=\"1\"/>",
            "<finished/>", "<times srtt=\"1\"/>", "<![CDATA[x]]>", "<!-- x -->", "<", "\u{e9}", "\0",
        ]),
        0..40,
    )) {
        block_on(read_to_the_end(text.concat().as_bytes()));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(place in 0..SCAN.len(), bytes in prop::collection::vec(any::<u8>(), 1..8)) {
        let mut text = SCAN.as_bytes().to_vec();
        let end = (place + bytes.len()).min(text.len());
        text.splice(place..end, bytes);
        block_on(read_to_the_end(&text));
    }
}
