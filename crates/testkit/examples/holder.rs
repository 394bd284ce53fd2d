//! Holds a child and a broker until it is killed; the tests look at what is left behind then.

use testkit::{process::Program, rabbitmq::Node};

#[expect(clippy::print_stdout, reason = "the test reads the process ids here")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let child = Program::new("sleep").arg("600").start()?;
    let node = Node::start().await?;
    println!("{} {}", child.pid(), node.pid()?);
    std::future::pending().await
}
