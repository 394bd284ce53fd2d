//! `RabbitMQ` nodes: shared, own, killed and restarted.

use std::{fs, path::Path, time::Duration};

use testkit::{
    process::Program,
    rabbitmq::{Node, shared},
    wait,
};

/// Whether a process is there and not a mere entry that its parent has not read yet.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[tokio::test]
async fn killed_test_process_leaves_no_child_and_no_own_broker() {
    let test = std::env::current_exe().unwrap();
    let target = test
        .ancestors()
        .find(|folder| folder.join("examples").is_dir())
        .unwrap();
    let holder = Program::new(target.join("examples/holder"))
        .start()
        .unwrap();
    let pids = holder
        .stdout()
        .line("its children", Duration::from_secs(90), |_| true)
        .await;
    let pids = pids.unwrap();
    assert!(pids.split(' ').all(is_alive), "{pids}");
    holder.kill_9().unwrap();
    let gone = async || (!pids.split(' ').any(is_alive)).then_some(());
    wait::until("nothing is left", Duration::from_secs(10), gone)
        .await
        .unwrap();
}

#[tokio::test]
async fn shared_node_gives_each_caller_a_virtual_host_of_its_own() {
    let broker = shared().await.unwrap();
    let (first, second) = (broker.vhost().await.unwrap(), broker.vhost().await.unwrap());
    assert_ne!(first.name(), second.name());
    let names = broker
        .eval("rabbit_json:encode([N || N <- rabbit_vhost:list_names()])")
        .await
        .unwrap();
    assert!(
        names.contains(first.name()) && names.contains(second.name()),
        "{names}"
    );
}

#[tokio::test]
async fn refused_expression_is_an_error_that_says_why() {
    let error = shared()
        .await
        .unwrap()
        .eval("nowhere:at_all()")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("undef"), "{error}");
}

#[tokio::test]
async fn own_broker_comes_back_on_the_same_port_after_kill_and_stop() {
    let mut node = Node::start().await.unwrap();
    let port = node.amqp_port();
    node.create_vhost("kept").await.unwrap();
    node.kill_9().unwrap();
    assert!(node.eval("\"alive\"").await.is_err());
    node.restart().await.unwrap();
    assert_eq!(node.amqp_port(), port);
    let known = node
        .eval("atom_to_list(rabbit_vhost:exists(<<\"kept\">>))")
        .await
        .unwrap();
    assert_eq!(known, "true");
    node.stop().await.unwrap();
    assert!(node.eval("\"alive\"").await.is_err());
}
