//! Which requests are sent again, and what a failed one did at the provider.

use super::*;

#[tokio::test]
async fn the_repeat_policy() {
    use Effect::{None, Unknown};
    let cut = (12, Kind::Network);
    let slow = (11, Kind::RateLimited);
    let broken = (13, Kind::Provider);
    // What comes back; exit code and kind; requests and effect of a read, and of a write.
    let table = [
        (Answer::retry_after("1"), slow, (4, None), (4, None)),
        (Answer::status(429), slow, (4, None), (4, None)),
        (Answer::status(408), cut, (4, None), (1, Unknown)),
        (Answer::status(500), broken, (4, None), (1, Unknown)),
        (Answer::status(503), broken, (4, None), (1, Unknown)),
        (answer(503, &[("retry-after", "1")], ""), broken, (4, None), (1, Unknown)),
        (Answer::Cut, cut, (4, None), (1, Unknown)),
        (Answer::status(400), (8, Kind::Invalid), (1, None), (1, None)),
        (Answer::status(401), (4, Kind::Auth), (1, None), (1, None)),
        (Answer::status(403), (5, Kind::Denied), (1, None), (1, None)),
        (Answer::status(404), (6, Kind::NotFound), (1, None), (1, None)),
        (Answer::status(409), (7, Kind::Conflict), (1, None), (1, None)),
        (Answer::redirect(302, "/elsewhere"), broken, (1, None), (1, Unknown)),
        (Answer::redirect(303, "/elsewhere"), broken, (1, None), (1, Unknown)),
        (Answer::html(200), broken, (1, None), (1, Unknown)),
        (Answer::Truncated, broken, (1, None), (1, Unknown)),
    ];
    for (answer, (exit_code, kind), on_read, on_write) in table {
        let (sandbox, base_url) = sandbox().await;
        trouble(&sandbox, &answer, usize::MAX);
        let http = sender(&base_url, |_| {});
        for (is_write, (sent, effect)) in [(false, on_read), (true, on_write)] {
            let error = failure(&http, is_write).await;
            let seen = sandbox.take_seen().len();
            assert_eq!((error.kind, error.kind.exit_code()), (kind, exit_code), "{answer:?}: {error:?}");
            assert_eq!((seen, error.effect), (sent, effect), "{answer:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_page_for_people_is_no_success_whatever_was_asked() {
    let (sandbox, base_url) = sandbox().await;
    trouble(&sandbox, &Answer::html(200), usize::MAX);
    let http = sender(&base_url, |_| {});
    let error = assert_kind(http.write(Method::DELETE, &["users", "ada@example.com"]).done().await, Kind::Provider);
    assert_eq!((error.effect, error.http_status), (Effect::Unknown, Some(200)));
    assert_kind(http.read(Method::GET, &["domains"]).with_slash().done().await, Kind::Provider);
}

#[tokio::test]
async fn what_passes_is_a_success() {
    for answer in [Answer::status(429), Answer::status(503), Answer::Cut] {
        let (sandbox, base_url) = sandbox().await;
        trouble(&sandbox, &answer, 3);
        read(&sender(&base_url, |_| {})).await.expect("the fourth attempt succeeds");
        assert_eq!(sandbox.take_seen().len(), 4);
    }
}

#[tokio::test]
async fn a_connection_that_was_not_made_is_made_again() {
    // The far end hangs up before TLS is agreed on, so nothing of the request has left.
    let (base_url, count) = serve(|_, stream| {
        async move {
            drop(stream);
            Ok(())
        }
        .boxed()
    })
    .await;
    let http = sender(&base_url.replace("http:", "https:"), |_| {});
    for is_write in [false, true] {
        let error = failure(&http, is_write).await;
        let attempts = count.swap(0, Ordering::SeqCst);
        assert_eq!((attempts, error.kind, error.effect), (4, Kind::Network, Effect::None), "{error:?}");
        assert!(error.message.starts_with("could not reach 127.0.0.1:"), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_may_come_after_the_work_leaves_a_write_in_doubt() {
    let table = [
        ("303 See Other\r\nlocation: /users/ada@example.com?key=1", "(a redirect to /users/ada@example.com, which"),
        ("302 Found\r\nlocation: https://evil.example/", "(a redirect to https://evil.example/, which"),
        ("408 Request Timeout", ""),
    ];
    for (head, words) in table {
        let (base_url, count) = serve_bytes(reply(&format!("{head}\r\nconnection: close"), "")).await;
        let error = write(&sender(&base_url, |_| {})).await.expect_err(head);
        assert_eq!((count.load(Ordering::SeqCst), error.effect), (1, Effect::Unknown), "{error:?}");
        assert!(error.provider_message.as_deref().unwrap_or_default().starts_with(words), "{error:?}");
    }
}
