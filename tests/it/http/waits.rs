//! How long the sender waits: between repeats, after a refusal, and to keep a rate.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_honoured_in_both_forms() {
    // The date counts by the server's own clock, which may be far from ours, and by ours when it sends none.
    let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(21));
    let cases = [
        ("retry-after: 20".to_owned(), 20),
        ("date: Mon, 05 Jan 2026 09:00:00 GMT\r\nretry-after: Mon, 05 Jan 2026 09:00:20 GMT".to_owned(), 20),
        (format!("retry-after: {soon}"), 20),
        // Nothing to go by: the ordinary waits.
        ("retry-after: 0".to_owned(), 0),
        ("retry-after: Thu, 01 Jan 1970 00:00:00 GMT".to_owned(), 0),
        ("retry-after: 1.2".to_owned(), 2),
        ("retry-after: 0.0001".to_owned(), 1),
        // No number and no date: half a minute.
        ("retry-after: soon".to_owned(), 30),
        ("retry-after:".to_owned(), 30),
        ("retry-after: -1".to_owned(), 30),
        ("retry-after: -9.5".to_owned(), 30),
        ("retry-after: NaN".to_owned(), 30),
        ("retry-after: 20 s".to_owned(), 30),
    ];
    for (header, wait) in cases {
        let bytes = Arc::from(reply(&format!("429 Slow Down\r\nconnection: close\r\n{header}"), ""));
        let fine = Arc::from(reply("200 OK\r\nconnection: close", "[]"));
        let (base_url, _) = serve(move |count, stream| {
            respond(stream, if count == 0 { Arc::clone(&bytes) } else { Arc::clone(&fine) }).boxed()
        })
        .await;
        let start = Instant::now();
        read(&patient(&base_url, test_pace())).await.expect("the second attempt succeeds");
        let took = start.elapsed().as_secs_f64();
        let least = if wait == 0 { 0.5 } else { f64::from(wait) - 1.0 };
        assert!((least..=least + 2.0).contains(&took), "{header}: waited {took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn waits_double_and_are_not_the_same_in_every_process() {
    let (sandbox, base_url) = sandbox().await;
    trouble(&sandbox, &Answer::status(500), usize::MAX);
    let http = patient(&base_url, test_pace());
    let mut waits = Vec::new();
    for _ in 0..2 {
        let start = Instant::now();
        assert_kind(read(&http).await, Kind::Provider);
        waits.push(start.elapsed());
    }
    assert!(waits.iter().all(|wait| (3.5..7.1).contains(&wait.as_secs_f64())), "{waits:?}");
    assert_ne!(waits[0], waits[1], "everybody would come back at the same moment");
}

#[tokio::test(start_paused = true)]
async fn the_whole_credential_waits() {
    // A host that does not say how long to wait gets a second.
    let cases = [
        (Answer::retry_after("60"), 60.0),
        (answer(503, &[("retry-after", "60")], ""), 60.0),
        (Answer::retry_after("0"), 1.0),
        (Answer::status(429), 1.0),
    ];
    for (answer, wait) in cases {
        let (sandbox, base_url) = sandbox().await;
        trouble(&sandbox, &answer, 1);
        let gate = Arc::new(Gate::new(test_pace()));
        let open = || {
            sender(&base_url, |options| {
                options.no_wait = false;
                options.gate = gate.clone();
            })
        };
        let (one, other) = (open(), open());
        let start = Instant::now();
        let late = async {
            sleep(Duration::from_secs_f64(wait / 2.0)).await;
            read(&other).await
        };
        let watch = async {
            sleep(Duration::from_secs_f64(wait - 0.1)).await;
            sandbox.take_seen().len()
        };
        let (one, other, seen) = tokio::join!(read(&one), late, watch);
        one.expect("it succeeds after the wait");
        other.expect("it succeeds after the wait");
        assert_eq!((seen, start.elapsed().as_secs_f64().floor()), (1, wait), "{answer:?}");
    }
}

#[tokio::test]
async fn a_host_that_fails_all_the_time_is_not_hammered() {
    let (sandbox, base_url) = sandbox().await;
    trouble(&sandbox, &Answer::status(500), usize::MAX);
    let gate = Arc::new(Gate::new(test_pace()));
    let http = sender(&base_url, |options| options.gate = gate.clone());
    let tries = 500;
    for _ in 0..tries {
        assert_kind(read(&http).await, Kind::Provider);
    }
    // A repeat for each fifth try, and the reserve of a run.
    let seen = sandbox.take_seen().len();
    assert!((tries + 1..=tries + tries / 5 + 100).contains(&seen), "{seen}");
    assert!(!http.may_repeat(), "nothing is left for rows that would be sent again");
    // What is refused as too fast is repeated all the same: the gate holds it back.
    let (busy, base_url) = self::sandbox().await;
    trouble(&busy, &Answer::status(429), usize::MAX);
    assert_kind(read(&sender(&base_url, |options| options.gate = gate.clone())).await, Kind::RateLimited);
    assert_eq!(busy.take_seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_patience_ends_at_once_and_for_all() {
    for (value, named) in [
        ("121", 121),
        ("120.1", 121),
        ("18446744073709551615", u64::MAX),
        ("99999999999999999999999", u64::MAX),
        ("1e300", u64::MAX),
        ("inf", u64::MAX),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 250_000_000_000),
    ] {
        let (sandbox, base_url) = sandbox().await;
        trouble(&sandbox, &Answer::retry_after(value), usize::MAX);
        let http = patient(&base_url, test_pace());
        let start = Instant::now();
        let error = assert_kind(write(&http).await, Kind::RateLimited);
        let wait = error.retry_after.expect("the error names it").as_secs();
        assert!(wait == named || named == 250_000_000_000 && wait > named, "{value}: {wait}");
        assert!(shown(&error).contains(&wait.to_string()));
        // Who comes next is not sent to be refused again.
        let error = assert_kind(read(&http).await, Kind::RateLimited);
        assert!(error.retry_after.is_some_and(|wait| wait > Duration::from_secs(120)), "{error:?}");
        assert_eq!((sandbox.take_seen().len(), start.elapsed().as_secs()), (1, 0), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_and_a_rate_are_kept() {
    let (sandbox, base_url) = sandbox().await;
    let http = patient(&base_url, Pace { per_minute: Some(60.0), burst: 3, ..test_pace() });
    let start = Instant::now();
    let all = futures_util::future::join_all((0..7).map(|_| read(&http))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!((sandbox.take_seen().len(), start.elapsed().as_secs()), (7, 4));
}

#[tokio::test(start_paused = true)]
async fn a_command_waits_between_its_looks() {
    let ctx = Ctx::new(ProviderId::Emboux).await;
    let provider = ctx.open(|account| account.no_wait = false);
    ctx.sandbox.fault(Fault::instead(Method::POST, "/users/", Answer::Cut));
    let start = Instant::now();
    let error = assert_kind(provider.create_mailbox(&ctx.mailbox("ada@example.com")).await, Kind::Unknown);
    assert_eq!(error.effect, Effect::Unknown);
    // Three requests, each followed by four looks within seven seconds.
    let took = start.elapsed().as_secs();
    assert!((21..60).contains(&took), "it took {took} s");
}
