use std::sync::{Arc, Mutex, PoisonError, Weak};

use lapin::Connection;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use tokio::time::timeout;

use super::{ANSWER_TIME, fault};
use crate::{Error, QueueState};

/// The connections of the open links. A blocked broker reads nothing from those that publish,
/// so questions go over one of these.
#[derive(Debug, Default)]
pub(super) struct Links(Mutex<Vec<Weak<Connection>>>);

impl Links {
    pub(super) fn add(&self, link: &Arc<Connection>) {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    /// A connection that answers, if there is one.
    pub(super) fn any(&self) -> Option<Arc<Connection>> {
        let links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links
            .iter()
            .filter_map(Weak::upgrade)
            .find(|link| link.status().connected())
    }
}

/// Asks for the state of a queue by a passive declare, on a channel of its own.
pub(super) async fn queue_state(
    connection: &Connection,
    queue: &str,
) -> Result<Option<QueueState>, Error> {
    let ask = async {
        let channel = connection.create_channel().await?;
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let declared = channel
            .queue_declare(queue.into(), passive, FieldTable::default())
            .await?;
        let (consumers, messages) = (declared.consumer_count(), declared.message_count());
        channel.close(200, "done".into()).await?;
        Ok(QueueState {
            consumers,
            messages,
        })
    };
    match timeout(ANSWER_TIME, ask).await {
        Err(_) => Err(Error::Timeout(ANSWER_TIME)),
        Ok(Ok(state)) => Ok(Some(state)),
        Ok(Err(error)) if fault::is_not_found(&error) => Ok(None),
        Ok(Err(error)) => Err(fault::of_operation(&error, queue)),
    }
}
