//! Where a request may go: redirects, plain http, path segments.

use super::*;

#[tokio::test]
async fn a_redirect_is_never_followed() {
    let (other, elsewhere) = sandbox().await;
    let (home, base_url) = sandbox().await;
    let http = sender(&base_url, |_| {});
    for status in [301, 302, 303, 307, 308] {
        for to in [format!("{elsewhere}/domains/"), "/emboux/aliases/".to_owned()] {
            home.fault(Fault::instead(Method::GET, "/", Answer::redirect(status, &to)).times(1));
            home.fault(Fault::instead(Method::POST, "/", Answer::redirect(status, &to)).times(1));
            for is_write in [false, true] {
                let error = failure(&http, is_write).await;
                let effect = if is_write { Effect::Unknown } else { Effect::None };
                assert_eq!((error.kind.exit_code(), error.effect), (13, effect));
                assert!(error.provider_message.as_deref().is_some_and(|m| m.contains(&to)), "{error:?}");
                assert_eq!(home.take_seen().len(), 1);
            }
        }
    }
    assert!(other.take_seen().is_empty(), "neither the key nor the body goes elsewhere");
}

#[test]
fn plain_http_is_for_loopback_only() {
    let good = [
        "https://api.example.com",
        "https://127.0.0.1.example.com/v1",
        "http://127.0.0.1:8025/emboux",
        "http://127.8.8.8",
        "http://[::1]:8025",
        "http://localhost",
        "http://LOCALHOST:1",
        "http://0x7f.1",
        "http://127.0.0.1\\@evil.example",
    ];
    for url in good {
        check_base_url(url).unwrap_or_else(|problem| panic!("{url}: {problem}"));
    }
    let bad = [
        "http://api.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://example.com/localhost",
        "http://localhost@evil.example",
        "http://[::ffff:8.8.8.8]",
        "http://[::ffff:127.0.0.1]",
        "http://0x7f.1.example",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://user:pw@127.0.0.1",
        "http://127.0.0.1@evil.example",
        "https://user:pw@api.example.com",
        "https://api.example.com?key=1",
        "https://api.example.com#part",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "127.0.0.1:8025",
        "api.example.com",
        "",
    ];
    for url in bad {
        check_base_url(url).expect_err(url);
        let error = Http::new(options(url)).err().unwrap_or_else(|| panic!("{url} is taken"));
        assert_eq!(error.kind, Kind::Config, "{url}");
        assert!(!shown(&error).contains("pw@"), "{url}: {error}");
    }
}

/// Returns the URL that a write on these segments would go to.
fn url_of(http: &Http, segments: &[&str]) -> Result<url::Url> {
    let planned = http.write(Method::DELETE, segments).done().now_or_never().expect("a dry run sends nothing");
    let planned = planned.expect_err("a dry run ends with a plan");
    match planned.message.strip_prefix("DELETE ") {
        Some(url) if planned.kind == Kind::Planned => Ok(url.parse().expect("a URL")),
        _ => Err(planned),
    }
}

proptest! {
    #[test]
    fn a_segment_stays_a_segment(segments in prop::collection::vec("\\PC{1,12}|[./\\\\%?#@:;a2eE\r\n\t]{1,6}", 1..4)) {
        let http = sender("http://127.0.0.1:1/base/path/", |options| options.dry_run = true);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match url_of(&http, &segments) {
            Err(error) => {
                prop_assert_eq!(error.kind, Kind::Invalid);
                prop_assert!(segments.iter().any(|segment| matches!(*segment, "." | "..")));
            }
            Ok(url) => {
                let decode = |part| percent_encoding::percent_decode_str(part).decode_utf8().expect("UTF-8").into_owned();
                let found: Vec<String> = url.path_segments().expect("a path").map(decode).collect();
                prop_assert_eq!(&found[..2], ["base", "path"]);
                prop_assert_eq!(&found[2..], &segments[..]);
                prop_assert_eq!((url.port(), url.query(), url.fragment()), (Some(1), None, None));
            }
        }
    }
}

#[test]
fn segments_that_a_url_resolves_are_refused() {
    let http = sender("http://127.0.0.1:1", |options| options.dry_run = true);
    for segments in [["users", "."], ["users", ".."], ["..", "users"], ["", "users"], ["users", ""]] {
        assert_kind(url_of(&http, &segments), Kind::Invalid);
    }
    assert_eq!(url_of(&http, &["users", "%2e%2e"]).expect("it is no dot segment").path(), "/users/%252e%252e");
}
