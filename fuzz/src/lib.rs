//! What the fuzz targets share: the properties, which the tests of the crate check as well.

#[path = "../../tests/it/fuzzed/properties.rs"]
mod properties;

use std::cell::Cell;
use std::rc::Rc;

use axum::body::Bytes;
use axum::http::Response;
use mbx::http::answer_with;
use mbx::model::ProviderId;
pub use properties::*;

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
}

/// Reads the answers of a host twice, each body whole and in pieces: the adapter makes the same of them, and sends no
/// more requests than the answers give reason for.
pub fn adapter(id: ProviderId, data: &[u8]) {
    let Some(answers) = Answers::of(data) else { return };
    let [whole, pieces] = [usize::MAX, answers.piece].map(|piece| {
        let (all, most, count) = (answers.all.clone(), answers.most_requests(), Rc::new(Cell::new(0)));
        answer_with(move || {
            let answer = &all[count.get().min(all.len() - 1)];
            count.set(count.get() + 1);
            assert!(count.get() <= most, "more than {most} requests");
            let pieces = answer.body.chunks(piece).map(Bytes::copy_from_slice).collect();
            let (name, value) = answer.header;
            Response::builder().status(answer.status).header(name, value).body(pieces).expect("an answer")
        });
        untimed(&RUNTIME.with(|runtime| runtime.block_on(answered(id, "http://127.0.0.1:1", &answers))))
    });
    assert_eq!(whole, pieces, "in pieces of {}", answers.piece);
}

/// Leaves out the minutes that a hint names: they may be others when the answers are read for the second time.
fn untimed(said: &str) -> String {
    said.split(" UTC").map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit() || c == ':')).collect()
}
