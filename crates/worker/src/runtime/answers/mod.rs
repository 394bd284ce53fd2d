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
//! It is *not* durable: what no worker of the category has heard is not known, and a worker that
//! starts knows nothing. Tools that change state keep their answers themselves
//! ([`crate::Answers`]).

mod claim;
mod kept;
mod news;
mod table;

pub(super) use claim::{Claim, Coming, Entered, Listening, Memory};
pub(super) use kept::Kept;
pub(super) use news::{Release, publish_releases, take};
