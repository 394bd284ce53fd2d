use service::health::Component;
use tokio::sync::watch;

/// Why a worker without a consumer is down.
const ABSENT: &str = "no consumer has a connection to the message broker";

/// How many consumers of this worker really consume, and what health says of it.
#[derive(Debug)]
pub(super) struct Presence {
    component: Component,
    consumers: watch::Sender<usize>,
}

/// One consumer that consumes, until it is dropped.
#[derive(Debug)]
pub(super) struct Consuming<'a>(&'a Presence);

impl Presence {
    pub(super) fn new(component: Component) -> Self {
        component.down(ABSENT);
        Self {
            component,
            consumers: watch::Sender::new(0),
        }
    }

    pub(super) fn consuming(&self) -> Consuming<'_> {
        self.consumers.send_modify(|consumers| *consumers += 1);
        self.component.up();
        Consuming(self)
    }

    pub(super) fn consumers(&self) -> watch::Receiver<usize> {
        self.consumers.subscribe()
    }

    pub(super) fn is_consuming(&self) -> bool {
        *self.consumers.borrow() > 0
    }

    /// What a look at the work queue showed while this worker believes that it consumes.
    pub(super) fn probed(&self, fault: Option<&str>) {
        match fault {
            _ if !self.is_consuming() => {}
            None => self.component.up(),
            Some(fault) => self.component.down(fault),
        }
    }

    pub(super) fn stopped(&self) {
        self.component.down("the worker has stopped");
    }
}

impl Drop for Consuming<'_> {
    fn drop(&mut self) {
        let Presence {
            component,
            consumers,
        } = self.0;
        consumers.send_modify(|consumers| *consumers -= 1);
        if !self.0.is_consuming() {
            component.down(ABSENT);
        }
    }
}
