//! One connection through the proxy.

use std::{io, net::SocketAddr, num::NonZeroU64, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use uuid::Uuid;

use super::{Conduct, Way};

/// How long the upstream may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The longest piece that is passed on at once.
const PIECE: usize = 16 << 10;
/// Pieces on their way in one direction; beyond, the sender has to wait.
const ON_THE_WAY: usize = 1024;
/// Pieces per second of a throttled direction.
const PIECES_PER_SECOND: u64 = 20;

/// Passes bytes on until both sides have said all, or one breaks off.
pub(super) async fn serve(
    mut client: TcpStream,
    upstream: SocketAddr,
    number: u64,
    mut conduct: watch::Receiver<Conduct>,
) {
    let connecting = timeout(CONNECT_TIME, TcpStream::connect(upstream));
    let Ok(Ok(mut server)) = connecting.await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut reset = conduct.clone();
    let broken = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let up = Direction::new(number, conduct.clone(), |conduct| conduct.to_upstream);
        let down = Direction::new(number, conduct.clone(), |conduct| conduct.to_client);
        let both = async {
            tokio::try_join!(
                up.pass(from_client, to_server),
                down.pass(from_server, to_client)
            )
        };
        tokio::select! {
            passed = both => passed.is_err(),
            _ = reset.wait_for(|conduct| number < conduct.reset) => true,
        }
    };
    // Neither is told anything of a connection that was forgotten, not even its end.
    if conduct.borrow_and_update().forgotten > number {
        let gone = conduct.wait_for(|conduct| number < conduct.reset);
        let _ = gone.await;
    }
    if broken {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// One direction of a connection.
struct Direction<F> {
    number: u64,
    conduct: watch::Receiver<Conduct>,
    way: F,
}

impl<F> Direction<F>
where
    F: Fn(&Conduct) -> Way,
{
    fn new(number: u64, conduct: watch::Receiver<Conduct>, way: F) -> Self {
        Self {
            number,
            conduct,
            way,
        }
    }

    /// Passes bytes on, then the end.
    async fn pass(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
        let read = async {
            let queue = queue;
            let mut last_due = Instant::now();
            loop {
                let mut piece = vec![0; piece_length(self.open().await)];
                let length = from.read(&mut piece).await?;
                // It may have become another one meanwhile.
                let way = self.open().await;
                if length == 0 {
                    return Ok(());
                }
                piece.truncate(length);
                last_due = last_due.max(Instant::now() + way.delay + part_of(way.jitter));
                if queue.send((last_due, piece)).await.is_err() {
                    return Ok(());
                }
            }
        };
        let write = async {
            while let Some((due, piece)) = queued.recv().await {
                sleep_until(due).await;
                let way = self.open().await;
                to.write_all(&piece).await?;
                if let Some(rate) = way.bytes_per_second {
                    sleep(time_of(piece.len(), rate)).await;
                }
            }
            self.open().await;
            to.shutdown().await
        };
        tokio::try_join!(read, write).map(|_: ((), ())| ())
    }

    /// Waits until the direction is not stopped.
    async fn open(&self) -> Way {
        let mut conduct = self.conduct.clone();
        let is_open =
            |conduct: &Conduct| self.number >= conduct.forgotten && !(self.way)(conduct).is_stopped;
        let open = conduct.wait_for(is_open).await;
        if let Some(way) = open.ok().map(|conduct| (self.way)(&conduct)) {
            return way;
        }
        // The proxy has ended, and this connection is about to.
        std::future::pending().await
    }
}

fn piece_length(way: Way) -> usize {
    let Some(rate) = way.bytes_per_second else {
        return PIECE;
    };
    let length = usize::try_from(rate.get() / PIECES_PER_SECOND).unwrap_or(PIECE);
    length.clamp(1, PIECE)
}

fn time_of(length: usize, rate: NonZeroU64) -> Duration {
    let nanoseconds = u64::try_from(length).unwrap_or(u64::MAX) * 1_000_000_000 / rate.get();
    Duration::from_nanos(nanoseconds)
}

/// A time between nothing and the whole, by chance.
fn part_of(whole: Duration) -> Duration {
    let [chance, ..] = *Uuid::new_v4().as_bytes();
    whole * u32::from(chance) / u32::from(u8::MAX)
}
