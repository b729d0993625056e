//! Scripted trouble, for tests: what a server or the way to it can do to an answer.

use std::time::Duration;

use axum::http::Method;

/// An answer that is not the ordinary one.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The connection ends without an answer.
    Cut,
    /// No answer ever comes.
    Hang,
    /// The ordinary answer, late.
    Delay(Duration),
    /// The first half of the ordinary answer's body.
    Truncated,
    /// A refusal that repeats what was sent, credentials and body.
    Echo,
    /// A body of a gibibyte without a stated length.
    Endless,
    /// Any other answer.
    Raw {
        /// The status.
        status: u16,
        /// The headers.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Vec<u8>,
    },
}

impl Answer {
    /// Returns a bare status with an empty body.
    pub fn status(status: u16) -> Self {
        Answer::Raw { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Returns a page for people, as a proxy or firewall would send.
    pub fn html(status: u16) -> Self {
        let body = b"<!DOCTYPE html>\n<html><title>Error</title><body>something went wrong</body></html>".to_vec();
        Answer::Raw { status, headers: vec![("content-type", "text/html".to_owned())], body }
    }

    /// Returns "too many requests", with a `Retry-After` in either of its forms.
    pub fn retry_after(value: impl Into<String>) -> Self {
        Answer::Raw { status: 429, headers: vec![("retry-after", value.into())], body: Vec::new() }
    }

    /// Returns a redirect.
    pub fn redirect(status: u16, to: impl Into<String>) -> Self {
        Answer::Raw { status, headers: vec![("location", to.into())], body: Vec::new() }
    }
}

/// What another client does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Other {
    /// It creates this mailbox, with a password that nobody else knows.
    CreatesMailbox(String),
    /// It deletes this mailbox.
    DeletesMailbox(String),
    /// It sets the password of this mailbox.
    SetsPassword(String, String),
    /// It creates an alias: its source and its target.
    CreatesAlias(String, String),
    /// It deletes the alias with this source.
    DeletesAlias(String),
}

/// When trouble strikes, and which.
#[derive(Debug, Clone)]
pub struct Fault {
    method: Method,
    path: String,
    skip: usize,
    times: usize,
    meanwhile: Option<Other>,
    acts: Acts,
    answer: Answer,
}

/// A fault that strikes a request.
#[derive(Debug)]
pub(super) struct Struck {
    pub(super) meanwhile: Option<Other>,
    pub(super) acts: Acts,
    pub(super) answer: Answer,
}

/// Whether and when the server acts on the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acts {
    Never,
    First,
    /// So long after it has answered.
    Later(Duration),
}

impl Fault {
    /// Strikes requests with this method whose path contains `path`: `answer` comes instead of acting.
    pub fn instead(method: Method, path: impl Into<String>, answer: Answer) -> Self {
        Fault { method, path: path.into(), skip: 0, times: usize::MAX, meanwhile: None, acts: Acts::Never, answer }
    }

    /// Strikes requests with this method whose path contains `path`: the server acts, and then answers with `answer`.
    pub fn after(method: Method, path: impl Into<String>, answer: Answer) -> Self {
        Fault { acts: Acts::First, ..Fault::instead(method, path, answer) }
    }

    /// Strikes requests with this method whose path contains `path`: the server answers with `answer`, and acts
    /// so much later.
    pub fn before(method: Method, path: impl Into<String>, answer: Answer, delay: Duration) -> Self {
        Fault { acts: Acts::Later(delay), ..Fault::instead(method, path, answer) }
    }

    /// Strikes only so often.
    pub fn times(self, times: usize) -> Self {
        Fault { times, ..self }
    }

    /// Lets the first requests pass.
    pub fn skip(self, skip: usize) -> Self {
        Fault { skip, ..self }
    }

    /// Lets another client do this just before the server acts on the request, or does not.
    pub fn meanwhile(self, other: Other) -> Self {
        Fault { meanwhile: Some(other), ..self }
    }

    /// Returns true when it will not strike again.
    pub(super) fn is_spent(&self) -> bool {
        self.times == 0
    }

    /// Returns what happens to this request, if it is struck.
    pub(super) fn strikes(&mut self, method: &Method, path: &str) -> Option<Struck> {
        if self.method != *method || !path.contains(&self.path) || self.times == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        Some(Struck { meanwhile: self.meanwhile.clone(), acts: self.acts, answer: self.answer.clone() })
    }
}
