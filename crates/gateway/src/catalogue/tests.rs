use std::collections::HashSet;

use bus::{Backoff, Bus, Caller, Message, Publish};
use protocol::{Announcement, Category, Change, Digest, Instance, Names, response};
use serde_json::value::RawValue;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::registry::Registry;
use super::*;
use crate::news::{Heard, Hub};

/// A second less than the silence after which an instance is gone.
const ALMOST: Duration = Duration::from_secs(14);

/// A registry with its latest snapshot and a clock that stands still unless moved.
struct Bench {
    registry: Registry,
    last: Snapshot,
    now: Instant,
}

impl Bench {
    fn new(always_listed: &[&str]) -> Self {
        let always_listed: HashSet<Category> = always_listed
            .iter()
            .map(|word| word.parse().unwrap())
            .collect();
        Self {
            registry: Registry::new(always_listed),
            last: Snapshot::default(),
            now: Instant::now(),
        }
    }

    fn announce(&mut self, instance: &str, category: &str, version: &str, tools: &[&str]) {
        let tools: Vec<String> = tools
            .iter()
            .map(|text| {
                if text.starts_with('{') {
                    (*text).to_owned()
                } else {
                    descriptor(text, "")
                }
            })
            .collect();
        let announcement = announcement(instance, category, version, [&tools, &[], &[], &[]]);
        self.registry.announce(announcement, self.now);
        self.refresh();
    }

    /// Announces resources, templates and prompts by their keys; the version is their name or
    /// description.
    fn offer(&mut self, instance: &str, category: &str, version: &str, keys: [&[&str]; 3]) {
        let text = |keys: &[&str], key_member: &str| -> Vec<String> {
            keys.iter()
                .map(|key| {
                    let mut text = serde_json::json!({ "name": version, "description": version });
                    text[key_member] = (*key).into();
                    text.to_string()
                })
                .collect()
        };
        let [resources, templates, prompts] = keys;
        let (resources, templates) = (text(resources, "uri"), text(templates, "uriTemplate"));
        let lists = [&[][..], &resources, &templates, &text(prompts, "name")];
        self.registry
            .announce(announcement(instance, category, version, lists), self.now);
        self.refresh();
    }

    fn goodbye(&mut self, instance: &str, category: &str) {
        self.registry.goodbye(speaker(instance, category), self.now);
        self.refresh();
    }

    fn wait(&mut self, time: Duration) -> Vec<Instance> {
        self.now += time;
        let gone = self.registry.expire(self.now);
        self.refresh();
        gone
    }

    fn refresh(&mut self) {
        if let Some(snapshot) = self.registry.snapshot(&self.last) {
            self.last = snapshot;
        }
    }

    fn listed(&self) -> Vec<String> {
        let page: serde_json::Value = serde_json::from_str(&format!(
            "{{{}}}",
            self.last.list(Kind::Tool).page(None).unwrap()
        ))
        .unwrap();
        page["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn announcement(
    instance: &str,
    category: &str,
    version: &str,
    lists: [&[String]; 4],
) -> Announcement {
    let [tools, resources, resource_templates, prompts] = lists.map(|texts| {
        let raw = |text: &String| RawValue::from_string(text.clone()).unwrap();
        texts.iter().map(raw).collect::<Vec<Box<RawValue>>>()
    });
    let mut announcement = Announcement {
        instance: speaker(instance, category),
        version: version.to_owned(),
        site: "default".to_owned(),
        capacity: 8,
        encodings: Vec::new(),
        digest: String::new(),
        tools,
        resources,
        resource_templates,
        prompts,
    };
    announcement.digest = announcement.digest();
    announcement
}

fn speaker(instance: &str, category: &str) -> Instance {
    Instance {
        instance: instance.to_owned(),
        category: category.parse().unwrap(),
    }
}

fn descriptor(name: &str, description: &str) -> String {
    format!(
        r#"{{"name":{name:?}, "description":{description:?},"inputSchema":{{"type":"object"}}}}"#
    )
}

#[test]
fn tools_are_listed_by_name_whoever_spoke_first() {
    let mut bench = Bench::new(&[]);
    bench.announce("b", "network", "1.0.0", &["whois", "arp"]);
    bench.announce("a", "lab", "1.0.0", &["probe", "adjust"]);
    assert_eq!(bench.listed(), ["adjust", "arp", "probe", "whois"]);
}

#[test]
fn descriptors_pass_through_byte_for_byte() {
    let mut bench = Bench::new(&[]);
    let text = r#"{ "name":"x","inputSchema":{"type":"object","multipleOf":1.0, "$anchor":"a"},"new":[1e2] }"#;
    bench.announce("a", "lab", "1.0.0", &[text]);
    assert_eq!(
        bench.last.list(Kind::Tool).page(None).unwrap(),
        format!(r#""tools":[{text}]"#)
    );
}

#[test]
fn replicas_list_their_tools_once_and_until_the_last_one_leaves() {
    let mut bench = Bench::new(&[]);
    bench.announce("a", "network", "1.0.0", &["ping"]);
    let generation = bench.last.list(Kind::Tool).generation();
    bench.announce("b", "network", "1.0.0", &["ping"]);
    assert_eq!(bench.listed(), ["ping"]);
    bench.goodbye("a", "network");
    assert_eq!(bench.listed(), ["ping"]);
    assert_eq!(
        bench.last.list(Kind::Tool).generation(),
        generation,
        "nothing changed for clients"
    );
    bench.goodbye("b", "network");
    assert!(bench.listed().is_empty());
    assert!(bench.last.list(Kind::Tool).generation() > generation);
}

#[test]
fn digests_keep_an_instance_and_silence_removes_it() {
    let mut bench = Bench::new(&[]);
    bench.announce("a", "network", "1.0.0", &["ping"]);
    let digest = |text: &str| Digest {
        instance: speaker("a", "network"),
        digest: text.to_owned(),
        taken_up_to: None,
    };
    let known = protocol::control::digest_of(
        "1.0.0",
        [
            &[RawValue::from_string(descriptor("ping", "")).unwrap()],
            &[],
            &[],
            &[],
        ],
    );
    assert!(bench.wait(ALMOST).is_empty());
    assert!(bench.registry.digest(&digest(&known), bench.now));
    assert!(bench.wait(ALMOST).is_empty());
    assert!(
        !bench.registry.digest(&digest("other"), bench.now),
        "an unknown digest is no news"
    );
    assert_eq!(
        bench.wait(Duration::from_secs(1)),
        [speaker("a", "network")]
    );
    assert!(bench.listed().is_empty());
}

#[test]
fn a_call_to_a_tool_without_workers_still_finds_its_category() {
    let mut bench = Bench::new(&[]);
    bench.announce("a", "network", "1.0.0", &["ping", "telnet"]);
    bench.goodbye("a", "network");
    assert_eq!(
        bench.last.tool("ping").unwrap().category,
        Category::network()
    );
    assert_eq!(bench.last.tool("tcp_connect").unwrap().key, "telnet");
    assert!(bench.last.tool("pong").is_none());
}

#[test]
fn a_category_that_scales_from_zero_stays_listed() {
    let mut bench = Bench::new(&["network"]);
    bench.announce("a", "network", "1.0.0", &["ping"]);
    bench.announce("b", "lab", "1.0.0", &["probe"]);
    bench.goodbye("a", "network");
    bench.goodbye("b", "lab");
    assert_eq!(bench.listed(), ["ping"]);
}

#[test]
fn a_name_belongs_to_the_first_category_that_claims_it() {
    let mut bench = Bench::new(&[]);
    bench.announce("a", "zoo", "1.0.0", &["probe"]);
    bench.announce("b", "lab", "9.0.0", &["probe", "other"]);
    assert_eq!(bench.last.tool("probe").unwrap().category.as_str(), "zoo");
    assert_eq!(bench.listed(), ["other", "probe"]);
    bench.goodbye("a", "zoo");
    assert_eq!(bench.last.tool("probe").unwrap().category.as_str(), "lab");
    bench.announce("a2", "zoo", "1.0.0", &["probe"]);
    assert_eq!(bench.last.tool("probe").unwrap().category.as_str(), "lab");
}

#[test]
fn a_core_name_is_refused_to_other_categories() {
    let mut bench = Bench::new(&[]);
    bench.announce("a", "lab", "1.0.0", &["ping", "probe"]);
    assert_eq!(bench.listed(), ["probe"]);
}

#[test]
fn the_higher_version_is_listed_then_the_greater_hash() {
    let check = |first: (&str, &str), second: (&str, &str), expected: &str| {
        let mut bench = Bench::new(&[]);
        bench.announce("a", "lab", first.0, &[&descriptor("probe", first.1)]);
        bench.announce("b", "lab", second.0, &[&descriptor("probe", second.1)]);
        let text = bench.last.tool("probe").unwrap().text.get().to_owned();
        assert!(
            text.contains(expected),
            "{first:?} and {second:?} gave {text}"
        );
    };
    check(("1.9.0", "old"), ("1.10.0", "new"), "new");
    check(("1.10.0", "new"), ("1.9.0", "old"), "new");
    check(("2.0.0-rc.1", "candidate"), ("2.0.0", "release"), "release");
    let mut either = Vec::new();
    for order in [["x", "y"], ["y", "x"]] {
        let mut bench = Bench::new(&[]);
        bench.announce("a", "lab", "1.0.0", &[&descriptor("probe", order[0])]);
        bench.announce("b", "lab", "1.0.0", &[&descriptor("probe", order[1])]);
        either.push(bench.last.tool("probe").unwrap().text.get().to_owned());
    }
    assert_eq!(
        either[0], either[1],
        "the order of announcements does not matter"
    );
}

#[test]
fn an_announcement_without_a_version_is_refused() {
    let mut bench = Bench::new(&[]);
    bench.announce("a", "lab", "new", &["probe"]);
    assert!(bench.listed().is_empty());
}

#[test]
fn a_changed_announcement_replaces_the_last_one() {
    let mut bench = Bench::new(&[]);
    bench.announce("a", "lab", "1.0.0", &["probe", "scan"]);
    bench.announce("a", "lab", "1.0.0", &["scan", "weigh"]);
    assert_eq!(bench.listed(), ["scan", "weigh"]);
}

#[test]
fn pages_follow_each_other_by_name_also_when_tools_come_and_go() {
    let mut bench = Bench::new(&[]);
    let names: Vec<String> = (0..250).map(|n| format!("t{n:03}")).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.announce("a", "lab", "1.0.0", &all);
    let page = |bench: &Bench, cursor: Option<&str>| -> serde_json::Value {
        serde_json::from_str(&format!(
            "{{{}}}",
            bench.last.list(Kind::Tool).page(cursor).unwrap()
        ))
        .unwrap()
    };
    let first = page(&bench, None);
    assert_eq!(first["tools"].as_array().unwrap().len(), 100);
    let cursor = first["nextCursor"].as_str().unwrap().to_owned();
    assert_eq!(page(&bench, Some(&cursor))["tools"][0]["name"], "t100");
    // The tool the cursor names goes away: the next page still begins after it.
    let without: Vec<&str> = all.iter().copied().filter(|name| *name != "t099").collect();
    bench.announce("a", "lab", "1.0.0", &without);
    let second = page(&bench, Some(&cursor));
    assert_eq!(second["tools"][0]["name"], "t100");
    assert_eq!(second["tools"].as_array().unwrap().len(), 100);
    let third = page(&bench, second["nextCursor"].as_str());
    assert_eq!(third["tools"].as_array().unwrap().len(), 50);
    assert!(third.get("nextCursor").is_none());
    for bad in ["", "%", "a", "AAAA", "dHQwOTk=", "cHQwOTk"] {
        assert!(
            bench.last.list(Kind::Tool).page(Some(bad)).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn a_name_that_is_not_known_brings_up_those_like_it() {
    let mut bench = Bench::new(&[]);
    bench.announce("a", "network", "1.0.0", &["ping", "telnet", "whois"]);
    assert_eq!(bench.last.list(Kind::Tool).alike("pinng"), ["ping"]);
    assert!(bench.last.list(Kind::Tool).alike("zzzz").is_empty());
}

#[test]
fn a_uri_is_given_by_its_resource_then_by_the_first_template() {
    let mut bench = Bench::new(&[]);
    let templates = ["test://{+any}", "test://host/{name}", "test://{id}/x"];
    bench.offer("a", "lab", "1.0.0", [&["test://host/a"], &templates, &[]]);
    let check = |bench: &Bench, uri: &str, expected: Option<&str>| {
        let found = bench.last.resource(uri).map(|item| item.key.as_str());
        assert_eq!(found, expected, "{uri}");
    };
    check(&bench, "test://host/a", Some("test://host/a"));
    check(&bench, "test://host/b", Some("test://host/{name}"));
    check(&bench, "test://host/x", Some("test://host/{name}"));
    check(&bench, "test://5/x", Some("test://{+any}"));
    check(&bench, "other://a", None);
    let referred = |uri: &str| bench.last.reference(uri).map(|item| item.key.as_str());
    assert_eq!(referred("test://{id}/x"), Some("test://{id}/x"));
    assert_eq!(referred("test://host/a"), Some("test://host/a"));
    // What is listed goes before what went away, and that is still known.
    bench.offer("a", "lab", "1.0.0", [&[], &["test://{+any}"], &[]]);
    check(&bench, "test://host/a", Some("test://{+any}"));
    bench.goodbye("a", "lab");
    check(&bench, "test://host/a", Some("test://host/a"));
    check(&bench, "test://host/b", Some("test://host/{name}"));
}

#[test]
fn the_rules_for_tools_hold_for_every_kind() {
    let mut bench = Bench::new(&["zoo"]);
    let keys: [&[&str]; 3] = [&["test://a"], &["test://{a}"], &["ask"]];
    bench.offer("a", "zoo", "1.9.0", keys);
    bench.offer("b", "zoo", "1.10.0", keys);
    bench.offer("c", "lab", "9.0.0", keys);
    for item in [
        bench.last.resource("test://a").unwrap(),
        bench.last.reference("test://{a}").unwrap(),
    ] {
        assert_eq!(item.category.as_str(), "zoo", "the first claim");
        assert!(item.text.get().contains("1.10.0"), "the higher version");
    }
    assert_eq!(bench.last.prompt("ask").unwrap().category.as_str(), "zoo");
    bench.goodbye("c", "lab");
    bench.goodbye("b", "zoo");
    bench.goodbye("a", "zoo");
    for kind in [Kind::Resource, Kind::Template, Kind::Prompt] {
        assert!(!bench.last.list(kind).is_empty(), "{kind:?} stays listed");
    }
}

#[test]
fn a_snapshot_knows_which_lists_changed() {
    let mut bench = Bench::new(&[]);
    let mut before = bench.last.clone();
    let mut check = |bench: &Bench, expected: &[Kind]| {
        assert_eq!(bench.last.changed_since(&before), expected);
        before = bench.last.clone();
    };
    bench.announce("a", "lab", "1.0.0", &["probe"]);
    check(&bench, &[Kind::Tool]);
    bench.offer("b", "zoo", "1.0.0", [&["test://a"], &["test://{a}"], &[]]);
    check(&bench, &[Kind::Resource, Kind::Template]);
    bench.offer("c", "zoo", "1.0.0", [&["test://a"], &[], &["ask"]]);
    check(&bench, &[Kind::Prompt]);
    bench.goodbye("b", "zoo");
    check(&bench, &[Kind::Template]);
    bench.goodbye("c", "zoo");
    check(&bench, &[Kind::Resource, Kind::Prompt]);
}

#[tokio::test(start_paused = true)]
async fn the_hub_is_told_of_changes_after_the_first_workers_were_heard() {
    let bus = bus::memory::MemoryBus::new();
    let shared: Arc<dyn Bus> = Arc::new(bus.clone());
    let names = Names::default();
    let caller = Caller::new(Arc::clone(&shared), names.clone(), "g", SETTLE_LIMIT);
    let hub = Hub::new();
    let mut news = hub.listen();
    let always_listed = HashSet::new();
    let (listener, catalogue) = Listener::new(
        shared,
        names.clone(),
        "g".into(),
        caller,
        always_listed,
        (hub, service::Health::default()),
    );
    let stop = CancellationToken::new();
    let backoff = Backoff::default();
    let running = listener.run(&backoff, &stop);
    let say = async |lists: [&[String]; 4]| {
        let announcement = announcement("a", "lab", "1.0.0", lists);
        let body = response::notification(protocol::control::ANNOUNCE, &announcement).unwrap();
        let message = Message {
            body: body.into(),
            ..Message::default()
        };
        let announce = Publish::broadcast(Names::CONTROL, names.announce_key(), message);
        bus.publish(announce).await.unwrap();
    };
    let tool = [descriptor("probe", "")];
    let prompt = [r#"{"name":"ask"}"#.to_owned()];
    let resource = [r#"{"uri":"test://a","name":"a"}"#.to_owned()];
    let template = [r#"{"uriTemplate":"test://{a}","name":"a"}"#.to_owned()];
    let script = async {
        // Whoever asks for a list waits for the workers, so this is no news to anybody.
        let announcing = async {
            loop {
                say([&tool, &[], &[], &[]]).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = catalogue.appears(|now| !now.list(Kind::Tool).is_empty()) => {}
            () = announcing => {}
        }
        let all_were_heard = *catalogue.settled.borrow();
        assert!(!all_were_heard, "who knows what to ask for waits no longer");
        assert!(catalogue.settled().await);
        say([&tool, &[], &[], &prompt]).await;
        let first = news.next().await;
        assert_eq!(first, Some(Heard::Change(Change::PromptsListChanged)));
        say([&tool, &resource, &template, &prompt]).await;
        let second = news.next().await;
        assert_eq!(second, Some(Heard::Change(Change::ResourcesListChanged)));
        say([&[], &resource, &template, &prompt]).await;
        let third = news.next().await;
        assert_eq!(third, Some(Heard::Change(Change::ToolsListChanged)));
    };
    tokio::select! {
        ended = running => panic!("the listener ended: {ended:?}"),
        () = script => {}
    }
}

#[test]
fn requests_are_compressed_where_every_worker_reads_that() {
    let mut registry = Registry::default();
    let category: Category = "network".parse().unwrap();
    assert!(!registry.reads_zstd(&category), "nobody is there");
    let mut announce = |instance: &str, encodings: &[&str]| {
        let mut announcement = announcement(instance, "network", "1.0.0", [&[]; 4]);
        announcement.encodings = encodings.iter().map(|it| (*it).to_owned()).collect();
        registry.announce(announcement, Instant::now());
        registry.reads_zstd(&category)
    };
    assert!(announce("a", &["br", "zstd"]));
    assert!(announce("b", &["zstd"]));
    assert!(!announce("c", &[]));
    registry.goodbye(speaker("c", "network"), Instant::now());
    assert!(registry.reads_zstd(&category));
}
