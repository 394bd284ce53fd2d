//! One conversation with one agent.

use std::net::{IpAddr, SocketAddr};

use tokio::time::Instant;

use crate::Error;
use crate::client::{Access, Reader};
use crate::topology::read::{self, Outcome};
use crate::topology::{Device, Identity};

/// What there is to do at an address.
#[derive(Debug)]
pub(super) enum Visit {
    /// To ask whether somebody answers.
    Meet(IpAddr),
    /// To ask what tells this device from others.
    Who(IpAddr, Identity),
    /// To ask whom the device of this number sees.
    Neighbours(usize, IpAddr, Box<Device>),
}

/// What a visit came to.
#[derive(Debug)]
pub(super) enum Step {
    /// Nobody answered.
    Silent(IpAddr, Error),
    /// Somebody answered, whom we may know already.
    Met(IpAddr, Identity),
    /// Somebody answered with a failure.
    Failed(IpAddr, Error),
    /// Somebody told who it is.
    Told(IpAddr, Box<Device>, Outcome),
    /// The device of this number told whom it sees.
    Done(usize, Box<Device>, Outcome),
}

impl Visit {
    /// Does it until `end`, on a socket of its own.
    pub(super) async fn run(self, access: &Access, port: u16, end: Instant) -> Step {
        let connect = async |address: IpAddr| {
            let client = access.connect(SocketAddr::new(address, port)).await?;
            Ok(Reader::new(client))
        };
        match self {
            Self::Meet(address) => {
                let met = async { read::identify(&connect(address).await?).await };
                match met.await {
                    Ok(identity) => Step::Met(address, identity),
                    Err(error @ (Error::Timeout { .. } | Error::Network { .. })) => {
                        Step::Silent(address, error)
                    }
                    Err(error) => Step::Failed(address, error),
                }
            }
            Self::Who(address, identity) => {
                let mut device = Box::new(Device::met(address, identity));
                match connect(address).await {
                    Ok(reader) => {
                        let told = read::sections(&reader, &mut device, &read::WHO, end).await;
                        Step::Told(address, device, told)
                    }
                    Err(error) => Step::Failed(address, error),
                }
            }
            Self::Neighbours(number, address, mut device) => {
                let told = match connect(address).await {
                    Ok(reader) => {
                        read::sections(&reader, &mut device, &read::NEIGHBOURS, end).await
                    }
                    Err(error) => {
                        device.notes.push(format!("neighbours: {error}"));
                        Outcome::Cut
                    }
                };
                Step::Done(number, device, told)
            }
        }
    }
}
