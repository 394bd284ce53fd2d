//! Children: their lines, signals and ends.

use std::{path::Path, time::Duration};

use testkit::{process::Program, wait};

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Program {
    Program::new("/bin/sh").args(["-c", script])
}

#[tokio::test]
async fn lines_are_seen_as_they_come_and_the_exit_code_at_the_end() {
    let child = shell("echo one; read -r word; echo got $word >&2; exit 7")
        .start()
        .unwrap();
    child
        .stdout()
        .line("first", SOON, |line| line == "one")
        .await
        .unwrap();
    child.write_line("two").unwrap();
    let line = child
        .stderr()
        .line("second", SOON, |line| line.contains("got"))
        .await
        .unwrap();
    assert_eq!(line, "got two");
    assert_eq!(child.exit_code(SOON).await.unwrap(), 7);
    assert_eq!(child.stdout().to_end(SOON).await.unwrap(), ["one"]);
}

#[tokio::test]
async fn line_that_never_comes_is_an_error_with_what_came() {
    let child = shell("echo something else").start().unwrap();
    let error = child
        .stdout()
        .line("greeting", SOON, |line| line == "hello")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("greeting"), "{error}");
    assert!(error.to_string().contains("something else"), "{error}");
}

#[tokio::test]
async fn termination_and_kill_are_told_apart() {
    let polite = shell("trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done")
        .start()
        .unwrap();
    polite
        .stdout()
        .line("up", SOON, |line| line == "up")
        .await
        .unwrap();
    polite.terminate().unwrap();
    assert_eq!(polite.exit_code(SOON).await.unwrap(), 3);
    let stubborn = shell("exec sleep 600").start().unwrap();
    stubborn.kill_9().unwrap();
    assert_eq!(stubborn.exit_code(SOON).await.unwrap(), 128 + 9);
    assert!(
        stubborn.terminate().is_err(),
        "an ended process gets no signal"
    );
}

#[tokio::test]
async fn environment_of_the_test_is_not_passed_on() {
    let output = shell("env").run(b"", SOON).await.unwrap();
    assert!(output.stdout.contains("PATH="), "{}", output.stdout);
    assert!(
        !output.stdout.contains("CARGO_MANIFEST_DIR="),
        "{}",
        output.stdout
    );
}

#[tokio::test]
async fn program_that_does_not_end_is_stopped_at_the_deadline() {
    let error = shell("exec sleep 600")
        .run(b"", Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not ended"), "{error}");
}

#[tokio::test]
async fn dropped_process_is_gone() {
    let child = shell("exec sleep 600").start().unwrap();
    let folder = Path::new("/proc").join(child.pid().to_string());
    assert!(folder.exists());
    drop(child);
    wait::until("it is gone", SOON, async || {
        (!folder.exists()).then_some(())
    })
    .await
    .unwrap();
}
