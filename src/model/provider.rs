//! The names of the providers.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Makes the providers of one list, so that nothing that is said of all of them leaves one out.
macro_rules! providers {
    ($($(#[$doc:meta])* $id:ident = $name:literal,)+) => {
        /// One of the mail hosts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ProviderId {
            $($(#[$doc])* $id,)+
        }

        impl ProviderId {
            /// Every provider, in the order of the matrix.
            pub const ALL: [ProviderId; [$($name),+].len()] = [$(ProviderId::$id),+];

            /// Returns the name used in flags, configuration, JSON and URLs of the sandbox.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(ProviderId::$id => $name,)+
                }
            }
        }
    };
}

providers! {
    /// Hybridbox.
    Hybridbox = "hybridbox",
    /// EmBoux.
    Emboux = "emboux",
    /// LiteMail.
    Litemail = "litemail",
    /// Qboxmail.
    Qboxmail = "qboxmail",
    /// Mail-in-a-Box.
    Mailinabox = "mailinabox",
}

impl ProviderId {
    /// Returns all names, separated by commas.
    pub fn names() -> String {
        ProviderId::ALL.map(ProviderId::as_str).join(", ")
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for ProviderId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "miab" | "mail-in-a-box") {
            return Ok(ProviderId::Mailinabox);
        }
        let found = ProviderId::ALL.into_iter().find(|id| id.as_str() == text);
        found.ok_or_else(|| format!("the providers are {}", ProviderId::names()))
    }
}

impl Serialize for ProviderId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
