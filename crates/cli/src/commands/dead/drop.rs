use serde_json::{Value, json};
use service::{ExitError, broker};

use super::{Letter, count, selection};
use crate::arguments::Which;
use crate::output::{harmless, print};

/// Removes letters and says which.
pub(super) async fn run(letters: &[Letter], which: &Which, json: bool) -> Result<(), ExitError> {
    let chosen = selection::choose(letters, which)?;
    for letter in &chosen {
        letter.remove().await.map_err(broker::exit)?;
    }
    if json {
        let ids: Vec<Value> = chosen.iter().map(|letter| letter.id().into()).collect();
        return print(&format!("{:#}\n", json!({ "dropped": ids })));
    }
    let lines: Vec<String> = chosen
        .iter()
        .map(|letter| format!("dropped {} {}\n", letter.id(), letter.name()))
        .collect();
    let left = letters.len() - chosen.len();
    print(&harmless(&lines.concat()))?;
    print(&format!(
        "{} dropped, {} left\n",
        count(chosen.len()),
        count(left)
    ))
}
