//! What the server's clock proves about when something was made.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_was_there_before_is_told_by_the_clock_of_the_server() {
    let (base_url, _) = serve_bytes(reply("200 OK\r\ndate: Mon, 05 Jan 2026 09:00:00 GMT", "[]")).await;
    let http = sender(&base_url, |_| {});
    let early = Moment::now();
    let stamp = |time: &str| Stamp::told(&format!("2026-01-05T{time}Z"));
    assert_eq!(http.made(Some(&stamp("08:00:00")), early), Made::Untold, "the server has told no time yet");
    sleep(Duration::from_secs(60)).await;
    read(&http).await.expect("it answers");
    sleep(Duration::from_secs(60)).await;
    let cases = [
        // Begun a minute before the server told its time, and a minute after.
        (early, "08:58:57", Made::Before),
        (early, "08:58:58", Made::About),
        (early, "08:59:00.9", Made::About),
        (early, "08:59:01", Made::Since),
        (Moment::now(), "09:00:57", Made::Before),
        (Moment::now(), "09:01:00", Made::About),
        (Moment::now(), "09:01:01", Made::Since),
    ];
    for (began, created, made) in cases {
        assert_eq!(http.made(Some(&stamp(created)), began), made, "{created}");
    }
    assert_eq!(http.made(None, early), Made::Untold);
    assert_eq!(http.made(Some(&Stamp::told("2026-01-05T08:00:00")), early), Made::Untold, "no zone is invented");
}
