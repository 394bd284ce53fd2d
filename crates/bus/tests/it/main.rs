//! The promises of a bus, kept by both implementations.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod alarms;
mod bodies;
mod bundles;
mod calls;
mod grants;
mod letters;
mod messages;
mod nodes;
mod outages;
mod own_broker;
mod site;

/// Makes one test of every case for every implementation.
macro_rules! on_both_buses {
    ($($case:ident),* $(,)?) => {
        mod in_memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(crate::site::Site::in_memory()).await;
                }
            )*
        }

        mod on_rabbitmq {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(crate::site::Site::on_rabbitmq().await).await;
                }
            )*
        }
    };
}
pub(crate) use on_both_buses;
