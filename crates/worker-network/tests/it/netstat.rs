use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};

use serde_json::{Value, json};
use testkit::namespaces::{lab, nested, run, stage};

use crate::call::{call, done, structured};

/// Protocol, both ends and state of a socket.
type Common = (String, String, String, String);

/// What `ss` says. It writes `*` where a socket serves every address of both IP versions, and
/// calls both versions of a protocol by one name.
fn of_ss(options: &str) -> Vec<Common> {
    let text = run(&["ss", "--no-header", "--numeric", options]);
    let mut sockets: Vec<Common> = text
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (proto, state) = (words[0], words[1]);
            let end = |word: &str| {
                word.replace('*', "any")
                    .replace("[::]", "any")
                    .replace("0.0.0.0", "any")
            };
            let remote = words[5];
            let remote = if remote.ends_with(":*") {
                String::new()
            } else {
                end(remote)
            };
            (proto.to_owned(), end(words[4]), remote, state.to_owned())
        })
        .collect();
    sockets.sort_unstable();
    sockets
}

fn of_tool(result: &Value) -> Vec<Common> {
    let end = |end: &Value| match end.get("address") {
        None => String::new(),
        Some(address) => {
            let address: IpAddr = address.as_str().unwrap().parse().unwrap();
            let address = match address {
                _ if address.is_unspecified() => "any".to_owned(),
                IpAddr::V6(v6) => format!("[{v6}]"),
                IpAddr::V4(v4) => v4.to_string(),
            };
            format!("{address}:{}", end["port"])
        }
    };
    let state = |state: &Value| {
        match state.as_str().unwrap() {
            "UNCONNECTED" => "UNCONN",
            "ESTABLISHED" => "ESTAB",
            "TIME_WAIT" => "TIME-WAIT",
            "CLOSE_WAIT" => "CLOSE-WAIT",
            "FIN_WAIT2" => "FIN-WAIT-2",
            other => other,
        }
        .to_owned()
    };
    let mut sockets: Vec<Common> = result["sockets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|socket| {
            let proto = socket["proto"]
                .as_str()
                .unwrap()
                .trim_end_matches('6')
                .to_owned();
            (
                proto,
                end(&socket["local"]),
                end(&socket["remote"]),
                state(&socket["state"]),
            )
        })
        .collect();
    sockets.sort_unstable();
    sockets
}

/// Sockets of every kind, all in this process.
struct Sockets {
    listeners: Vec<TcpListener>,
    streams: Vec<TcpStream>,
    udp: Vec<UdpSocket>,
}

fn sockets() -> Sockets {
    let listeners: Vec<TcpListener> = ["127.0.0.1:7001", "[::1]:7002", "0.0.0.0:7003", "[::]:7004"]
        .map(|address| TcpListener::bind(address).unwrap())
        .into();
    let mut streams = Vec::new();
    for (n, address) in ["127.0.0.1:7001", "[::1]:7002", "127.0.0.1:7003"]
        .iter()
        .enumerate()
    {
        streams.push(TcpStream::connect(address).unwrap());
        streams.push(listeners[n].accept().unwrap().0);
    }
    // One end closed: FIN_WAIT2 on its side, CLOSE_WAIT on the other.
    streams[0].shutdown(std::net::Shutdown::Write).unwrap();
    let udp: Vec<UdpSocket> = ["127.0.0.1:7005", "[::1]:7006", "0.0.0.0:7007"]
        .map(|address| UdpSocket::bind(address).unwrap())
        .into();
    udp[0].connect("127.0.0.1:7007").unwrap();
    Sockets {
        listeners,
        streams,
        udp,
    }
}

#[test]
fn the_sockets_are_those_that_ss_lists() {
    lab(async || {
        let all = sockets();
        let result = done("netstat", json!({})).await;
        let (ours, all_of_ss) = (of_tool(&result), of_ss("-tua"));
        assert_eq!(ours, all_of_ss);
        let n_sockets = all.listeners.len() + all.streams.len() + all.udp.len();
        assert_eq!(ours.len(), n_sockets, "{ours:#?}");
        assert!(result["worker_host"].is_string());
        assert_eq!(result["site"], "default");
        for protocol in ["tcp", "udp"] {
            let result = done("netstat", json!({ "protocol": protocol })).await;
            let ours = of_tool(&result);
            let expected: Vec<Common> = all_of_ss
                .iter()
                .filter(|socket| socket.0 == protocol)
                .cloned()
                .collect();
            assert!(!expected.is_empty());
            assert_eq!(ours, expected);
        }
    });
}

#[test]
fn listening_sockets_are_tcp_listeners_and_udp_without_a_peer() {
    lab(async || {
        let _all = sockets();
        let result = done("netstat", json!({ "listening": true })).await;
        assert_eq!(of_tool(&result), of_ss("-tul"));
        let ports: Vec<&Value> = result["sockets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|socket| &socket["local"]["port"])
            .collect();
        assert_eq!(ports, [7001, 7003, 7002, 7004, 7007, 7006]);
        for socket in result["sockets"].as_array().unwrap() {
            assert_eq!(socket.get("remote"), None);
            assert_eq!(socket.get("pid"), None, "programs were not asked for");
        }
    });
}

#[test]
fn the_process_of_a_socket_is_named() {
    lab(async || {
        let _all = sockets();
        let result = done("netstat", json!({ "programs": true })).await;
        let program = std::fs::read_to_string("/proc/self/comm").unwrap();
        for socket in result["sockets"].as_array().unwrap() {
            assert_eq!(socket["pid"], std::process::id(), "{socket}");
            assert_eq!(socket["program"], program.trim());
            assert_eq!(socket["uid"], 0);
        }
        assert_eq!(result.get("notes"), None);
    });
}

#[test]
fn sockets_of_processes_out_of_sight_are_noted() {
    lab(async || {
        if stage().as_deref() == Some("lab") {
            // The same test once more, where only its own processes are to be seen.
            let _listener = TcpListener::bind("127.0.0.1:7001").unwrap();
            let test = "netstat::sockets_of_processes_out_of_sight_are_noted";
            nested(
                test,
                &["unshare", "--pid", "--fork", "--mount-proc"],
                "hidden",
            );
            return;
        }
        let _own = TcpListener::bind((Ipv6Addr::LOCALHOST, 7002)).unwrap();
        let result = call("netstat", json!({ "programs": true })).await;
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(
            text.contains("no pid and program for 1 of these sockets"),
            "{text}"
        );
        let result = structured(&result);
        let pid_of = |port: u16| {
            let all = result["sockets"].as_array().unwrap();
            all.iter()
                .find(|socket| socket["local"]["port"] == port)
                .unwrap()["pid"]
                .clone()
        };
        assert_eq!(pid_of(7001), Value::Null);
        assert_eq!(pid_of(7002), std::process::id());
        let note = result["notes"][0].as_str().unwrap();
        assert!(note.contains("SYS_PTRACE"), "{note}");
    });
}

#[test]
fn bytes_in_the_queues_are_counted() {
    lab(async || {
        let all = sockets();
        std::io::Write::write_all(&mut &all.streams[4], &[0; 5000]).unwrap();
        let result = done("netstat", json!({ "protocol": "tcp" })).await;
        let local = all.streams[5].local_addr().unwrap().port();
        let peer = all.streams[5].peer_addr().unwrap().port();
        let receiver =
            result["sockets"].as_array().unwrap().iter().find(|socket| {
                socket["local"]["port"] == local && socket["remote"]["port"] == peer
            });
        assert_eq!(receiver.unwrap()["receive_queue"], 5000);
    });
}

#[test]
fn pages_together_are_the_whole_list() {
    lab(async || {
        let _all = sockets();
        let whole = done("netstat", json!({})).await;
        let mut sockets = Vec::new();
        let mut arguments = json!({ "limit": 4 });
        loop {
            let page = done("netstat", arguments.clone()).await;
            sockets.extend(page["sockets"].as_array().unwrap().clone());
            assert_eq!(page["truncated"], page.get("nextCursor").is_some());
            match page.get("nextCursor") {
                Some(cursor) => arguments["cursor"] = cursor.clone(),
                None => break,
            }
        }
        assert_eq!(json!(sockets), whole["sockets"]);
    });
}
