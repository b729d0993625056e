//! What a request that failed did at the provider, and whether it is sent again.
//!
//! | what happened | a read | a write |
//! |---|---|---|
//! | the connection was not made | repeated | repeated, no effect |
//! | the server's certificate is not trusted | not repeated | not repeated, no effect |
//! | refused as one request too many (429) | repeated | repeated, no effect: it was not processed |
//! | no answer in time, connection cut, 408 | repeated | not repeated, effect unknown |
//! | 5xx | repeated | not repeated, effect unknown |
//! | a redirect (3xx) | not repeated | not repeated, effect unknown: it may come after the work was done |
//! | a web page or another unreadable answer in place of data | not repeated | not repeated, effect unknown |
//! | any other refusal | not repeated | not repeated, no effect |
//!
//! A read never has an effect. A status counts only as far as the adapter's judge has left its meaning alone: a 500 that
//! the judge reads as "already exists" is a refusal, and a 200 that it reads as a fault of the server is unreadable.

use crate::error::{Effect, Error, Kind};

/// What a request is meant to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    /// It changes nothing there.
    Read,
    /// It changes something there.
    Write,
}

/// What happened to a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The connection was not made, so nothing was sent.
    NotSent,
    /// The server's certificate is not trusted, so nothing was sent.
    Untrusted,
    /// It was sent, and no whole answer came.
    Lost,
    /// An answer came that makes no sense.
    Unreadable,
    /// An answer came with this status, which means this.
    Answered(u16, Kind),
}

/// What follows for a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Whether it may be sent again.
    pub(super) repeat: bool,
    /// What it did at the provider.
    pub(super) effect: Effect,
}

/// Decides by the table above.
pub(super) fn verdict(intent: Intent, what: What) -> Verdict {
    let is_read = intent == Intent::Read;
    let in_doubt = if is_read { Effect::None } else { Effect::Unknown };
    let (repeat, effect) = match what {
        What::NotSent => (true, Effect::None),
        What::Untrusted => (false, Effect::None),
        What::Lost => (is_read, in_doubt),
        What::Unreadable => (false, in_doubt),
        What::Answered(300..=399, _) => (false, in_doubt),
        What::Answered(_, Kind::RateLimited) => (true, Effect::None),
        What::Answered(_, Kind::Network) | What::Answered(500.., Kind::Provider) => (is_read, in_doubt),
        // A 4xx says that the request was refused, also where the judge cannot make sense of the rest.
        What::Answered(400..=499, _) => (false, Effect::None),
        What::Answered(_, Kind::Provider) => (false, in_doubt),
        What::Answered(..) => (false, Effect::None),
    };
    Verdict { repeat, effect }
}

/// A request that failed: its error, and whether it may be sent again.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) repeat: bool,
}

impl Failed {
    /// Makes the failure of what happened to a request.
    pub(super) fn new(intent: Intent, what: What, error: Error) -> Self {
        let Verdict { repeat, effect } = verdict(intent, what);
        Failed { error: error.effect(effect), repeat }
    }
}

/// What fails before it is sent, for reasons of our own, is not sent again.
impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed { error, repeat: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Failure;

    const KINDS: [Kind; 21] = [
        Kind::Internal,
        Kind::Usage,
        Kind::Config,
        Kind::Auth,
        Kind::Denied,
        Kind::NotFound,
        Kind::Conflict,
        Kind::Invalid,
        Kind::Unsupported,
        Kind::Limit,
        Kind::RateLimited,
        Kind::Network,
        Kind::Provider,
        Kind::Partial,
        Kind::Unknown,
        Kind::Timeout,
        Kind::Refused,
        Kind::Interrupted,
        Kind::Terminated,
        Kind::Planned,
        Kind::Closed,
    ];

    fn everything() -> impl Iterator<Item = What> {
        let answers = (100..=599).flat_map(|status| KINDS.map(|kind| What::Answered(status, kind)));
        [What::NotSent, What::Untrusted, What::Lost, What::Unreadable].into_iter().chain(answers)
    }

    #[test]
    fn nothing_that_may_have_happened_is_repeated_and_no_read_has_an_effect() {
        for what in everything() {
            let (read, write) = (verdict(Intent::Read, what), verdict(Intent::Write, what));
            assert_eq!(read.effect, Effect::None, "{what:?}");
            assert!(!write.repeat || write.effect == Effect::None, "{what:?}");
            assert!(read.repeat || !write.repeat, "{what:?}: a write is repeated only where a read is");
            let is_harmless = matches!(what, What::NotSent | What::Answered(_, Kind::RateLimited));
            assert!(!write.repeat || is_harmless, "{what:?}");
        }
    }

    #[test]
    fn the_table_holds_for_every_status() {
        use Effect::{None, Unknown};
        for status in 100..=599 {
            // Whether a read is repeated, whether a write is, and what the write did.
            let expected = match status {
                200..=299 => continue,
                408 => (true, false, Unknown),
                429 => (true, true, None),
                400..=499 | 501 => (false, false, None),
                500..=599 => (true, false, Unknown),
                _ => (false, false, Unknown),
            };
            let kind = Failure::of_status(status, String::new).expect("it is no success").kind;
            let what = What::Answered(status, kind);
            let (read, write) = (verdict(Intent::Read, what), verdict(Intent::Write, what));
            assert_eq!((read.repeat, write.repeat, write.effect), expected, "{status}");
        }
    }

    #[test]
    fn what_came_without_a_status_is_in_the_table_too() {
        use Effect::{None, Unknown};
        let table = [
            (What::NotSent, true, true, None),
            (What::Untrusted, false, false, None),
            (What::Lost, true, false, Unknown),
            (What::Unreadable, false, false, Unknown),
            // A success that the adapter's judge cannot make sense of, and one that holds a refusal.
            (What::Answered(200, Kind::Provider), false, false, Unknown),
            (What::Answered(200, Kind::Conflict), false, false, None),
            // A web page in place of a refusal is still a refusal.
            (What::Answered(404, Kind::Provider), false, false, None),
        ];
        for (what, on_read, on_write, effect) in table {
            let (read, write) = (verdict(Intent::Read, what), verdict(Intent::Write, what));
            assert_eq!((read.repeat, write.repeat, write.effect), (on_read, on_write, effect), "{what:?}");
        }
    }
}
