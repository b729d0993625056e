//! An alias: an address, or a whole domain's rest, that delivers to other addresses.

use serde::Serialize;

use super::{Address, AliasSource, Extra, Stamp, Status};

/// An alias as its provider describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alias {
    /// The address it answers to, or `@domain` for the catch-all.
    pub source: AliasSource,
    /// Where the mail goes.
    pub targets: Vec<Address>,
    /// The provider's id; `None` where aliases have none.
    pub id: Option<String>,
    /// The state; `Unknown` where the provider does not say.
    pub status: Status,
    /// When it was made.
    pub created_at: Option<Stamp>,
    /// What the provider says beyond this.
    pub extra: Extra,
}

impl Alias {
    /// Returns an alias of which only source and targets are known; also the request for a new one.
    pub fn to(source: AliasSource, targets: Vec<Address>) -> Self {
        Alias { source, targets, id: None, status: Status::Unknown, created_at: None, extra: Extra::new() }
    }

    /// Returns whether the provider makes this alias itself, so that it is neither somebody's nor can be removed.
    pub fn is_automatic(&self) -> bool {
        self.extra.get("auto") == Some(&true.into())
    }

    /// Returns whether both deliver to the same addresses, in whatever order.
    pub fn has_targets_of(&self, other: &Alias) -> bool {
        let within = |a: &Alias, b: &Alias| a.targets.iter().all(|target| b.targets.contains(target));
        within(self, other) && within(other, self)
    }
}
