//! The words for what went wrong, and the commands that help.

use std::fmt::Display;

use super::Checked;
use super::case::{Case, Task, Verdict, Why};
use crate::error::{Effect, Error, Kind};
use crate::model::{NewMailbox, Outcome};
use crate::provider::{Op, Provider, Spec};

impl Checked {
    /// Returns the command that sets the quota of a mailbox whose creation went half-way.
    pub(super) fn update_hint(&self, new: &NewMailbox) -> Option<String> {
        let (address, bytes) = (new.address.to_string(), new.quota?.0);
        let address = shell_words::quote(&address);
        Some(format!("`mbx update {address} --quota {bytes} {}` sets the quota", self.flags))
    }

    /// Returns the commands that show what is there, as far as this provider and profile allow them.
    pub(super) fn ways_to_look(&self, op: Op, subject: &str) -> Vec<String> {
        let domains = (Op::ListDomains, "domain list".to_owned());
        let ways = match op {
            Op::CheckAccount => Vec::new(),
            Op::GetMailbox
            | Op::CreateMailbox
            | Op::CreateMailboxes
            | Op::SetNames
            | Op::SetPassword
            | Op::SetQuota
            | Op::SetAdmin
            | Op::SuspendMailbox
            | Op::DeleteMailbox
            | Op::CreateAlias
            | Op::CreateCatchAll => {
                vec![(Op::ListMailboxes, format!("list --domain {}", domain_of(subject))), domains]
            }
            Op::DeleteAlias => vec![(Op::ListAliases, format!("alias list {}", domain_of(subject)))],
            Op::ListMailboxes
            | Op::ListAliases
            | Op::ListDomains
            | Op::GetDomain
            | Op::CreateDomain
            | Op::VerifyDomain
            | Op::DomainDns
            | Op::SuspendDomain
            | Op::DeleteDomain => vec![domains],
            Op::ListCredentials | Op::CreateCredential | Op::DeleteCredential => {
                vec![(Op::ListCredentials, "credential list".to_owned())]
            }
        };
        let allowed = ways.into_iter().filter(|(op, _)| self.allow(*op).is_ok());
        allowed.map(|(_, words)| format!("`mbx {words} {}`", self.flags)).collect()
    }

    /// Returns the error that a verdict is. `answered` is the last error of the provider.
    pub(super) fn verdict_error(
        &self,
        verdict: &Verdict,
        case: &Case,
        (name, op): (&dyn Display, Op),
        answered: Option<Error>,
    ) -> Error {
        let error = answered.unwrap_or_else(|| Error::new(Kind::Internal, "no request was sent"));
        if let Some(message) = not_done(verdict, case, name) {
            let error = error.kind(Kind::Network).effect(Effect::None).message(message).hint("run the command again");
            return self.complete_error(error, op, name);
        }
        let error = match (verdict.outcome, verdict.why) {
            (Outcome::Failed, Why::HeldOtherwise) => {
                let held = match op {
                    Op::CreateDomain => "this account does not list it: another account may have it",
                    Op::CreateAlias | Op::CreateCatchAll => "no alias is listed there: a mailbox may hold the address",
                    _ => "no mailbox is listed there: an alias may hold the address",
                };
                let words = format!("{name} is refused as existing, but {held}");
                error.kind(Kind::Conflict).effect(Effect::None).message(words).without_hint()
            }
            (Outcome::Unknown, _) => return self.unknown_error(error, verdict, case, (name, op)),
            _ => error,
        };
        self.complete_error(error, op, name)
    }

    /// Returns the error of something that may or may not have happened, with what is known and what to do next.
    fn unknown_error(&self, error: Error, verdict: &Verdict, case: &Case, (name, op): (&dyn Display, Op)) -> Error {
        let why = verdict.why;
        let words = format!("{}: {}", doubt(case.task(), name), reason(why));
        let look = self.look_first(op, name);
        let hint = match (case.task(), why, verdict.settles_at) {
            (Task::SetPassword, ..) => "set the password again".to_owned(),
            (Task::Create, Why::NotProven, _) if verdict.password.is_some() => {
                format!("{look}; `mbx passwd {name} {}` sets a password that you know", self.flags)
            }
            (Task::Create, _, Some(time)) => {
                let time = time.strftime("%H:%M UTC");
                format!("{look}; if it does not show after {time}, it was not created")
            }
            _ => look,
        };
        let error = error.kind(Kind::Unknown).effect(Effect::Unknown).message(words).hint(hint);
        self.complete_error(error, op, name)
    }

    /// Returns the error of a request that may have been carried out and that no look settles.
    pub(super) fn lost_error(&self, error: Error, op: Op, subject: &dyn Display) -> Error {
        let words = format!("{subject}: the request was sent and its answer was lost");
        error.kind(Kind::Unknown).message(words).hint(self.look_first(op, subject))
    }

    fn look_first(&self, op: Op, subject: &dyn Display) -> String {
        match self.ways_to_look(op, &subject.to_string()).into_iter().next() {
            Some(way) => format!("look before you repeat it: {way}"),
            None => format!("look at {} before you repeat it", self.spec().title),
        }
    }

    /// Returns the next step, where there is one.
    pub(super) fn advice(&self, kind: Kind, op: Op, subject: &str) -> Option<String> {
        let (spec, flags) = (self.spec(), &self.flags);
        match kind {
            Kind::Auth => Some(format!(
                "check the secret of this profile with `mbx config check {flags}`; {} calls it {}",
                spec.title, spec.secret_name
            )),
            Kind::Conflict if matches!(op, Op::CreateMailbox | Op::CreateDomain | Op::CreateAlias) => {
                Some("add --if-exists ok to leave it as it is".to_owned())
            }
            Kind::RateLimited => Some("try again later, or set a slower `pace` in the profile".to_owned()),
            Kind::Limit if matches!(op, Op::CreateMailbox | Op::CreateMailboxes) => {
                let domain = domain_of(subject);
                Some(format!("free one (`mbx list --domain {domain} --sort created_at {flags}`) or raise the plan"))
            }
            Kind::Limit => Some(format!("free one, or raise the plan at {}", spec.title)),
            Kind::NotFound => match self.ways_to_look(op, subject).as_slice() {
                [] => None,
                [way] => Some(format!("{way} shows what is there")),
                ways => Some(format!("{} show what is there", ways.join(" and "))),
            },
            _ => None,
        }
    }
}

/// Returns what was done to a thing, as the end of a sentence.
fn participle(task: Task) -> &'static str {
    match task {
        Task::Create => "created",
        Task::Finish | Task::Update | Task::SetPassword => "changed",
        Task::Delete => "deleted",
    }
}

/// Returns the sentence for a request that was certainly not carried out, though its answer was lost.
pub(crate) fn not_done(verdict: &Verdict, case: &Case, name: &dyn Display) -> Option<String> {
    let look = match (verdict.outcome, verdict.why) {
        (Outcome::Failed, Why::NotShown) => "lacks it",
        // Without a doubt, a look before the request showed why it is not sent.
        (Outcome::Failed, Why::Shown) if case.is_doubted() => "shows it as it was",
        _ => return None,
    };
    Some(format!("{name} was not {}: the answer was lost, and a later look {look}", participle(case.task())))
}

/// Returns the sentence that says what is not known.
pub(crate) fn doubt(task: Task, name: &dyn Display) -> String {
    match task {
        Task::SetPassword => format!("the password of {name} may be the old one or the new one"),
        task => format!("it is not known whether {name} was {}", participle(task)),
    }
}

/// Returns why something is not known.
pub(crate) fn reason(why: Why) -> &'static str {
    match why {
        Why::NotShown => "the answer was lost, and no look showed it so far",
        Why::NotProven => "the answer was lost; it is there, but nothing proves that this request created it",
        Why::LookFailed => "the answer was lost, and looking failed as well",
        Why::CannotLook => "the answer was lost, and this provider offers no way to look",
        Why::OnlyLooked => "it is there, and a look cannot set what it still lacks",
        Why::Answered => "the answer was lost, and a repeat was refused",
        Why::Shown | Why::LostEachTime | Why::NotSent | Why::HeldOtherwise => "the answers were lost each time",
    }
}

/// Returns the note about a lost answer whose result a look showed.
pub(super) fn found_out(verdict: &Verdict, case: &Case, name: &dyn Display) -> String {
    let how = match (verdict.outcome, verdict.why) {
        (Outcome::Deleted, _) => "it is gone",
        _ => "a look found it done",
    };
    format!("the answer was lost when {name} was {}; {how}", participle(case.task()))
}

/// Returns the sentence for an operation that failed like this.
pub(super) fn sentence(kind: Kind, op: Op, spec: &Spec, subject: &dyn Display) -> String {
    let title = spec.title;
    match kind {
        Kind::Auth => format!("{title} refused the credentials"),
        Kind::Denied => format!("the credentials do not allow this at {title}: {}", op.phrase()),
        Kind::NotFound => match op {
            Op::CreateMailbox | Op::CreateMailboxes | Op::CreateAlias | Op::CreateCatchAll => {
                format!("the domain of {subject} is not at {title}")
            }
            _ => format!("{subject} is not at {title}"),
        },
        Kind::Conflict => format!("{subject} already exists at {title}"),
        Kind::Invalid => format!("{title} refused {subject}"),
        Kind::Unsupported => format!("{title} did not offer what is needed to {}", op.phrase()),
        Kind::Limit => match op {
            Op::CreateMailbox | Op::CreateMailboxes => {
                format!("{} has no mailbox left in its plan", domain_of(&subject.to_string()))
            }
            _ => format!("{subject}: a limit of the plan is reached"),
        },
        Kind::RateLimited => format!("{title} still answers that there are too many requests"),
        Kind::Network => format!("no answer from {title}"),
        Kind::Provider => format!("the answer of {title} cannot be read"),
        Kind::Unknown => format!("{subject}: the answer was lost"),
        other => format!("{subject}: {}", other.code()),
    }
}

/// Returns the domain of an address, or the whole text when it is none.
fn domain_of(subject: &str) -> &str {
    subject.rsplit_once('@').map_or(subject, |(_, domain)| domain)
}
