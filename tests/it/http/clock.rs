//! What the answers of a server say about its clock.

use super::*;

#[tokio::test]
async fn the_clock_of_the_server_is_read_off_its_answers() {
    let (base_url, _) = serve_bytes(reply("200 OK\r\ndate: Mon, 05 Jan 2026 09:00:00 GMT", "[]")).await;
    let http = sender(&base_url, |_| {});
    assert_eq!(http.server_clock(), None, "the server has said nothing yet");
    read(&http).await.expect("it answers");
    let (least, most) = http.server_clock().expect("the answer has a Date header");
    let ahead = "2026-01-05T09:00:00Z".parse::<jiff::Timestamp>().expect("a time").duration_since(mbx::http::now());
    assert!(least <= ahead + jiff::SignedDuration::from_secs(1) && ahead <= most, "{least} {ahead} {most}");
    assert!((most - least) < jiff::SignedDuration::from_secs(10));
}
