//! Answers to calls that their callers gave a key, so that a repetition gets the same one.
//!
//! Each worker keeps them in memory ([`table`]), bounded and for a day. Workers of a category
//! share them over the control exchange ([`news`]): whoever is about to run such a call claims
//! its key, and tells the answer before it replies. A repetition waits for a claim to become an
//! answer, and runs itself when the claim goes without one.
//!
//! Two workers may claim a key at the same moment. Each waits until its claim has been confirmed,
//! and then until it has heard everything that reached its own control queue up to that moment
//! (a mark that it sends to itself): so at least one of them knows of the other before it begins.
//! Of those that know, only the one whose claim has the lowest identifier stays, and it waits
//! until the others have withdrawn theirs or answered.
//!
//! A worker that begins to listen asks the others what they know ([`catch_up`]), so that answers
//! live as long as one worker of the category does. It is *not* durable beyond that. Tools that
//! change state keep their answers themselves ([`crate::Answers`]).

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod catch_up;
mod claim;
mod kept;
mod news;
mod table;

pub(super) use catch_up::catch_up;
pub(super) use claim::{Claim, Coming, Entered, Listening, Memory, ToPublish};
pub(super) use kept::Kept;
pub(super) use news::take;

/// Publishes what waits until there is `no_more`.
pub(super) fn publish(
    tasks: &mut JoinSet<()>,
    memory: &Arc<Memory>,
    to_publish: ToPublish,
    no_more: &CancellationToken,
) {
    let ToPublish {
        releases,
        questions,
    } = to_publish;
    let (memory, stop) = (Arc::clone(memory), no_more.clone());
    let answering = catch_up::answer_questions(questions, Arc::clone(&memory));
    tasks.spawn(news::publish_releases(releases, memory, no_more.clone()));
    tasks.spawn(async move {
        stop.run_until_cancelled(answering).await;
    });
}
