//! A mailbox, and what is asked for when one is made, changed or removed.

use secrecy::SecretString;
use serde::Serialize;

use super::{Address, Bytes, Extra, Quota, Stamp, Status};

/// A mailbox as its provider describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mailbox {
    /// The address mail is sent to.
    pub address: Address,
    /// The provider's id. `None` at Mail-in-a-Box, which has none.
    pub id: Option<String>,
    /// The state, as far as the provider shows it.
    pub status: Status,
    /// The first name. `None` at EmBoux and Mail-in-a-Box, which keep none.
    pub first_name: Option<String>,
    /// The last name. `None` at EmBoux and Mail-in-a-Box, which keep none.
    pub last_name: Option<String>,
    /// True when the mailbox may administer the server. Known at Mail-in-a-Box only.
    pub admin: Option<bool>,
    /// The storage limit and use. `None` where the call does not show it.
    pub quota: Option<Quota>,
    /// Further addresses of this mailbox. `None`: this call does not say; `Some([])`: there are none.
    pub aliases: Option<Vec<Address>>,
    /// When it was made.
    pub created_at: Option<Stamp>,
    /// When it was last changed.
    pub updated_at: Option<Stamp>,
    /// What the provider says beyond this.
    pub extra: Extra,
}

impl Mailbox {
    /// Returns a mailbox of which only the address is known.
    pub fn at(address: Address) -> Self {
        Mailbox {
            address,
            id: None,
            status: Status::Unknown,
            first_name: None,
            last_name: None,
            admin: None,
            quota: None,
            aliases: None,
            created_at: None,
            updated_at: None,
            extra: Extra::new(),
        }
    }
}

/// A mailbox to be made.
#[derive(Debug, Clone)]
pub struct NewMailbox {
    /// The address it will have.
    pub address: Address,
    /// The first name, where the provider keeps one.
    pub first_name: Option<String>,
    /// The last name, where the provider keeps one.
    pub last_name: Option<String>,
    /// The password its owner will log in with, where the provider takes one.
    pub password: Option<SecretString>,
    /// The storage limit; zero asks for no limit.
    pub quota: Option<Bytes>,
    /// Whether it may administer the server.
    pub admin: Option<bool>,
}

impl NewMailbox {
    /// Returns a request that names only the address.
    pub fn at(address: Address) -> Self {
        NewMailbox { address, first_name: None, last_name: None, password: None, quota: None, admin: None }
    }

    /// Returns the same fields as a change of a mailbox that exists already, without the password.
    pub fn as_change(&self) -> MailboxChange {
        MailboxChange {
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            quota: self.quota,
            admin: self.admin,
        }
    }

    /// Returns the fields that some provider takes only in a second request: the quota and the privilege.
    pub fn extras(&self) -> MailboxChange {
        MailboxChange { quota: self.quota, admin: self.admin.filter(|admin| *admin), ..MailboxChange::default() }
    }
}

/// A change of a mailbox; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxChange {
    /// The new first name.
    pub first_name: Option<String>,
    /// The new last name.
    pub last_name: Option<String>,
    /// The new storage limit; zero asks for no limit.
    pub quota: Option<Bytes>,
    /// Whether it may administer the server.
    pub admin: Option<bool>,
}

impl MailboxChange {
    /// Returns true when nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == MailboxChange::default()
    }

    /// Returns true when `mailbox` is as this change asks for, as far as the provider shows.
    /// A field that the provider does not show counts as different: nothing is claimed that was not seen.
    pub fn is_met_by(&self, mailbox: &Mailbox) -> bool {
        let same = |wanted: &Option<String>, has: &Option<String>| wanted.is_none() || wanted == has;
        same(&self.first_name, &mailbox.first_name)
            && same(&self.last_name, &mailbox.last_name)
            && self.admin.is_none_or(|wanted| mailbox.admin == Some(wanted))
            && self.quota.is_none_or(|wanted| {
                mailbox.quota.is_some_and(|has| has.limit.unwrap_or(0) == wanted.0 && has.unlimited == (wanted.0 == 0))
            })
    }
}

/// The longest password, in bytes. A provider may have a lower limit.
pub const PASSWORD_MAX: usize = 4096;

/// Returns why nobody could use a password anywhere, in words that follow "the password"; `None` for a good one.
pub fn password_fault(text: &str) -> Option<&'static str> {
    match text {
        "" => Some("is empty"),
        text if text.len() > PASSWORD_MAX => Some("is longer than 4096 bytes"),
        text if text.contains(['\n', '\r']) => Some("has more than one line"),
        text if text.contains(char::is_control) => Some("has a control character"),
        _ => None,
    }
}

/// What became of something that was to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It is gone. The text says what the provider keeps, if anything.
    Done(Option<&'static str>),
    /// It will be removed later; until then it exists and may be charged for.
    Scheduled {
        /// The date, when the provider names it.
        on: Option<Stamp>,
        /// What happens until then.
        note: &'static str,
    },
}
