//! Processes that are asked to end: they finish what runs and leave in good order.

use nix::sys::signal::Signal;
use testkit::http::{Connection, Request};
use testkit::process::Process;
use testkit::wait;

use crate::site::{
    Answer, END, Running, SOON, Site, Stdio, Target, body_of, embedded, embedded_stdio,
};

/// What asks a process to end: a service manager, and Ctrl-C.
const SIGNALS: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// A call that has reached its target.
async fn begin_call(gateway: &Running, target: &Target) -> Connection {
    let request = Request::modern_call(1, "wget", &target.arguments("/call"));
    let client = gateway.open(&request).await;
    target.until_asked(1).await;
    client
}

/// Waits until a process says that it takes no more work, by word or by closing its port.
async fn until_draining(process: &Running) {
    let draining = async || (!process.is_ready().await).then_some(());
    wait::until("it drains", SOON, draining).await.unwrap();
}

async fn check_answered(mut client: Connection) {
    let answer = client.response(SOON).await.unwrap();
    assert_eq!(body_of(&answer.json().unwrap()), "/call");
}

async fn check_ends_well(process: &Process) {
    let code = process.exit_code(END).await.unwrap();
    assert_eq!(code, 0, "{:?}", process.stderr().all());
}

/// Ends a process that runs a call; the call's client is one of `gateway`.
async fn check_end(gateway: &Running, process: &Running, signal: Signal) {
    let target = Target::start(|_, _| Answer::Released).await;
    let client = begin_call(gateway, &target).await;
    process.signal(signal).unwrap();
    until_draining(process).await;
    assert_eq!(process.try_exit().unwrap(), None, "a call runs");
    assert_eq!(target.has_left("/call"), None);
    target.release();
    check_answered(client).await;
    check_ends_well(process).await;
    assert_eq!(target.times("/call"), 1);
}

#[tokio::test]
async fn embedded_platform_answers_what_runs_and_ends_when_asked() {
    for signal in SIGNALS {
        let platform = embedded().await;
        check_end(&platform, &platform, signal).await;
    }
}

#[tokio::test]
async fn gateway_answers_what_runs_and_ends_when_asked() {
    let site = Site::new().await;
    let _worker = site.worker().await;
    for signal in SIGNALS {
        let gateway = site.gateway().await;
        gateway.lists("wget").await;
        check_end(&gateway, &gateway, signal).await;
    }
}

#[tokio::test]
async fn gateway_that_is_asked_to_end_answers_what_comes_on_an_open_connection() {
    let platform = embedded().await;
    let target = Target::echo().await;
    let request = Request::modern_call(1, "wget", &target.arguments("/call"));
    let mut client = platform.open(&request).await;
    let answer = client.response(SOON).await.unwrap();
    assert_eq!(answer.header("connection"), None);
    platform.terminate().unwrap();
    until_draining(&platform).await;
    client.send(&platform.written(&request)).await.unwrap();
    let answer = client.response(SOON).await.unwrap();
    assert_eq!(body_of(&answer.json().unwrap()), "/call");
    assert_eq!(answer.header("connection"), Some("close"));
    check_ends_well(&platform).await;
}

#[tokio::test]
async fn worker_answers_what_runs_and_ends_when_asked() {
    let site = Site::new().await;
    let gateway = site.gateway().await;
    for signal in SIGNALS {
        let worker = site.worker().await;
        gateway.lists("wget").await;
        check_end(&gateway, &worker, signal).await;
    }
}

/// The same for a client on standard input.
async fn check_stdio_end(gateway: &Stdio, signal: Signal) {
    let target = Target::start(|_, _| Answer::Released).await;
    gateway.send_modern_call(1, "wget", &target.arguments("/call"));
    target.until_asked(1).await;
    gateway.signal(signal).unwrap();
    let heard = |line: &str| line.contains("stopping");
    gateway
        .stderr()
        .line("it drains", SOON, heard)
        .await
        .unwrap();
    target.release();
    assert_eq!(body_of(&gateway.answer(1).await), "/call");
    check_ends_well(gateway).await;
}

#[tokio::test]
async fn stdio_platform_answers_what_runs_and_ends_when_asked() {
    for signal in SIGNALS {
        check_stdio_end(&embedded_stdio().await, signal).await;
    }
}

#[tokio::test]
async fn stdio_gateway_answers_what_runs_and_ends_when_asked() {
    let site = Site::new().await;
    let _worker = site.worker().await;
    for signal in SIGNALS {
        check_stdio_end(&site.stdio().await, signal).await;
    }
}

#[tokio::test]
async fn idle_processes_end_when_asked() {
    let site = Site::new().await;
    for signal in SIGNALS {
        let (platform, worker, gateway) = tokio::join!(embedded(), site.worker(), site.gateway());
        for process in [&platform, &worker, &gateway] {
            process.signal(signal).unwrap();
        }
        for process in [&platform, &worker, &gateway] {
            check_ends_well(process).await;
        }
    }
}
