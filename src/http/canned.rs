//! Answers that stand in for a host, without a connection: an adapter reads what a fuzz target makes. They are part of a
//! build for fuzzing only.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use reqwest::Response;

/// An answer whose body arrives in pieces.
pub type Canned = axum::http::Response<VecDeque<Bytes>>;

thread_local! {
    static NEXT: RefCell<Option<Box<dyn FnMut() -> Canned>>> = const { RefCell::new(None) };
}

/// Answers every further request of this thread with what `next` returns.
pub fn answer_with(next: impl FnMut() -> Canned + 'static) {
    NEXT.with_borrow_mut(|slot| *slot = Some(Box::new(next)));
}

/// Returns the answer to the next request, if there is to be one without a connection.
pub(super) fn answer() -> Option<Response> {
    let canned = NEXT.with_borrow_mut(|slot| slot.as_mut().map(|next| next()))?;
    Some(canned.map(|pieces| reqwest::Body::wrap(Pieces(pieces))).into())
}

struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}
