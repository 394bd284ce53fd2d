//! The lab, looked at by net-snmp's tools and from outside.

use std::{
    env, fs,
    future::pending,
    path::{Path, PathBuf},
    time::Duration,
};

use testkit::{
    lab::{Lab, Wiring},
    namespaces::{lab_of_daemons, run},
    process::Program,
    snmp::COMMUNITY,
    wait,
};

const SOON: Duration = Duration::from_secs(40);
const SYS_NAME: &str = "1.3.6.1.2.1.1.5";
const NEIGHBOURS: &str = "1.0.8802.1.1.2.1.4.1.1.9";

/// The texts that an agent has below an object identifier, sorted.
fn texts(agent: &str, oid: &str) -> Vec<String> {
    let said = run(&[
        "snmpwalk", "-v2c", "-c", COMMUNITY, "-m", "", "-Oqv", agent, oid,
    ]);
    let mut texts: Vec<String> = said
        .lines()
        .map(|it| it.trim_matches('"').to_owned())
        .collect();
    texts.sort();
    texts
}

/// Every node says its name, and the names of those at the other ends of its cables.
fn check_names(wiring: &Wiring) {
    for node in &wiring.nodes {
        let agent = node.addresses[0].ip.to_string();
        assert_eq!(texts(&agent, SYS_NAME), [node.name.as_str()]);
        let links = wiring.links();
        let mut expected: Vec<&str> = links
            .iter()
            .filter_map(|[a, b]| match (a.0 == node.name, b.0 == node.name) {
                (true, _) => Some(b.0.as_str()),
                (_, true) => Some(a.0.as_str()),
                _ => None,
            })
            .collect();
        expected.sort_unstable();
        assert_eq!(
            texts(&agent, NEIGHBOURS),
            expected,
            "{} of LAB_SEED={}",
            node.name,
            wiring.seed
        );
    }
}

#[test]
fn a_lab_is_wired_as_drawn_and_loses_one_cable() {
    lab_of_daemons(async || {
        let mut lab = Lab::start().await.unwrap();
        check_names(lab.wiring());
        let before = lab.wiring().links();
        let cut = lab.cut().await.unwrap();
        let mut after = lab.wiring().links();
        check_names(lab.wiring());
        assert!(after.insert(cut));
        assert_eq!(after, before);
    });
}

#[tokio::test]
async fn a_lab_is_not_built_in_the_network_of_the_machine() {
    let error = Lab::start().await.unwrap_err();
    assert!(format!("{error:#}").contains("empty network"), "{error:#}");
}

/// The process namespaces of all processes; with a text, of those whose command line has it.
fn process_namespaces(with: &str) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let namespace = fs::read_link(process.path().join("ns/pid")).ok()?;
        let has_text = String::from_utf8_lossy(&line).contains(with);
        has_text.then_some(namespace)
    });
    lines.collect()
}

#[test]
fn nothing_is_left_of_a_lab_whose_test_was_killed() {
    const NOTE: &str = "LAB_NOTE";
    let test = "lab::nothing_is_left_of_a_lab_whose_test_was_killed";
    if let Some(note) = env::var_os(NOTE) {
        lab_of_daemons(async || {
            let lab = Lab::start().await.unwrap();
            fs::write(&note, lab.folder().to_str().unwrap()).unwrap();
            pending::<()>().await;
        });
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("note");
        let killed = Program::new(env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(NOTE, &note)
            .start()
            .unwrap();
        let noted = async || fs::read_to_string(&note).ok().filter(|it| !it.is_empty());
        let files = wait::until("the lab is up", SOON, noted).await.unwrap();
        let namespace = process_namespaces(&files).pop().unwrap();
        let n_inside = || {
            let all = process_namespaces("");
            all.into_iter().filter(|it| *it == namespace).count()
        };
        assert!(n_inside() >= 16, "snmpd and lldpd of eight nodes");
        killed.kill_9().unwrap();
        let gone = async || (n_inside() == 0).then_some(());
        wait::until("all daemons are gone", SOON, gone)
            .await
            .unwrap();
        assert!(!Path::new(&files).exists());
    });
}
