//! Answers that are broken, huge or odd.

use super::*;

#[tokio::test]
async fn odd_answers_are_errors_with_bounded_words() {
    let fill = "x".repeat(10 << 20);
    let chunks = "1\r\n \r\n".repeat(100_000);
    let zipped = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n";
    let answers: [Vec<u8>; 13] = [
        reply("400 Bad Request", &fill),
        reply("400 Bad Request", " ".repeat(1 << 20) + &fill),
        reply("400 Bad Request", b"\xff\xfe\x00 no text"),
        reply("200 OK", b"\xff\xfe\x00 no text"),
        reply("400 Böse", "\u{1b}[31mred\u{202e}der\u{0}"),
        reply("200 OK", "[".repeat(100_000)),
        b"HTTP/1.1 400 Bad\r\nx-odd: \xff\xfe\r\nretry-after: \xff\r\ndate: \xff\r\nlocation: \xff\r\ncontent-length: 0\r\n\r\n"
            .to_vec(),
        b"HTTP/1.1 302 Found\r\nlocation: //\xff/\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"\xff\xfe no HTTP at all\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_vec(),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").into_bytes(),
        format!("{zipped}content-length: 9\r\n\r\nno gzip !").into_bytes(),
        // A gzip stream that ends where its data should begin.
        [zipped.as_bytes(), b"content-length: 10\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\xff"].concat(),
    ];
    for bytes in answers {
        let (base_url, _) = serve_bytes(bytes.clone()).await;
        let http = sender(&base_url, |_| {});
        let begin = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        for is_write in [false, true] {
            let error = failure(&http, is_write).await;
            assert!(matches!(error.kind, Kind::Invalid | Kind::Provider | Kind::Network), "{begin}: {error:?}");
            assert!(shown(&error).len() < 8_000, "{begin}");
        }
    }
}

#[tokio::test]
async fn an_answer_of_very_many_values_is_not_taken_apart() {
    let answer = |values: usize| reply("200 OK", format!("[{}]", vec!["{}"; values].join(",")));
    // Each value is counted twice here, by what opens it and by what precedes it.
    let (base_url, _) = serve_bytes(answer(124_000)).await;
    read(&sender(&base_url, |_| {})).await.expect("it is large, and no more than that");
    let (base_url, _) = serve_bytes(answer(126_000)).await;
    let http = sender(&base_url, |_| {});
    for is_write in [false, true] {
        let error = failure(&http, is_write).await;
        assert_eq!((error.kind, is_write), (Kind::Provider, error.effect == Effect::Unknown), "{error:?}");
        assert!(error.provider_message.as_deref().is_some_and(|m| m.contains("more than 250000 values")), "{error:?}");
    }
}

#[tokio::test]
async fn the_value_of_a_header_of_the_profile_is_a_secret() {
    let (base_url, _) = serve_bytes(reply("400 Bad Request", "no workspace w0rk-space-k3y")).await;
    let http = sender(&base_url, |options| {
        options.headers = vec![("x-workspace-key".to_owned(), "w0rk-space-k3y".into())];
    });
    let error = failure(&http, false).await;
    assert_eq!(error.provider_message.as_deref(), Some("no workspace (redacted)"));
}

#[tokio::test]
async fn control_characters_are_kept_as_data_and_escaped_in_the_trace() {
    let (sandbox, _) = sandbox().await;
    let trace = Trace::start();
    let body = r#"{"detail":"\u001b[31mred\u001b[0m \u202etxt.exe"}"#;
    trouble(&sandbox, &answer(400, &[], body), usize::MAX);
    let provider = adapters::open(&account(&sandbox, ProviderId::Emboux)).expect("the account opens");
    let error = assert_kind(provider.check_account().await, Kind::Invalid);
    assert_eq!(error.provider_message.as_deref(), Some("\u{1b}[31mred\u{1b}[0m \u{202e}txt.exe"));
    assert!(!trace.text().contains(['\u{1b}', '\u{202e}']), "{}", trace.text());
}
