//! The bad network, seen from both of its ends.

use std::{io::ErrorKind, net::SocketAddr, num::NonZeroU64, time::Duration};

use testkit::{
    targets::ANY_PORT,
    tcp_proxy::{TcpProxy, Way},
    wait,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

const SOON: Duration = Duration::from_secs(10);
/// Long enough for bytes to arrive where nothing holds them back.
const A_WHILE: Duration = Duration::from_millis(300);

/// A proxy with one connection, both of its ends in hand.
struct Line {
    proxy: TcpProxy,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Line {
    async fn new() -> Self {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let proxy = TcpProxy::start(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (client, server) = connect(proxy.address(), &listener).await;
        Self {
            proxy,
            listener,
            client,
            server,
        }
    }
}

async fn connect(address: SocketAddr, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let (client, server) = tokio::join!(
        timeout(SOON, TcpStream::connect(address)),
        timeout(SOON, listener.accept())
    );
    (client.unwrap().unwrap(), server.unwrap().unwrap().0)
}

/// Sends a word and waits for it at the other end.
async fn check_passes(from: &mut TcpStream, to: &mut TcpStream) -> Duration {
    let began = Instant::now();
    from.write_all(b"hello").await.unwrap();
    let mut word = [0; 5];
    timeout(SOON, to.read_exact(&mut word))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&word, b"hello");
    began.elapsed()
}

async fn check_silent(to: &mut TcpStream) {
    let heard = timeout(A_WHILE, to.read(&mut [0])).await;
    assert!(heard.is_err(), "{heard:?}");
}

async fn check_reset(stream: &mut TcpStream) {
    let heard = timeout(SOON, stream.read(&mut [0])).await.unwrap();
    let kind = heard.unwrap_err().kind();
    assert_eq!(kind, ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn bytes_and_the_end_go_through_in_both_directions() {
    let mut line = Line::new().await;
    check_passes(&mut line.client, &mut line.server).await;
    check_passes(&mut line.server, &mut line.client).await;
    line.client.shutdown().await.unwrap();
    assert_eq!(line.server.read(&mut [0]).await.unwrap(), 0);
    // The other direction is still open.
    check_passes(&mut line.server, &mut line.client).await;
    drop(line.server);
    assert_eq!(line.client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn delayed_bytes_arrive_late_and_in_order() {
    let mut line = Line::new().await;
    let (delay, jitter) = (Duration::from_millis(100), Duration::from_millis(50));
    line.proxy.both(Way::delayed(delay, jitter));
    for number in 0..50_u8 {
        line.client.write_all(&[number]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let mut heard = [0; 50];
    timeout(SOON, line.server.read_exact(&mut heard))
        .await
        .unwrap()
        .unwrap();
    assert!(heard.is_sorted(), "{heard:?}");
    let there = check_passes(&mut line.client, &mut line.server).await;
    assert!(there >= delay, "{there:?}");
    line.proxy.to_client(Way::OPEN);
    let back = check_passes(&mut line.server, &mut line.client).await;
    assert!(back < delay, "{back:?}");
}

#[tokio::test]
async fn throttled_bytes_take_their_time() {
    let mut line = Line::new().await;
    let rate = NonZeroU64::new(20_000).unwrap();
    line.proxy.to_upstream(Way::throttled(rate));
    let began = Instant::now();
    line.client.write_all(&vec![7; 20_000]).await.unwrap();
    let mut heard = vec![0; 20_000];
    timeout(SOON, line.server.read_exact(&mut heard))
        .await
        .unwrap()
        .unwrap();
    // The last piece has not been paid for, and the first may have been read as one.
    assert!(began.elapsed() > A_WHILE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn stopped_direction_is_silent_until_it_is_opened() {
    let mut line = Line::new().await;
    line.proxy.to_upstream(Way::STOPPED);
    line.client.write_all(b"hello").await.unwrap();
    check_silent(&mut line.server).await;
    check_passes(&mut line.server, &mut line.client).await;
    line.proxy.to_upstream(Way::OPEN);
    let mut word = [0; 5];
    timeout(SOON, line.server.read_exact(&mut word))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&word, b"hello");
}

#[tokio::test]
async fn forgotten_connection_stays_half_open_and_new_ones_pass() {
    let mut line = Line::new().await;
    check_passes(&mut line.client, &mut line.server).await;
    line.proxy.forget();
    line.client.write_all(b"hello").await.unwrap();
    check_silent(&mut line.server).await;
    line.server.write_all(b"hello").await.unwrap();
    check_silent(&mut line.client).await;
    let (mut client, mut server) = connect(line.proxy.address(), &line.listener).await;
    check_passes(&mut client, &mut server).await;
    // Not even the end is passed on.
    drop(line.client);
    check_silent(&mut line.server).await;
}

#[tokio::test]
async fn reset_breaks_both_sides_and_new_connections_pass() {
    let mut line = Line::new().await;
    check_passes(&mut line.client, &mut line.server).await;
    line.proxy.reset();
    check_reset(&mut line.client).await;
    check_reset(&mut line.server).await;
    let (mut client, mut server) = connect(line.proxy.address(), &line.listener).await;
    check_passes(&mut client, &mut server).await;
    assert_eq!(line.proxy.n_accepted(), 2);
}

#[tokio::test]
async fn refusing_proxy_keeps_what_is_open_and_takes_new_connections_later() {
    let mut line = Line::new().await;
    let address = line.proxy.address();
    line.proxy.refuse(true);
    let refused = async || {
        let error = TcpStream::connect(address).await.err()?;
        (error.kind() == ErrorKind::ConnectionRefused).then_some(())
    };
    wait::until("it refuses", SOON, refused).await.unwrap();
    check_passes(&mut line.client, &mut line.server).await;
    line.proxy.refuse(false);
    let taken = async || TcpStream::connect(address).await.ok();
    wait::until("it accepts", SOON, taken).await.unwrap();
}

#[tokio::test]
async fn dropped_proxy_takes_its_connections_along() {
    let mut line = Line::new().await;
    check_passes(&mut line.client, &mut line.server).await;
    drop(line.proxy);
    let heard = timeout(SOON, line.client.read(&mut [0])).await.unwrap();
    assert!(matches!(heard, Ok(0) | Err(_)), "{heard:?}");
}
