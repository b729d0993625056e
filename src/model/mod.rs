//! The normalized model: the only vocabulary that commands and output know.
//!
//! `None` means "the provider does not say", never zero, empty or no.

mod address;
mod alias;
mod credential;
mod domain;
mod mailbox;
mod outcome;
mod provider;
mod value;

pub use address::{Address, AddressError, AliasSource, DomainName};
pub use alias::Alias;
pub use credential::{Credential, NewCredential};
pub use domain::{DnsRecord, Domain, NewDomain};
pub use mailbox::{Mailbox, MailboxChange, NewMailbox, PASSWORD_MAX, Removal, password_fault};
pub use outcome::{Outcome, PasswordState};
pub use provider::ProviderId;
pub use value::{Bytes, Extra, Quota, Stamp, Status};
