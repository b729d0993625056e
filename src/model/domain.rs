//! A mail domain, and the DNS records its owner must publish.

use secrecy::SecretString;
use serde::Serialize;

use super::{Address, Bytes, DomainName, Extra, Stamp, Status};

/// A domain as its provider describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Domain {
    /// The name as A-labels.
    pub name: DomainName,
    /// The provider's id. `None` at Mail-in-a-Box, which has none.
    pub id: Option<String>,
    /// The state. `Unknown` at EmBoux, which does not show it.
    pub status: Status,
    /// True when mail can flow: ownership proven, records in place. `None` where the call does not show it.
    pub verified: Option<bool>,
    /// How many mailboxes it has. `None` where the call does not show it.
    pub mailboxes: Option<u64>,
    /// When it was made.
    pub created_at: Option<Stamp>,
    /// When it was last changed.
    pub updated_at: Option<Stamp>,
    /// What the provider says beyond this.
    pub extra: Extra,
}

impl Domain {
    /// Returns a domain of which only the name is known.
    pub fn named(name: DomainName) -> Self {
        Domain {
            name,
            id: None,
            status: Status::Unknown,
            verified: None,
            mailboxes: None,
            created_at: None,
            updated_at: None,
            extra: Extra::new(),
        }
    }
}

/// A domain to be made.
#[derive(Debug, Clone)]
pub struct NewDomain {
    /// The name.
    pub name: DomainName,
    /// The password of the postmaster mailbox, where the provider makes one with the domain (Qboxmail).
    pub postmaster_password: Option<SecretString>,
    /// The plan (Qboxmail: basic, professional, enterprise).
    pub plan: Option<String>,
    /// The quota that new mailboxes get (Qboxmail).
    pub default_quota: Option<Bytes>,
    /// The largest quota a mailbox may get (Qboxmail).
    pub max_quota: Option<Bytes>,
    /// How many mailboxes it may have (Qboxmail).
    pub max_mailboxes: Option<u32>,
    /// Where mail for unknown local parts goes (Qboxmail).
    pub catch_all: Option<Address>,
}

impl NewDomain {
    /// Returns a request that names only the domain.
    pub fn named(name: DomainName) -> Self {
        NewDomain {
            name,
            postmaster_password: None,
            plan: None,
            default_quota: None,
            max_quota: None,
            max_mailboxes: None,
            catch_all: None,
        }
    }
}

/// A DNS record that belongs to a domain's mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DnsRecord {
    /// The full name of the record, as the provider writes it.
    pub name: String,
    /// A, AAAA, CNAME, MX, TXT, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The value, without the priority.
    pub value: String,
    /// The priority of an MX record.
    pub priority: Option<u16>,
    /// Seconds. `None`: the provider does not say.
    pub ttl: Option<u32>,
    /// What the record is for, in the provider's words.
    pub note: Option<String>,
}
