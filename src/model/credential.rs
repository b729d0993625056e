//! A credential: a login that is not one mailbox's own password but opens a whole domain, workspace or account.

use secrecy::SecretString;
use serde::Serialize;

use super::{DomainName, Extra, Stamp};

/// A credential as its provider describes it; the secret itself can never be read again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Credential {
    /// The name it was given.
    pub name: String,
    /// The provider's id.
    pub id: Option<String>,
    /// What it opens: `account`, `workspace` or `domain`.
    pub scope: Option<String>,
    /// The id of what it opens.
    pub scope_id: Option<String>,
    /// When it was made.
    pub created_at: Option<Stamp>,
    /// When it was last changed.
    pub updated_at: Option<Stamp>,
    /// What the provider says beyond this.
    pub extra: Extra,
}

/// A credential to be made.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// A name for people.
    pub name: String,
    /// The domain it opens; without one it opens the workspace or account of the profile.
    pub domain: Option<DomainName>,
    /// The secret. Made here rather than at the provider, so that a lost answer does not lose it.
    pub secret: SecretString,
}
