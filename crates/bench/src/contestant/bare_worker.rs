//! The least that a worker over the broker can be: it sends each message back to who sent it.
//!
//! It gives the same guarantees as a worker of ours and nothing else: a durable quorum queue with
//! the same arguments, replies that are mandatory and confirmed, and the request acked after that.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};

/// Category whose requests the bare loop takes.
pub(crate) const CATEGORY: &str = "bare";
/// The work queue of that category.
pub(crate) const QUEUE: &str = "mcp.discovery.tools.bare";
/// Said on standard output once requests are taken.
pub(crate) const READY: &str = "ready";
/// Delivery mode of messages that need not outlive the broker.
const TRANSIENT: u8 = 1;

/// Works until the process is ended.
pub(crate) fn run(url: &str, prefetch: u16) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work(url, prefetch))?;
    Ok(ExitCode::SUCCESS)
}

async fn work(url: &str, prefetch: u16) -> Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let publishing = connection.create_channel().await?;
    publishing
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    let consuming = connection.create_channel().await?;
    consuming
        .basic_qos(prefetch, BasicQosOptions::default())
        .await?;
    let options = QueueDeclareOptions::durable();
    consuming
        .queue_declare(QUEUE.into(), options, arguments())
        .await?;
    let mut deliveries = consuming
        .basic_consume(
            QUEUE.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    writeln!(std::io::stdout(), "{READY}")?;
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            delivery = deliveries.next() => {
                let delivery = delivery.context("the consumer has ended")??;
                running.push(answer(&publishing, delivery));
            }
            Some(answered) = running.next() => answered?,
        }
    }
}

async fn answer(channel: &Channel, delivery: Delivery) -> Result<()> {
    let properties = &delivery.properties;
    let (Some(reply_to), Some(id)) = (properties.reply_to(), properties.correlation_id()) else {
        bail!("a request without an address");
    };
    let mandatory = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let properties = BasicProperties::default()
        .with_delivery_mode(TRANSIENT)
        .with_correlation_id(id.clone());
    let confirmed = channel
        .basic_publish(
            "".into(),
            reply_to.clone(),
            mandatory,
            &delivery.data,
            properties,
        )
        .await?
        .await?;
    // A reply that comes back has nobody who waits for it.
    if let Confirmation::Nack(_) | Confirmation::NotRequested = confirmed {
        bail!("the broker refuses a reply");
    }
    delivery.acker.ack(BasicAckOptions::default()).await?;
    Ok(())
}

/// As the platform declares its work queues.
fn arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(100_000));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(20));
    arguments
}
