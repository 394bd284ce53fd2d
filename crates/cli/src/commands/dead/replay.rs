use std::sync::Arc;
use std::time::Duration;

use bus::{CallRequest, Caller, Frame};
use protocol::headers::{self, dead};
use protocol::mcp::method;
use protocol::{Category, Names};
use service::{ExitError, Process, broker};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::outcome::Outcome;
use super::{Desk, Letter, count};
use crate::output::{harmless, print};

/// How long the reply queue may take to stand.
const REPLY_QUEUE_TIME: Duration = Duration::from_secs(10);
/// How long a call may take of which nothing is known.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long letters are held at most: after half an hour the broker would take them away.
const HOLD: Duration = Duration::from_mins(15);

/// The methods that workers serve.
const METHODS: [&str; 4] = [
    method::TOOLS_CALL,
    method::PROMPTS_GET,
    method::RESOURCES_READ,
    method::COMPLETE,
];

/// Calls made anew from letters.
pub(super) struct Replay<'a> {
    desk: &'a Desk,
    caller: Caller,
    _replies: JoinSet<()>,
    began: Instant,
}

impl<'a> Replay<'a> {
    /// Opens a reply queue of its own.
    pub(super) async fn start(process: &Process, desk: &'a Desk) -> Result<Self, ExitError> {
        let settings = &process.settings;
        let instance = format!("operator-{}", Uuid::now_v7().simple());
        let ttl = settings.amqp_message_ttl.get();
        let caller = Caller::new(Arc::clone(&desk.bus), desk.names.clone(), instance, ttl)
            .routed_by(broker::routing(settings));
        let mut replies = JoinSet::new();
        let (running, backoff) = (caller.clone(), broker::backoff(settings));
        replies.spawn(async move {
            // What ends it for good shows as calls without an answer.
            let _ = running.run(&backoff, &CancellationToken::new()).await;
        });
        if timeout(REPLY_QUEUE_TIME, caller.connected()).await.is_err() {
            return Err(broker::exit(bus::Error::Timeout(REPLY_QUEUE_TIME)));
        }
        Ok(Self {
            desk,
            caller,
            _replies: replies,
            began: Instant::now(),
        })
    }

    /// Makes the calls one after the other, and removes the letter of each that is finished.
    pub(super) async fn run(
        &mut self,
        letters: &[&Letter],
        timeout: Option<Duration>,
        json: bool,
    ) -> Result<(), ExitError> {
        let (mut n_left, mut n_bad) = (0, 0);
        for letter in letters {
            let id = Uuid::now_v7().to_string();
            let outcome = tokio::select! {
                biased;
                lost = self.desk.lost() => return Err(lost),
                outcome = self.outcome(letter, timeout, &id) => outcome,
            };
            if outcome.is_final() {
                letter.remove().await.map_err(broker::exit)?;
            } else {
                n_left += 1;
            }
            n_bad += usize::from(!outcome.is_good());
            print(&if json {
                format!("{}\n", outcome.json(letter.id(), &id))
            } else {
                harmless(&outcome.text(letter.id(), letter.name(), &id))
            })?;
        }
        if n_bad > 0 {
            let n_letters = count(letters.len());
            let error = format!("{n_bad} of {n_letters} without a good answer, {n_left} stay");
            return Err(ExitError::new(1, error));
        }
        Ok(())
    }

    async fn outcome(&self, letter: &Letter, timeout: Option<Duration>, id: &str) -> Outcome {
        if self.began.elapsed() > HOLD {
            return Outcome::stays("not called: letters are held for 15 minutes; begin again");
        }
        let request = match request(letter, timeout, &self.desk.names, id) {
            Ok(request) => request,
            Err(why) => return Outcome::stays(why),
        };
        let category = &request.category;
        let queue = self.desk.names.work_queue(category);
        match self.desk.bus.queue_state(&queue).await {
            Ok(Some(state)) if state.consumers > 0 => {}
            Ok(_) => {
                return Outcome::stays(format!(
                    "no worker of category {category} takes calls now; start one, for instance \
                     discovery-worker-{category}"
                ));
            }
            Err(error) => return Outcome::stays(error.to_string()),
        }
        self.call(request).await
    }

    async fn call(&self, request: CallRequest) -> Outcome {
        let mut call = match self.caller.call(request) {
            Ok(call) => call,
            Err(error) => return Outcome::stays(error.to_string()),
        };
        loop {
            match call.next().await {
                Ok(Frame::Final(body)) => return Outcome::of(&body),
                Ok(_) => {}
                Err(error) => return Outcome::stays(error.to_string()),
            }
        }
    }
}

/// The new call; its trace begins with it.
fn request(
    letter: &Letter,
    timeout: Option<Duration>,
    names: &Names,
    id: &str,
) -> Result<CallRequest, String> {
    let exchange = letter.text(dead::EXCHANGE).unwrap_or_default();
    let key = letter.text(dead::ROUTING_KEY).unwrap_or_default();
    let Some(category) = names.category_addressed(exchange, key) else {
        return Err(format!(
            "it was sent to exchange {exchange:?} with key {key:?}, which is no call of a worker \
             under the prefix {}",
            names.prefix()
        ));
    };
    let asked = letter.text(headers::METHOD).unwrap_or_default();
    let Some(method) = METHODS.into_iter().find(|known| *known == asked) else {
        return Err(format!("workers do not serve the method {asked:?}"));
    };
    Ok(CallRequest {
        tool: tool(letter, key, &category, names),
        category,
        method,
        name: letter.name().to_owned(),
        body: letter.message.body.clone(),
        timeout: timeout
            .or_else(|| usual(letter))
            .unwrap_or(TIMEOUT)
            .min(HOLD),
        message_id: id.to_owned(),
        // The stored answer of a key is not looked for: the operator asks for a new one.
        idempotent: false,
        // Nobody has told who works there.
        workers_read_zstd: false,
        waits_for_worker: false,
        params: params(letter),
        trace: vec![(dead::REPLAY_OF, letter.id().to_owned())],
    })
}

/// The last part of a routing key; one that is the queue's name has no such part.
fn tool(letter: &Letter, key: &str, category: &Category, names: &Names) -> String {
    let queue = names.work_queue(category);
    let tool = key
        .strip_prefix(&queue)
        .and_then(|tool| tool.strip_prefix('.'));
    tool.unwrap_or_else(|| letter.name()).to_owned()
}

/// How long such a call may take.
fn usual(letter: &Letter) -> Option<Duration> {
    let milliseconds = u64::try_from(letter.int(dead::TIMEOUT)?).ok()?;
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

/// Arguments that are mirrored in headers.
fn params(letter: &Letter) -> Vec<(String, String)> {
    let mirrored = letter.message.headers.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix(headers::PARAM_PREFIX)?;
        match value {
            bus::Value::Text(text) => Some((name.to_owned(), text.clone())),
            _ => None,
        }
    });
    mirrored.collect()
}

#[cfg(test)]
mod tests {
    use bus::{Headers, Message};

    use super::*;

    fn letter(method: &str, exchange: &str, key: &str) -> Letter {
        Letter::of(Message {
            message_id: Some("old".to_owned()),
            headers: Headers::default()
                .with(headers::METHOD, method)
                .with(headers::NAME, "ping")
                .with(headers::TRACEPARENT, "00-1-2-01")
                .with("mcp-param-colour", "blue")
                .with(dead::EXCHANGE, exchange)
                .with(dead::ROUTING_KEY, key),
            body: "{}".into(),
            ..Message::default()
        })
    }

    const KEY: &str = "mcp.discovery.tools.network.ping";

    #[test]
    fn a_replay_is_a_new_call_to_the_same_workers() {
        let mut letter = letter("tools/call", Names::REQUESTS, KEY);
        let names = Names::default();
        let made = request(&letter, None, &names, "new").unwrap();
        assert_eq!(
            (made.category.as_str(), made.tool.as_str()),
            ("network", "ping")
        );
        assert_eq!((made.method, made.name.as_str()), ("tools/call", "ping"));
        assert_eq!((made.message_id.as_str(), made.timeout), ("new", TIMEOUT));
        assert_eq!(made.params, [("colour".to_owned(), "blue".to_owned())]);
        assert_eq!(made.trace, [(dead::REPLAY_OF, "old".to_owned())]);
        let headers = &mut letter.message.headers;
        headers.insert(dead::TIMEOUT, 5_000_i64);
        let made = request(&letter, None, &names, "new").unwrap();
        assert_eq!(made.timeout, Duration::from_secs(5));
        let asked = Some(Duration::from_secs(2));
        let made = request(&letter, asked, &names, "new").unwrap();
        assert_eq!(made.timeout, Duration::from_secs(2));
    }

    #[test]
    fn a_letter_that_was_sent_straight_to_a_work_queue_is_replayed_too() {
        let letter = letter("tools/call", "", "mcp.discovery.tools.network");
        let made = request(&letter, None, &Names::default(), "new").unwrap();
        assert_eq!(
            (made.category.as_str(), made.tool.as_str()),
            ("network", "ping")
        );
    }

    #[test]
    fn what_is_no_call_of_this_platform_is_not_sent() {
        let check = |method: &str, exchange: &str, key: &str, why: &str| {
            let letter = letter(method, exchange, key);
            let error = request(&letter, None, &Names::default(), "new").unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        check("tools/list", Names::REQUESTS, KEY, "tools/list");
        check("", Names::REQUESTS, KEY, "the method \"\"");
        check("tools/call", "another", KEY, "another");
        check("tools/call", "", KEY, "prefix");
        check(
            "tools/call",
            Names::REQUESTS,
            "other.tools.network.ping",
            "prefix",
        );
        check("tools/call", Names::REQUESTS, "", "prefix");
    }
}
