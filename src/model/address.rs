//! Addresses and domain names: parsed once at the door, so that nothing which could bend a URL gets further.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use serde::{Serialize, Serializer};

/// Octets in a local part (RFC 5321, 4.5.3.1.1).
const LOCAL_MAX: usize = 64;
/// Octets in a whole address (RFC 5321, 4.5.3.1.3, less the angle brackets).
const ADDRESS_MAX: usize = 254;

/// Why an address or a domain name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// There is no `@`.
    #[error("it has no @")]
    NoAt,
    /// There is nothing before the `@`.
    #[error("there is nothing before the @")]
    NoLocalPart,
    /// The local part is too long.
    #[error("the part before the @ has {0} octets, 64 are allowed (RFC 5321)")]
    LongLocalPart(usize),
    /// The whole address is too long.
    #[error("it has {0} octets, 254 are allowed (RFC 5321)")]
    Long(usize),
    /// A local part in quotation marks.
    #[error("quoted local parts are not accepted by any of the providers")]
    Quoted,
    /// A local part outside ASCII.
    #[error("the part before the @ has a character outside ASCII, which no provider accepts")]
    NotAscii,
    /// A character that is not allowed before the `@`.
    #[error("{0:?} is not allowed before the @")]
    Character(char),
    /// A dot first, last or twice in a row.
    #[error("a dot may not be first, last or doubled before the @")]
    Dot,
    /// A domain name that is not one.
    #[error("{0:?} is not a domain name")]
    Domain(String),
}

/// A domain name in lower case and as A-labels: `bücher.example` is `xn--bcher-kva.example`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(String);

impl DomainName {
    /// Parses a name of at least two labels; a final dot is dropped, Unicode becomes A-labels.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        let refused = || AddressError::Domain(text.chars().take(80).collect());
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return Err(AddressError::Empty);
        }
        let ascii = Uts46::new()
            .to_ascii(name.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
            .map_err(|_| refused())?;
        let last = ascii.rsplit('.').next().unwrap_or_default();
        // One label is a host, not a mail domain; a last label of digits is an IPv4 address to a URL parser.
        if !ascii.contains('.') || last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refused());
        }
        Ok(DomainName(ascii.into_owned()))
    }

    /// Takes a name as a provider writes it, as A-labels where it is a domain name, else in lower case: what a provider
    /// holds must be shown, not refused.
    pub fn lenient(text: &str) -> Self {
        DomainName::parse(text).unwrap_or_else(|_| DomainName(text.trim().to_lowercase()))
    }

    /// Returns the name as A-labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DomainName {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        DomainName::parse(text)
    }
}

impl Serialize for DomainName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A mailbox address. The local part keeps its case and compares without it.
#[derive(Debug, Clone)]
pub struct Address {
    /// All of it, so that it is shown as it stands.
    text: String,
    /// What is after the last `@`; empty when there is nothing.
    domain: DomainName,
}

impl Address {
    fn new(local: &str, domain: DomainName) -> Self {
        let mut text = String::with_capacity(local.len() + 1 + domain.0.len());
        text.push_str(local);
        if !domain.0.is_empty() {
            text.push('@');
            text.push_str(&domain.0);
        }
        Address { text, domain }
    }

    /// Parses what a person typed. Refuses whatever RFC 5321 does not allow unquoted, and beyond that the characters
    /// `/ \ ? # %`, which some provider would read as part of a URL.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        check_local_part(local)?;
        let address = Address::new(local, DomainName::parse(domain)?);
        let octets = address.text.len();
        if octets > ADDRESS_MAX { Err(AddressError::Long(octets)) } else { Ok(address) }
    }

    /// Takes an address as a provider writes it, its local part unchecked: what is there must be shown, not refused.
    pub fn lenient(text: &str) -> Self {
        match text.trim().rsplit_once('@') {
            Some((local, domain)) if !domain.is_empty() => Address::new(local, DomainName::lenient(domain)),
            _ => Address::new(text.trim(), DomainName(String::new())),
        }
    }

    /// Takes a local part as a provider writes it, on a domain that is known.
    pub fn lenient_on(local: &str, domain: &DomainName) -> Self {
        Address::new(local.trim(), domain.clone())
    }

    /// Returns the part before the `@`.
    pub fn local_part(&self) -> &str {
        match self.domain.0.len() {
            0 => &self.text,
            length => &self.text[..self.text.len() - length - 1],
        }
    }

    /// Returns the domain.
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// Returns the whole address.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the whole address in lower case, the form that some providers insist on.
    pub fn lower(&self) -> String {
        self.text.to_lowercase()
    }
}

fn check_local_part(local: &str) -> Result<(), AddressError> {
    if local.is_empty() {
        return Err(AddressError::NoLocalPart);
    }
    if local.starts_with('"') {
        return Err(AddressError::Quoted);
    }
    if !local.is_ascii() {
        return Err(AddressError::NotAscii);
    }
    if let Some(c) = local.chars().find(|&c| !(c.is_ascii_alphanumeric() || "!$&'*+-=^_`{|}~.".contains(c))) {
        return Err(AddressError::Character(c));
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return Err(AddressError::Dot);
    }
    if local.len() > LOCAL_MAX { Err(AddressError::LongLocalPart(local.len())) } else { Ok(()) }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        Address::parse(text)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.domain == other.domain && self.text.eq_ignore_ascii_case(&other.text)
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // In pieces on the stack: an address is hashed for every row of a file.
        for piece in self.text.as_bytes().chunks(32) {
            let mut lower = [0; 32];
            lower[..piece.len()].copy_from_slice(piece);
            lower.make_ascii_lowercase();
            state.write(&lower);
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// What an alias answers to: one address, or every address of a domain that nothing else takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AliasSource {
    /// One address.
    Address(Address),
    /// `@example.com`: the catch-all of a domain.
    CatchAll(DomainName),
}

impl AliasSource {
    /// Takes a source as a provider writes it, unchecked.
    pub fn lenient(text: &str) -> Self {
        match text.trim().strip_prefix('@') {
            Some(domain) => AliasSource::CatchAll(DomainName::lenient(domain)),
            None => AliasSource::Address(Address::lenient(text)),
        }
    }

    /// Returns the domain the alias lies on.
    pub fn domain(&self) -> &DomainName {
        match self {
            AliasSource::Address(address) => address.domain(),
            AliasSource::CatchAll(domain) => domain,
        }
    }

    /// Returns the part before the `@`, empty for a catch-all.
    pub fn local_part(&self) -> Cow<'_, str> {
        match self {
            AliasSource::Address(address) => Cow::Borrowed(address.local_part()),
            AliasSource::CatchAll(_) => Cow::Borrowed(""),
        }
    }
}

impl fmt::Display for AliasSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AliasSource::Address(address) => address.fmt(f),
            AliasSource::CatchAll(domain) => write!(f, "@{domain}"),
        }
    }
}

impl FromStr for AliasSource {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.trim().strip_prefix('@') {
            Some(domain) => DomainName::parse(domain).map(AliasSource::CatchAll),
            None => Address::parse(text).map(AliasSource::Address),
        }
    }
}

impl Serialize for AliasSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_addresses_are_taken_as_they_are() {
        for (text, shown) in [
            ("ada@example.com", "ada@example.com"),
            (" Ada.Byron+list@Example.COM. ", "Ada.Byron+list@example.com"),
            ("ada@bücher.example", "ada@xn--bcher-kva.example"),
            ("o'neil@example.com", "o'neil@example.com"),
        ] {
            assert_eq!(Address::parse(text).expect(text).to_string(), shown);
        }
        assert_eq!(Address::parse("ADA@example.com"), Address::parse("ada@EXAMPLE.com"));
    }

    #[test]
    fn what_a_provider_tells_is_found_by_what_a_person_types() {
        assert_eq!(Address::lenient("Ada@Bücher.Example."), Address::parse("ada@bücher.example").expect("an address"));
        assert_eq!(DomainName::lenient("BÜCHER.example").as_str(), "xn--bcher-kva.example");
        for odd in ["", "localhost", "exa_mple.com", "xn--a.example", "a..b"] {
            assert_eq!(DomainName::lenient(odd).as_str(), odd, "it is shown as it is");
        }
    }

    #[test]
    fn what_a_provider_lists_is_shown_as_it_is() {
        for (text, local_part) in
            [("ada", "ada"), ("ada@", "ada@"), ("ada@example.com@", "ada@example.com@"), ("@", "@")]
        {
            let address = Address::lenient(text);
            assert_eq!((address.as_str(), address.local_part()), (text, local_part));
            assert_eq!(Address::lenient(address.as_str()), address);
        }
    }

    #[test]
    fn limits_are_those_of_rfc_5321() {
        let local = "a".repeat(64);
        assert!(Address::parse(&format!("{local}@example.com")).is_ok());
        assert_eq!(Address::parse(&format!("{local}a@example.com")), Err(AddressError::LongLocalPart(65)));
        let label = "b".repeat(62);
        let long = format!("{local}@{label}.{label}.{label}.com");
        assert_eq!(Address::parse(&long), Err(AddressError::Long(long.len())));
    }

    #[test]
    fn what_could_bend_a_url_is_refused() {
        for text in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.com",
            "../domains/x@example.com",
            "..@example.com",
            ".@example.com",
            "a/b@example.com",
            "a\\b@example.com",
            "a?b@example.com",
            "a#b@example.com",
            "a%2fb@example.com",
            "a b@example.com",
            "a\u{0}b@example.com",
            "a\nb@example.com",
            "\"a b\"@example.com",
            "ä@example.com",
            "ada@example.com/x",
            "ada@..",
            "ada@example..com",
            "ada@localhost",
            "ada@[127.0.0.1]",
            "ada@127.0.0.1",
            "ada@exa_mple.com",
            "ada@-example.com",
            "ada@example.com?x",
            "ada@example.com#x",
            "a@b@c.example",
            "ada@exam\u{202e}ple.com",
            "ada@example.com%2f..",
            "ada;b@example.com",
            "ada,b@example.com",
            "<ada@example.com>",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_address_parses_again_and_holds_nothing_special(text in "\\PC{0,80}@\\PC{0,80}") {
            if let Ok(address) = Address::parse(&text) {
                let shown = address.to_string();
                prop_assert_eq!(Address::parse(&shown), Ok(address));
                prop_assert!(!shown.contains(['/', '\\', '?', '#', '%', ' ']));
                prop_assert!(!shown.contains(".."));
            }
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,300}") {
            let _ = (Address::parse(&text), DomainName::parse(&text), text.parse::<AliasSource>());
        }
    }
}
