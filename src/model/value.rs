//! Small values of the model: status, quota, sizes, times.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// What a provider says beyond the model: shown in JSON only, never relied on, and never a secret.
pub type Extra = BTreeMap<&'static str, Value>;

/// The state of a mailbox, domain or alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// In use.
    Active,
    /// Being set up.
    Pending,
    /// Switched off, and can be switched on again.
    Suspended,
    /// Will be removed at a later date.
    Ending,
    /// The provider does not say.
    Unknown,
    /// The provider's own word, when it is none of these.
    Other(String),
}

impl Status {
    /// Returns the word for it, as it is shown in a message.
    pub fn as_str(&self) -> &str {
        self.word().unwrap_or("unknown")
    }

    /// Returns the word for it; `None` where the provider does not say.
    pub fn word(&self) -> Option<&str> {
        Some(match self {
            Status::Active => "active",
            Status::Pending => "pending",
            Status::Suspended => "suspended",
            Status::Ending => "ending",
            Status::Unknown => return None,
            Status::Other(word) => word,
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Null where the provider does not say.
impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.word().serialize(serializer)
    }
}

/// How much a mailbox may hold and holds. Sizes are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quota {
    /// The limit; `None` when there is none (then `unlimited` is true) or the provider does not say.
    pub limit: Option<u64>,
    /// True when the provider says that there is no limit.
    pub unlimited: bool,
    /// What is used; `None` when the provider does not say.
    pub used: Option<u64>,
}

impl Quota {
    /// Returns a quota of which only the limit is known; zero bytes means unlimited, as at every provider that says so.
    pub fn of(limit: u64) -> Self {
        Quota { limit: (limit > 0).then_some(limit), unlimited: limit == 0, used: None }
    }
}

/// A size in bytes as a person types it: `2G`, `500M`, `1073741824`. K, M, G and T are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "unlimited" | "none") {
            return Ok(Bytes(0));
        }
        let size = parse_size::Config::new().with_binary().parse_size(text).ok();
        // A fraction of a byte comes out as zero, which would mean the opposite.
        let size = size.filter(|&size| size > 0 || !text.contains(|c: char| matches!(c, '1'..='9')));
        size.map(Bytes).ok_or_else(|| "write a size like 2G, 500M, a number of bytes, or unlimited".to_owned())
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bytesize::ByteSize(self.0).display().iec().fmt(f)
    }
}

/// A moment as the provider wrote it: with an offset when there was one, without when not. No zone is invented, and text
/// that is no time is kept as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(String);

/// The longest text that is kept, in characters.
const STAMP_MAX: usize = 64;

impl Stamp {
    /// Takes a time as the provider wrote it; never fails. It is parsed only when it is compared: most of a long list
    /// never is.
    pub fn lenient(text: &str) -> Self {
        let text = text.trim();
        let stamp = if text.len() <= STAMP_MAX { text.to_owned() } else { text.chars().take(STAMP_MAX).collect() };
        let stamp = Stamp(stamp);
        // Where a blank stands between date and time, RFC 3339 has a T.
        if stamp.0.contains(' ') && stamp.sort_key().is_some() { Stamp(stamp.0.replacen(' ', "T", 1)) } else { stamp }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the instant, when the text names one.
    pub fn instant(&self) -> Option<Timestamp> {
        self.0.parse().ok()
    }

    /// Returns a form that sorts in time order; zone-less times sort as if they were UTC. `None` for what is no time.
    pub fn sort_key(&self) -> Option<i64> {
        let instant = self.instant().or_else(|| {
            let civil: DateTime = self.0.parse().ok()?;
            Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
        });
        instant.map(Timestamp::as_second)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!("2G".parse(), Ok(Bytes(2 << 30)));
        assert_eq!("500M".parse(), Ok(Bytes(500 << 20)));
        assert_eq!("1073741824".parse(), Ok(Bytes(1 << 30)));
        assert_eq!("unlimited".parse(), Ok(Bytes(0)));
        assert!("lots".parse::<Bytes>().is_err());
        assert!("-1".parse::<Bytes>().is_err());
        assert!("0.0000001".parse::<Bytes>().is_err());
        assert_eq!("0".parse(), Ok(Bytes(0)));
        assert_eq!(Bytes(2 << 30).to_string(), "2.0 GiB");
    }

    #[test]
    fn times_keep_their_text() {
        assert_eq!(Stamp::lenient("2025-01-15T10:31:00").to_string(), "2025-01-15T10:31:00");
        assert_eq!(Stamp::lenient("2025-01-15 10:31:00").to_string(), "2025-01-15T10:31:00");
        assert_eq!(Stamp::lenient("2025-09-03T11:32:26.000+02:00").to_string(), "2025-09-03T11:32:26.000+02:00");
        assert!(Stamp::lenient("2025-09-03T11:32:26Z").instant().is_some());
        assert!(Stamp::lenient("2025-01-15T10:31:00").instant().is_none());
        assert_eq!(Stamp::lenient("yesterday").to_string(), "yesterday");
    }
}
