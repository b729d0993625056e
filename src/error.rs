//! The one error type of the program: what the reader can do about it, what it did at the provider, and how it is shown.
//!
//! `kind` answers "what should I tell the user" and decides the exit code; `effect` answers "may this be repeated".
//! They are different questions.

use std::fmt;
use std::ops::Deref;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::model::{Address, DomainName, ProviderId};

/// What went wrong, from the point of view of the person who must do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bug in mbx.
    Internal,
    /// A wrong command line.
    Usage,
    /// A profile, setting or secret is missing or malformed.
    Config,
    /// The provider refused the credentials.
    Auth,
    /// The credentials are valid, but not allowed to do this.
    Denied,
    /// The mailbox, domain, alias or credential is not there.
    NotFound,
    /// It is already there.
    Conflict,
    /// The request is refused as it is: a bad address, a weak password, an impossible quota.
    Invalid,
    /// This provider cannot do that.
    Unsupported,
    /// A plan, seat or wallet limit is reached.
    Limit,
    /// Still too fast after waiting.
    RateLimited,
    /// No answer: DNS, TLS, connection or time limit.
    Network,
    /// A server fault, or an answer that makes no sense.
    Provider,
    /// Some items of several failed.
    Partial,
    /// A write was sent, its answer was lost, and looking could not settle it.
    Unknown,
    /// What was waited for did not come in time.
    Timeout,
    /// Needs a person: `--yes`, input on a terminal, or a brake that held.
    Refused,
    /// Another mbx works on the same run or sandbox.
    Busy,
    /// The user interrupted the program.
    Interrupted,
    /// The system asked the program to end.
    Terminated,
    /// Not a failure: a dry run reached the first request that would change something.
    Planned,
    /// Not a failure: the reader of standard output has gone away.
    Closed,
}

impl Kind {
    /// Returns the word used in JSON errors; part of the contract with scripts.
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// Returns the documented exit code; part of the contract with scripts.
    pub fn exit_code(self) -> u8 {
        self.row().1
    }

    /// Returns what is general in a failure of this kind.
    fn sentence(self) -> &'static str {
        match self {
            Kind::Auth => "the credentials were refused",
            Kind::Denied => "the credentials do not allow this",
            Kind::NotFound => "it is not there",
            Kind::Conflict => "it already exists",
            Kind::Invalid => "the request was refused",
            Kind::Unsupported => "what was asked for is not offered",
            Kind::Limit => "a limit of the plan is reached",
            Kind::RateLimited => "there are still too many requests",
            Kind::Network => "no answer",
            Kind::Provider => "the answer cannot be read",
            other => other.code(),
        }
    }

    fn row(self) -> (&'static str, u8) {
        match self {
            Kind::Planned => ("planned", 0),
            Kind::Closed => ("closed", 0),
            Kind::Internal => ("internal", 1),
            Kind::Usage => ("usage", 2),
            Kind::Config => ("config", 3),
            Kind::Auth => ("auth", 4),
            Kind::Denied => ("denied", 5),
            Kind::NotFound => ("not_found", 6),
            Kind::Conflict => ("conflict", 7),
            Kind::Invalid => ("invalid", 8),
            Kind::Unsupported => ("unsupported", 9),
            Kind::Limit => ("limit", 10),
            Kind::RateLimited => ("rate_limited", 11),
            Kind::Network => ("network", 12),
            Kind::Provider => ("provider", 13),
            Kind::Partial => ("partial", 14),
            Kind::Unknown => ("unknown", 15),
            Kind::Timeout => ("timeout", 16),
            Kind::Refused => ("refused", 17),
            Kind::Busy => ("busy", 19),
            Kind::Interrupted => ("interrupted", 130),
            Kind::Terminated => ("interrupted", 143),
        }
    }
}

/// What a failed operation did at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effect {
    /// Nothing happened there.
    #[default]
    None,
    /// It may have happened: the request left and its answer was lost.
    Unknown,
    /// A first step was done and a later one was not; the message says which.
    Partial,
}

impl Effect {
    fn word(self) -> &'static str {
        match self {
            Effect::None => "none",
            Effect::Unknown => "unknown",
            Effect::Partial => "partial",
        }
    }
}

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error, boxed so that results stay small. Its fields are those of [`Detail`].
#[derive(Debug, Clone)]
pub struct Error(Box<Detail>);

/// The fields of an [`Error`].
#[derive(Debug, Clone)]
pub struct Detail {
    /// What the reader can do about it; decides the exit code.
    pub kind: Kind,
    /// One sentence that names the thing, or what is general in the failure where `is_general` is set.
    pub message: String,
    /// Whether the message names no thing: the sender knows requests and not what they are for. The decorator in
    /// `provider::checked` then finds the words for the operation at hand.
    pub is_general: bool,
    /// The provider it happened at.
    pub provider: Option<ProviderId>,
    /// The profile it happened in.
    pub profile: Option<String>,
    /// The HTTP status of the answer, when there was one.
    pub http_status: Option<u16>,
    /// The provider's own words, redacted and bounded.
    pub provider_message: Option<String>,
    /// A next step, as a sentence or a command in backticks.
    pub hint: Option<String>,
    /// How long the provider asked to wait.
    pub retry_after: Option<Duration>,
    /// What happened at the provider.
    pub effect: Effect,
}

impl Deref for Error {
    type Target = Detail;
    fn deref(&self) -> &Detail {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match (&self.provider, &self.profile) {
            (Some(provider), Some(profile)) => write!(f, " ({provider}, profile {profile})"),
            (Some(provider), None) => write!(f, " ({provider})"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Returns an error of `kind` that has changed nothing anywhere.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error(Box::new(Detail {
            kind,
            message: message.into(),
            is_general: false,
            provider: None,
            profile: None,
            http_status: None,
            provider_message: None,
            hint: None,
            retry_after: None,
            effect: Effect::None,
        }))
    }

    /// Returns an error that knows only what kind of failure it is, and not what was to be done.
    pub fn general(kind: Kind) -> Self {
        let mut error = Error::new(kind, kind.sentence());
        error.0.is_general = true;
        error
    }

    /// Says that it is another kind of failure; what is general in it is said anew.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        if self.is_general {
            self.0.message = kind.sentence().to_owned();
        }
        self
    }

    /// Says what went wrong, with the thing named.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        (self.0.message, self.0.is_general) = (message.into(), false);
        self
    }

    /// Says where it happened.
    pub fn at(mut self, provider: ProviderId, profile: &str) -> Self {
        (self.0.provider, self.0.profile) = (Some(provider), Some(profile.to_owned()));
        self
    }

    /// Says in which profile it is, whatever its provider.
    pub fn in_profile(mut self, profile: &str) -> Self {
        self.0.profile = Some(profile.to_owned());
        self
    }

    /// Adds the status of the answer and the provider's own words, where there are any.
    pub fn said(mut self, http_status: Option<u16>, words: impl Into<String>) -> Self {
        let words = words.into();
        (self.0.http_status, self.0.provider_message) = (http_status, (!words.is_empty()).then_some(words));
        self
    }

    /// Adds the status of the answer.
    pub fn http_status(mut self, status: u16) -> Self {
        self.0.http_status = Some(status);
        self
    }

    /// Adds how long the provider asked to wait.
    pub fn retry_after(mut self, pause: Option<Duration>) -> Self {
        self.0.retry_after = pause;
        self
    }

    /// Adds the next step for the reader, in place of another.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Takes the next step back: it was another error's.
    pub fn without_hint(mut self) -> Self {
        self.0.hint = None;
        self
    }

    /// Says what happened at the provider.
    pub fn effect(mut self, effect: Effect) -> Self {
        self.0.effect = effect;
        self
    }

    /// Returns "there is no such mailbox".
    pub fn no_mailbox(address: &Address) -> Self {
        Error::new(Kind::NotFound, format!("no mailbox {address}"))
    }

    /// Returns "there is no such domain".
    pub fn no_domain(name: &DomainName) -> Self {
        Error::new(Kind::NotFound, format!("no domain {name}"))
    }

    /// Returns "this provider cannot do that", with the reason.
    pub fn unsupported(what: impl fmt::Display, why: &str) -> Self {
        Error::new(Kind::Unsupported, format!("cannot {what}: {why}"))
    }

    /// Returns the exit code for the process.
    pub fn exit(&self) -> ExitCode {
        ExitCode::from(self.kind.exit_code())
    }

    /// Returns the lines shown on a terminal, without colour.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("error", self.to_string())];
        if self.http_status.is_some() || self.provider_message.is_some() {
            let status = self.http_status.map(|s| s.to_string()).unwrap_or_default();
            let said = self.provider_message.as_deref().unwrap_or("(nothing)");
            lines.push(("  the provider said", format!("{status} {said}").trim().to_owned()));
        }
        if let Some(hint) = &self.hint {
            lines.push(("hint", hint.clone()));
        }
        lines
    }

    /// Returns the error as the one JSON object that `-o json` prints on standard error.
    pub fn to_json(&self) -> Value {
        json!({ "error": {
            "code": self.kind.code(),
            "exit_code": self.kind.exit_code(),
            "message": self.message,
            "provider": self.provider,
            "profile": self.profile,
            "http_status": self.http_status,
            "provider_message": self.provider_message,
            "effect": self.effect.word(),
            "retry_after": self.retry_after.map(|d| d.as_secs()),
            "hint": self.hint,
        }})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        use Kind::*;
        let table = [
            (Planned, 0),
            (Internal, 1),
            (Usage, 2),
            (Config, 3),
            (Auth, 4),
            (Denied, 5),
            (NotFound, 6),
            (Conflict, 7),
            (Invalid, 8),
            (Unsupported, 9),
            (Limit, 10),
            (RateLimited, 11),
            (Network, 12),
            (Provider, 13),
            (Partial, 14),
            (Unknown, 15),
            (Timeout, 16),
            (Refused, 17),
            (Busy, 19),
            (Interrupted, 130),
            (Terminated, 143),
            (Closed, 0),
        ];
        for (kind, code) in table {
            assert_eq!(kind.exit_code(), code, "{kind:?}");
        }
    }

    #[test]
    fn an_error_is_complete_before_anybody_names_the_thing() {
        let error = Error::general(Kind::NotFound);
        assert_eq!((error.to_string().as_str(), error.is_general), ("it is not there", true));
        let error = error.kind(Kind::Provider);
        assert_eq!((error.to_string().as_str(), error.is_general), ("the answer cannot be read", true));
        let error = error.message("ada@example.com is not at EmBoux").kind(Kind::NotFound);
        assert_eq!((error.to_string().as_str(), error.is_general), ("ada@example.com is not at EmBoux", false));
    }

    #[test]
    fn json_has_every_key_of_the_contract() {
        let value = Error::new(Kind::Limit, "full").to_json();
        let keys: Vec<_> = value["error"].as_object().expect("an object").keys().cloned().collect();
        assert_eq!(
            keys,
            [
                "code",
                "exit_code",
                "message",
                "provider",
                "profile",
                "http_status",
                "provider_message",
                "effect",
                "retry_after",
                "hint"
            ]
        );
    }
}
