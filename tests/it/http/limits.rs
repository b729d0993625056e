//! Time limits: connecting, the start of an answer, the rest of it.

use super::*;

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_host_that_takes_no_connection_is_given_up() {
    // Once its queue is full, a listener that accepts nobody ignores whoever comes.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
        queue.push(stream);
    }
    for limit in [5, 60].map(Duration::from_secs) {
        let http = patient(&format!("http://{address}"), Pace { read: limit, write: limit, ..test_pace() });
        let start = Instant::now();
        let error = assert_kind(write(&http).await, Kind::Network);
        assert_eq!(error.effect, Effect::None, "nothing has left: {error:?}");
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn an_answer_must_begin_in_time() {
    let (sandbox, base_url) = sandbox().await;
    trouble(&sandbox, &Answer::Hang, usize::MAX);
    let limit = Duration::from_millis(50);
    let http = sender(&base_url, |options| options.pace = Pace { read: limit, write: limit, ..test_pace() });
    for (is_write, sent, effect) in [(false, 4, Effect::None), (true, 1, Effect::Unknown)] {
        let error = failure(&http, is_write).await;
        let seen = sandbox.take_seen().len();
        assert_eq!((seen, error.kind, error.effect), (sent, Kind::Network, effect), "{error:?}");
        assert!(error.provider_message.as_deref().is_some_and(|m| m.contains("50ms")), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_now_and_then_does_not_last_for_ever() {
    let (base_url, count) = serve(|_, mut stream| {
        async move {
            swallow(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
            loop {
                stream.write_all(b" ").await?;
                sleep(Duration::from_secs(1)).await;
            }
        }
        .boxed()
    })
    .await;
    let http = patient(&base_url, test_pace());
    for (is_write, attempts, effect) in [(false, 4, Effect::None), (true, 1, Effect::Unknown)] {
        let error = failure(&http, is_write).await;
        let count = count.swap(0, Ordering::SeqCst);
        assert_eq!((count, error.kind, error.effect), (attempts, Kind::Network, effect), "{error:?}");
        assert!(error.provider_message.as_deref().is_some_and(|m| m.contains("120s")), "{error:?}");
    }
}
