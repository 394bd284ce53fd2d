//! Many clients at a time.

use std::collections::HashSet;

use bus::memory::MemoryBus;
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::*;

const CLIENTS: i64 = 1000;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_clients_with_the_same_request_id_get_their_own_answers() {
    let bus = MemoryBus::new();
    let worker = Worker::start(&bus).await;
    let gate = Gate::http(&bus).await;
    gate.lists("lab_progress").await;
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = gate.client();
        clients.spawn(async move {
            let arguments = json!({ "number": number });
            let answer = if number % 2 == 0 {
                let mut body = call(1, "lab_progress", arguments);
                body["params"]["_meta"]["progressToken"] = number.into();
                client.modern(&body).await
            } else {
                let session = client.session("2025-11-25").await;
                let mut body = legacy_call(1, "lab_progress", arguments);
                body["params"]["_meta"] = json!({ "progressToken": number });
                client.legacy(&session, &body).await
            };
            let mut events = answer.events();
            let last = events.pop().unwrap();
            assert_eq!(last["id"], 1);
            assert_eq!(
                last["result"]["structuredContent"]["done"]["number"],
                number
            );
            assert_eq!(events.len(), 2, "progress of this call only");
            assert!(
                events
                    .iter()
                    .all(|event| event["params"]["progressToken"] == number)
            );
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let ids: HashSet<String> = worker
        .calls()
        .into_iter()
        .filter_map(|call| call.correlation_id)
        .collect();
    assert_eq!(
        ids.len(),
        usize::try_from(CLIENTS).unwrap(),
        "each was executed once"
    );
}
