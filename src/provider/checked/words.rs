//! The words for what went wrong, and the commands that help.

use std::fmt::Display;

use super::Checked;
use crate::error::Kind;
use crate::model::NewMailbox;
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

    /// Returns the next step, where there is one.
    pub(super) fn advice(&self, kind: Kind, op: Op, subject: &str) -> Option<String> {
        let (spec, flags) = (self.spec(), &self.flags);
        match kind {
            Kind::Auth => Some(format!(
                "check the secret of this profile with `mbx config check {flags}`; {} calls it {}",
                spec.title, spec.secret_name
            )),
            Kind::Conflict if matches!(op, Op::CreateMailbox | Op::CreateDomain | Op::CreateAlias) => {
                Some("`--if-exists ok` takes it as it is".to_owned())
            }
            Kind::RateLimited => Some("wait, or set a slower `pace` in the profile".to_owned()),
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
        Kind::RateLimited => format!("{title} asks to slow down, also after waiting"),
        Kind::Network => format!("no answer from {title}"),
        Kind::Provider => format!("{title} did not answer in a way that makes sense"),
        Kind::Unknown => format!("{subject}: the answer was lost"),
        other => format!("{subject}: {}", other.code()),
    }
}

/// Returns the domain of an address, or the whole text when it is none.
fn domain_of(subject: &str) -> &str {
    subject.rsplit_once('@').map_or(subject, |(_, domain)| domain)
}
