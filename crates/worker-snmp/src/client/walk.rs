use super::Reader;
use crate::value::VarBind;
use crate::{Error, Oid};

/// Everything below one object identifier, a batch at a time.
#[derive(Debug)]
pub(crate) struct Walk {
    reader: Reader,
    root: Oid,
    /// The last object that was given.
    position: Oid,
    is_over: bool,
    note: Option<String>,
}

impl Walk {
    pub(super) fn new(reader: Reader, root: Oid) -> Self {
        let position = root.clone();
        Self::from(reader, root, position)
    }

    pub(super) fn from(reader: Reader, root: Oid, position: Oid) -> Self {
        Self {
            reader,
            root,
            position,
            is_over: false,
            note: None,
        }
    }

    /// The next objects, at least one; `None` when nothing follows.
    ///
    /// # Errors
    /// See [`Error`]; the walk is over then, and what was given before is good.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<VarBind>>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let from = [self.position.clone()];
        let answer = self.reader.many(&from).await;
        let values = answer.inspect_err(|_| self.is_over = true)?;
        let mut batch = Vec::with_capacity(values.len());
        for value in values {
            if let Some(fault) = value.value.fault() {
                self.is_over = true;
                return Err(fault.error(self.reader.agent(), &value.oid));
            }
            if value.value.is_absent() || !value.oid.is_in(&self.root) {
                self.is_over = true;
                break;
            }
            if value.oid <= self.position {
                self.stop(format!(
                    "the agent answers {} after {}, which does not increase; the walk ends there",
                    value.oid, self.position
                ));
                break;
            }
            self.position = value.oid.clone();
            batch.push(value);
        }
        if batch.is_empty() {
            self.is_over = true;
            return Ok(None);
        }
        Ok(Some(batch))
    }

    /// Why the walk ended before its end, if it did without an error.
    #[must_use]
    pub(crate) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// What it goes below.
    #[must_use]
    pub(crate) fn root(&self) -> &Oid {
        &self.root
    }

    /// The last object that was given; the root before the first.
    #[must_use]
    pub(crate) fn position(&self) -> &Oid {
        &self.position
    }

    fn stop(&mut self, note: String) {
        self.is_over = true;
        self.note = Some(note);
    }
}

#[cfg(test)]
mod tests {
    use crate::client::scripted::{Agent, reader};
    use crate::client::{Reader, Version};
    use crate::error::{AuthenticationFault, Status};
    use crate::value::Value;
    use crate::{Error, Oid};

    fn oid(text: &str) -> Oid {
        text.parse().unwrap()
    }

    /// Everything that a walk gives, and its note.
    async fn walk(reader: &Reader, root: &str) -> (Vec<String>, Option<String>) {
        let mut walk = reader.walk(oid(root));
        let mut given = Vec::new();
        while let Some(batch) = walk.next().await.unwrap() {
            assert!(!batch.is_empty());
            given.extend(batch.iter().map(|it| it.oid.to_string()));
        }
        (given, walk.note().map(str::to_owned))
    }

    fn large(version: Version) -> Agent {
        (1..=100)
            .fold(Agent::new(version), |agent, n| {
                agent.with(&format!("1.3.6.1.9.{n}"), Value::Integer(n))
            })
            .with("1.3.6.1.10.1", Value::Null)
    }

    #[tokio::test]
    async fn a_walk_gives_everything_below_its_root_and_nothing_else() {
        for version in [Version::V1, Version::V2c] {
            let reader = reader(large(version));
            let (given, note) = walk(&reader, "1.3.6.1.9").await;
            let expected: Vec<String> = (1..=100).map(|n| format!("1.3.6.1.9.{n}")).collect();
            assert_eq!((given, note), (expected, None), "{version}");
            assert_eq!(walk(&reader, "1.3.6.1.11").await.0.len(), 0);
        }
    }

    #[tokio::test]
    async fn an_agent_that_cannot_answer_much_is_asked_for_less() {
        for status in [Status::TooBig, Status::GenErr] {
            for most in [0, 1, 3, 20] {
                let agent = large(Version::V2c).bears(most, status);
                let asked = agent.asked();
                let (given, note) = walk(&reader(agent), "1.3.6.1.9").await;
                assert_eq!((given.len(), note), (100, None), "{status} above {most}");
                let largest = asked.repetitions();
                assert_eq!(largest.first(), Some(&40));
                // What it does not bear is not asked for again.
                let n_refused = largest.iter().filter(|n| **n > most).count();
                assert!(n_refused <= 6, "{largest:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_walk_in_circles_ends_with_a_note() {
        let agent = large(Version::V2c).circles_from("1.3.6.1.9.50", "1.3.6.1.9.10");
        let (given, note) = walk(&reader(agent), "1.3.6.1.9").await;
        assert_eq!(given.len(), 50);
        let note = note.unwrap();
        assert!(note.contains("1.3.6.1.9.10 after 1.3.6.1.9.50"), "{note}");
    }

    #[tokio::test]
    async fn an_agent_that_never_answers_is_asked_for_one_object_and_no_more() {
        let agent = large(Version::V2c).silent();
        let asked = agent.asked();
        let error = reader(agent)
            .walk(oid("1.3.6.1.9"))
            .next()
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
        assert_eq!(asked.repetitions(), [40, 0]);
    }

    #[tokio::test]
    async fn an_agent_that_is_silent_to_much_is_asked_for_less() {
        for most in [0, 1, 10] {
            let agent = large(Version::V2c).silent_above(most);
            let asked = agent.asked();
            let (given, note) = walk(&reader(agent), "1.3.6.1.9").await;
            assert_eq!((given.len(), note), (100, None), "silent above {most}");
            let n_silent = asked.repetitions().iter().filter(|n| **n > most).count();
            assert!(n_silent <= 2, "{:?}", asked.repetitions());
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_on_the_way_is_said_after_what_was_given() {
        let fault = AuthenticationFault::AccessControl;
        let agent = large(Version::V2c).refuses_from("1.3.6.1.9.41", fault);
        let mut walk = reader(agent).walk(oid("1.3.6.1.9"));
        assert_eq!(walk.next().await.unwrap().unwrap().len(), 40);
        let error = walk.next().await.unwrap_err();
        assert!(matches!(error, Error::Authentication { .. }), "{error}");
        assert_eq!(walk.position(), &oid("1.3.6.1.9.40"));
        assert!(walk.next().await.unwrap().is_none());
    }
}
