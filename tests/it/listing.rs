//! Long lists: an array that is read while it arrives, and pages that shift while they are read.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, TryStreamExt};
use mbx::error::{Error, Kind, Result};
use mbx::http::{Http, Items, Listing, Method, Page, Total, pages};
use mbx::provider::{Provider, ProviderId};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use crate::http::{reply, sender, serve, serve_bytes, swallow};
use crate::support::{Ctx, assert_kind};

/// Reads a list of values to its end: what came, and how it ended.
async fn read(http: &Http) -> (Vec<Value>, Result<()>) {
    drain(http.read(Method::GET, &["users"]).with_slash().stream()).await
}

async fn drain<T: Send>(mut list: Listing<'_, T>) -> (Vec<T>, Result<()>) {
    let mut items = Vec::new();
    loop {
        match list.try_next().await {
            Ok(Some(item)) => items.push(item),
            Ok(None) => return (items, Ok(())),
            Err(error) => return (items, Err(error)),
        }
    }
}

/// Cuts a text into items, piece by piece.
fn cut<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Value>, String> {
    let (mut items, mut found) = (Items::default(), Vec::new());
    for piece in pieces {
        items.push(piece);
        while let Some(item) = items.next()? {
            found.push(serde_json::from_slice(item).map_err(|error| error.to_string())?);
        }
    }
    items.end().map(|()| found)
}

/// Reads a text, piece by piece, as a list of values.
fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Value>, String> {
    let (mut items, mut found) = (Items::default(), Vec::new());
    for piece in pieces {
        items.push(piece);
        while let Some(item) = items.read()? {
            found.push(item);
        }
    }
    items.end().map(|()| found)
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = r#"[\[\]{},:"\\ \n/aé東😀]{0,8}"#;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text, inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn items_are_the_same_wherever_the_pieces_end(
        items in prop::collection::vec(any_json(), 0..5),
        pretty in any::<bool>(),
    ) {
        let text = if pretty { serde_json::to_string_pretty(&items) } else { serde_json::to_string(&items) };
        let text = text.expect("it is JSON").into_bytes();
        for at in 0..=text.len() {
            let (head, tail) = text.split_at(at);
            prop_assert_eq!(cut([head, tail]), Ok(items.clone()));
            prop_assert_eq!(read_pieces([head, tail]), Ok(items.clone()));
            prop_assert!(at == text.len() || cut([head]).is_err(), "half a list is no list");
        }
        prop_assert_eq!(cut(text.chunks(1)), Ok(items.clone()));
        prop_assert_eq!(read_pieces(text.chunks(1)), Ok(items));
    }

    #[test]
    fn bytes_are_taken_for_a_list_when_they_are_one_and_never_else(
        bytes in r#"[ \n]{0,2}\[?([\[\]{},:"\\ 1a]|null|"a"|\{"a":1\}){0,8}\]?[ \n]{0,2}"#,
    ) {
        let whole: Option<Vec<Value>> = serde_json::from_str(&bytes).ok();
        prop_assert_eq!(cut(bytes.as_bytes().chunks(1)).ok(), whole.clone());
        prop_assert_eq!(read_pieces(bytes.as_bytes().chunks(1)).ok(), whole.clone());
        prop_assert_eq!(read_pieces([bytes.as_bytes()]).ok(), whole);
    }
}

#[tokio::test]
async fn whatever_comes_instead_of_a_list_has_its_meaning() {
    let long = format!(r#"[1,"{}",2]"#, "x".repeat(64 << 10));
    let blanks = format!("[1,{}2]", " ".repeat(64 << 10));
    // What comes; how many items are read; what is wrong then.
    let table: &[(&str, usize, Option<Kind>)] = &[
        ("[]", 0, None),
        (" [ ] \n", 0, None),
        (r#"[1,"]",{"a":[1]}]"#, 3, None),
        ("", 0, Some(Kind::Provider)),
        ("null", 0, Some(Kind::Provider)),
        ("true", 0, Some(Kind::Provider)),
        (r#"{"items":[]}"#, 0, Some(Kind::Provider)),
        ("<html><body>sorry</body></html>", 0, Some(Kind::Provider)),
        ("[", 0, Some(Kind::Provider)),
        ("[1,2", 1, Some(Kind::Provider)),
        ("[1,2,", 2, Some(Kind::Provider)),
        ("[1,2,]", 2, Some(Kind::Provider)),
        ("[,1]", 0, Some(Kind::Provider)),
        ("[1,nul,2]", 1, Some(Kind::Provider)),
        ("[1,[2}]", 1, Some(Kind::Provider)),
        ("[1,2}]", 1, Some(Kind::Provider)),
        ("[1,2]]", 2, Some(Kind::Provider)),
        ("[1,2] and more", 2, Some(Kind::Provider)),
        (&long, 1, Some(Kind::Provider)),
        (&blanks, 1, Some(Kind::Provider)),
    ];
    for (body, count, kind) in table {
        let begin: String = body.chars().take(40).collect();
        let (base_url, _) = serve_bytes(reply("200 OK\r\nconnection: close", body)).await;
        let (items, end) = read(&sender(&base_url, |_| {})).await;
        assert_eq!((items.len(), end.as_ref().err().map(|error| error.kind)), (*count, *kind), "{begin}: {end:?}");
        if let Err(error) = end {
            assert!(error.provider_message.as_deref().is_some_and(|words| !words.is_empty()), "{begin}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_judged_before_a_list_is_looked_for() {
    for (head, kind) in [("401 No", Kind::Auth), ("404 Not Found", Kind::NotFound), ("503 Later", Kind::Provider)] {
        let (base_url, count) = serve_bytes(reply(&format!("{head}\r\nconnection: close"), "[1,2]")).await;
        let (items, end) = read(&sender(&base_url, |_| {})).await;
        assert_kind(end, kind);
        let attempts = if kind == Kind::Provider { 4 } else { 1 };
        assert_eq!((items.len(), count.load(Ordering::SeqCst)), (0, attempts), "{head}");
    }
}

#[tokio::test]
async fn a_list_that_is_cut_is_asked_for_again_until_its_first_item_and_never_after() {
    for (begin, attempts, items) in [("", 4, 0), ("[", 4, 0), (r#"[{"a":"#, 4, 0), ("[1,", 1, 1), ("[1,2,3", 1, 2)] {
        let (base_url, count) = serve_bytes(format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{begin}")).await;
        let (found, end) = read(&sender(&base_url, |_| {})).await;
        assert_kind(end, Kind::Network);
        assert_eq!((count.load(Ordering::SeqCst), found.len()), (attempts, items), "{begin}");
    }
}

/// Starts a server whose list begins and then goes on with `piece` every `pause`, for ever.
async fn drip(piece: &'static [u8], pause: Duration) -> (String, Arc<AtomicUsize>) {
    serve(move |_, mut stream| {
        async move {
            swallow(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n[0").await?;
            loop {
                stream.write_all(piece).await?;
                sleep(pause).await;
            }
        }
        .boxed()
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_list_that_drips_is_given_up() {
    let second = Duration::from_secs(1);
    let drips = [(&b",1"[..], second), (b"0", second), (b",1", second * 1000), (b" ", second / 2)];
    // Ninety items a second, and nearly six kilobytes.
    let long: &[u8] = format!(r#","{}""#, "x".repeat(3000)).leak().as_bytes();
    let short: &[u8] = ",1".repeat(45).leak().as_bytes();
    let slow = [(short, second / 2), (long, second / 2)];
    for (piece, pause) in drips.into_iter().chain(slow) {
        let (base_url, count) = drip(piece, pause).await;
        let (start, http) = (Instant::now(), sender(&base_url, |_| {}));
        let (items, end) = read(&http).await;
        let error = assert_kind(end, Kind::Network);
        assert!(error.provider_message.as_deref().is_some_and(|words| words.contains("of waiting")), "{error:?}");
        // One attempt where an item had come, four where none had.
        let attempts = if items.is_empty() { 4 } else { 1 };
        assert_eq!(count.load(Ordering::SeqCst), attempts);
        assert!(start.elapsed() < Duration::from_secs(130 * attempts as u64), "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_just_fast_enough_does_not_last_for_ever() {
    let (base_url, count) = drip(b",1,1,1,1,1,1,1,1,1,1,1", Duration::from_millis(100)).await;
    let (start, http) = (Instant::now(), sender(&base_url, |_| {}));
    let (items, end) = read(&http).await;
    let error = assert_kind(end, Kind::Network);
    assert!(error.provider_message.as_deref().is_some_and(|words| words.contains("1800s of waiting")), "{error:?}");
    assert!(items.len() > 100_000 && count.load(Ordering::SeqCst) == 1);
    assert!((1790..1900).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn pages_that_drip_are_given_up() {
    // One item a page, and a minute for each.
    let (base_url, count) = serve(|number, mut stream| {
        async move {
            swallow(&mut stream).await?;
            sleep(Duration::from_secs(4)).await;
            stream.write_all(&reply("200 OK\r\nconnection: close", format!("[{number}]"))).await?;
            sleep(Duration::from_secs(56)).await;
            stream.shutdown().await
        }
        .boxed()
    })
    .await;
    let http = sender(&base_url, |_| {});
    let start = Instant::now();
    let list = pages(
        &http,
        |item: &u32| *item,
        |http: Http, number| async move {
            let items = http.read(Method::GET, &["users"]).query(&[("page", &number.to_string())]).json().await?;
            Ok(Page { items, more: true, total: None })
        },
    );
    let (items, end) = drain(list).await;
    let error = assert_kind(end, Kind::Provider);
    assert!(error.message.contains("incomplete"), "{error:?}");
    assert_eq!((items.len(), count.load(Ordering::SeqCst)), (450, 450));
    assert!((1790..2000).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_reads_slowly_is_not_the_server_being_slow() {
    let body = format!("[{}1]", "1,".repeat(200_000));
    let (base_url, _) = serve_bytes(reply("200 OK\r\nconnection: close", body)).await;
    let http = sender(&base_url, |_| {});
    let mut list = http.read(Method::GET, &["users"]).with_slash().stream::<u8>();
    let mut count = 0;
    while list.try_next().await.expect("the list is fine").is_some() {
        count += 1;
        if count % 50_000 == 0 {
            sleep(Duration::from_secs(3600)).await;
        }
    }
    assert_eq!(count, 200_001);
}

// Pages

/// What is on a page, whether there is more, and the provider's total.
type Answer = (&'static [u32], bool, Total);

fn items(items: &'static [u32], more: bool, total: u64) -> Answer {
    (items, more, Total::Items(total))
}

/// A list whose pages are given for each request in turn.
#[derive(Clone)]
struct Script {
    pages: Arc<[Answer]>,
    asked: Arc<Mutex<Vec<u32>>>,
    next: Arc<AtomicU32>,
}

impl Script {
    fn new(pages: &[Answer]) -> Self {
        Script { pages: pages.into(), asked: Arc::default(), next: Arc::default() }
    }

    fn list(&self) -> Listing<'_, u32> {
        pages(
            self,
            |item| *item,
            |script: Self, number| async move {
                script.asked.lock().expect("no panic").push(number);
                let next = script.next.fetch_add(1, Ordering::SeqCst) as usize;
                let found = script.pages.get(next);
                let (items, more, total) = found.ok_or_else(|| Error::new(Kind::Internal, "asked too often"))?;
                Ok(Page { items: items.to_vec(), more: *more, total: Some(*total) })
            },
        )
    }

    fn asked(&self) -> Vec<u32> {
        self.asked.lock().expect("no panic").clone()
    }
}

#[tokio::test]
async fn duplicates_are_dropped_and_each_page_is_asked_for_once() {
    let script = Script::new(&[items(&[1, 2, 3], true, 5), items(&[3, 4, 1], true, 5), items(&[5, 5], false, 5)]);
    assert_eq!(script.list().try_collect::<Vec<_>>().await.expect("a good list"), [1, 2, 3, 4, 5]);
    assert_eq!(script.asked(), [1, 2, 3]);
}

#[tokio::test]
async fn a_total_that_falls_leads_to_one_more_pass_for_what_is_new() {
    // 1 was removed while the list was read, and 4 slipped from the second page to the first.
    let first = [items(&[1, 2, 3], true, 6), items(&[5, 6], false, 5)];
    let again = [items(&[2, 3, 4], true, 5), items(&[5, 6], false, 5)];
    let script = Script::new(&[first, again].concat());
    assert_eq!(script.list().try_collect::<Vec<_>>().await.expect("a good list"), [1, 2, 3, 5, 6, 4]);
    assert_eq!(script.asked(), [1, 2, 1, 2]);
    // It falls again: the list is not read for ever, and may lack something.
    let first = [items(&[1, 2], true, 4), items(&[3], false, 3)];
    let again = [items(&[2, 3], true, 3), items(&[], false, 2)];
    let (came, end) = drain(Script::new(&[first, again].concat()).list()).await;
    assert_eq!(came, [1, 2, 3]);
    assert!(assert_kind(end, Kind::Provider).message.contains("its total changes"));
}

#[tokio::test]
async fn a_list_is_complete_when_as_many_items_came_as_the_provider_counts() {
    // Somebody creates at the end while it is read; and a total that counts less than there is.
    for pages in [
        [items(&[1, 2], true, 3), items(&[3, 4], false, 4)],
        [items(&[1, 2], true, 3), items(&[3, 4], false, 3)],
        [(&[1, 2], true, Total::Pages(2)), (&[3, 4], false, Total::Pages(2))],
    ] {
        let script = Script::new(&pages);
        assert_eq!(script.list().try_collect::<Vec<_>>().await.expect("a good list"), [1, 2, 3, 4]);
        assert_eq!(script.asked(), [1, 2]);
    }
    let empty = Script::new(&[(&[], false, Total::Pages(1))]);
    assert!(empty.list().try_collect::<Vec<_>>().await.expect("an empty list").is_empty());
}

/// What comes the first time and the second; what is yielded, and what the message says.
type Incomplete = ([Answer; 2], [Answer; 2], &'static [u32], &'static str);

#[tokio::test]
async fn a_list_that_stays_incomplete_ends_with_an_error() {
    let pages_of = |items: &'static [u32], more, total| (items, more, Total::Pages(total));
    let table: &[Incomplete] = &[
        (
            [items(&[1, 2], true, 9), items(&[], true, 9)],
            [items(&[1, 2], true, 9), items(&[], true, 9)],
            &[1, 2],
            "2 of 9 items",
        ),
        (
            [items(&[1], true, 2), items(&[2], false, 3)],
            [items(&[1], true, 3), items(&[2], false, 4)],
            &[1, 2],
            "2 of 4 items",
        ),
        (
            [items(&[1, 2], true, 4), items(&[2, 3], false, 4)],
            [items(&[1, 2], true, 4), items(&[2, 3], false, 4)],
            &[1, 2, 3],
            "3 of 4 items",
        ),
        (
            [pages_of(&[1], true, 5), pages_of(&[], true, 5)],
            [pages_of(&[1], true, 5), pages_of(&[], true, 5)],
            &[1],
            "page 2 of 5",
        ),
        // What the second pass lacks is not made up for by the first.
        (
            [items(&[1, 2], true, 4), items(&[3], false, 3)],
            [items(&[4, 5], true, 3), items(&[], true, 3)],
            &[1, 2, 3, 4, 5],
            "2 of 3 items",
        ),
    ];
    for (first, again, yielded, words) in table {
        let script = Script::new(&[*first, *again].concat());
        let (came, end) = drain(script.list()).await;
        let error = assert_kind(end, Kind::Provider);
        assert_eq!((&came[..], script.asked()), (*yielded, vec![1, 2, 1, 2]), "{error:?}");
        assert!(error.message.starts_with("the list is incomplete") && error.message.contains(words), "{error:?}");
    }
    // Complete the second time.
    let script = Script::new(&[items(&[1], true, 2), items(&[], true, 2), items(&[1], true, 2), items(&[2], false, 2)]);
    assert_eq!(script.list().try_collect::<Vec<_>>().await.expect("a good list"), [1, 2]);
}

#[tokio::test]
async fn a_list_that_ends_early_is_an_error_at_every_provider_with_pages() {
    let hybridbox = |items: Value, page: u32| json!({ "items": items, "page": page, "page_size": 1, "total": 100 });
    let litemail = |rows: Value| json!({ "status": 200, "message": "", "data": { "domains": rows, "totalPages": 5 } });
    let qboxmail = json!({
        "resources": [{ "code": "D1", "name": "one.example" }], "pagination": { "total_pages": 3, "total_records": 3 },
    });
    let domain = json!([{ "id": "1", "name": "one.example", "domain": "one.example" }]);
    let table = [
        (ProviderId::Hybridbox, hybridbox(domain.clone(), 1), ("200 OK", hybridbox(json!([]), 2)), "1 of 100 items"),
        (ProviderId::Qboxmail, qboxmail, ("404 Not Found", json!({ "message": "Not found" })), "1 of 3 items"),
        (ProviderId::Litemail, litemail(domain), ("200 OK", litemail(json!([]))), "page 2 of 5"),
    ];
    for (id, first, (head, second), words) in table {
        let answers = [reply("200 OK\r\nconnection: close", first.to_string()), {
            reply(&format!("{head}\r\nconnection: close"), second.to_string())
        }];
        let (base_url, count) = serve(move |number, mut stream| {
            let answer = answers[number % 2].clone();
            async move {
                swallow(&mut stream).await?;
                stream.write_all(&answer).await?;
                stream.shutdown().await
            }
            .boxed()
        })
        .await;
        let ctx = Ctx::new(id).await;
        let provider = ctx.open(|account| account.base_url = base_url);
        let (came, end) = drain(provider.list_domains()).await;
        let error = assert_kind(end, Kind::Provider);
        assert!(error.message.contains("incomplete") && error.message.contains(words), "{id}: {error:?}");
        // The list was read twice before.
        assert_eq!((came.len(), count.load(Ordering::SeqCst)), (1, 4), "{id}");
    }
}

#[tokio::test]
async fn a_page_that_does_not_advance_is_an_error() {
    let same = Script::new(&[items(&[1, 2], true, 9), items(&[1, 2], true, 9), items(&[1, 2], true, 9)]);
    assert_kind(same.list().try_collect::<Vec<_>>().await, Kind::Provider);
    assert_eq!(same.asked(), [1, 2]);
    let circle = Script::new(&[items(&[1], true, 9), items(&[2], true, 9), items(&[1], true, 9)]);
    assert_kind(circle.list().try_collect::<Vec<_>>().await, Kind::Provider);
    let moved = Script::new(&[items(&[1], true, 9), items(&[2], false, 8), items(&[1], true, 8), items(&[1], true, 8)]);
    assert_kind(moved.list().try_collect::<Vec<_>>().await, Kind::Provider);
    assert_eq!(moved.asked(), [1, 2, 1, 2]);
}

#[tokio::test]
async fn the_next_page_is_on_its_way_while_one_is_looked_at() {
    let script = Script::new(&[items(&[1, 2], true, 4), items(&[3, 4], true, 4), items(&[], false, 4)]);
    let mut list = script.list();
    assert_eq!(list.next().await.map(Result::ok), Some(Some(1)));
    tokio::task::yield_now().await;
    assert_eq!(script.asked(), [1, 2], "one page ahead, and no more");
    assert_eq!(list.next().await.map(Result::ok), Some(Some(2)));
    assert_eq!(script.asked(), [1, 2]);
    drop(list);
    // A list on one page is asked for once.
    let one = Script::new(&[items(&[1, 2], false, 2)]);
    assert_eq!(one.list().try_collect::<Vec<_>>().await.expect("a good list").len(), 2);
    assert_eq!(one.asked(), [1]);
}

#[test]
fn an_item_may_be_as_long_as_the_bound_and_no_longer() {
    let item = |size: usize| json!(["x".repeat(size)]).to_string();
    let bound = 64 << 10;
    assert!(cut([item(bound - 2).as_bytes()]).is_ok());
    assert!(cut([item(bound - 1).as_bytes()]).is_err());
    assert!(cut(item(bound - 1).as_bytes().chunks(1000)).is_err());
    // The second item is read where it stands.
    let two = |size: usize| json!([1, "x".repeat(size)]).to_string();
    assert!(read_pieces([two(bound - 2).as_bytes()]).is_ok());
    assert!(read_pieces([two(bound - 1).as_bytes()]).is_err());
}
