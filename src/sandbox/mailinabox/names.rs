//! Addresses and domain names: which are good, how they are stored and shown, and in which order they are listed.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;

/// The box's own name.
pub(super) const PRIMARY: &str = "box.example.com";

/// Where the automatic aliases lead.
pub(super) const ADMINISTRATOR: &str = "administrator@box.example.com";

/// Local parts that certificate authorities write to.
const RESERVED: [&str; 6] = ["admin", "administrator", "postmaster", "hostmaster", "webmaster", "abuse"];

/// Last labels that never lead to a mail server; `example` is not among them.
const SPECIAL: [&str; 6] = ["test", "local", "localhost", "invalid", "onion", "arpa"];

/// The longest address, in characters.
const ADDRESS_MAX: usize = 254;

/// Checks an address as the daemon does for accounts and, with `alias`, for aliases.
pub(super) fn is_address(text: &str, alias: bool) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let is_local = |local: &str| local.split('.').all(|part| !part.is_empty() && part.chars().all(atom));
    let Some(ascii) = ascii_domain(domain) else { return false };
    let fits = text.chars().count() <= ADDRESS_MAX && local.len() + 1 + ascii.len() <= ADDRESS_MAX;
    fits && (is_local(local) || (alias && local.is_empty()))
}

/// Returns a good domain name in A-labels. Full-width and capital letters, which may not be stored so, are good here.
fn ascii_domain(domain: &str) -> Option<String> {
    let mapped = if domain.is_ascii() { domain.to_ascii_lowercase() } else { mapped(domain)? };
    let ascii = mapped.split('.').map(a_label).collect::<Option<Vec<_>>>()?.join(".");
    // Every A-label must stand for something.
    let (_, decodes) = idna::domain_to_unicode(&ascii);
    let last = ascii.rsplit('.').next().unwrap_or_default();
    let is_good = decodes.is_ok()
        && ascii.len() <= 253
        && ascii.contains('.')
        && last.ends_with(|c: char| c.is_ascii_alphabetic())
        && !SPECIAL.contains(&last);
    is_good.then_some(ascii)
}

/// Maps a name as browsers do: to composed lower-case letters of usual width.
fn mapped(name: &str) -> Option<String> {
    let (mapped, result) = idna::domain_to_unicode(name);
    result.is_ok().then_some(mapped)
}

/// Encodes a label as IDNA 2008 does, which maps nothing and takes no symbols.
fn a_label(label: &str) -> Option<String> {
    use GeneralCategory as C;
    let category = CodePointMapData::<GeneralCategory>::new();
    let is_letter = |c: char| {
        matches!(
            category.get(c),
            C::LowercaseLetter
                | C::OtherLetter
                | C::ModifierLetter
                | C::NonspacingMark
                | C::SpacingMark
                | C::DecimalNumber
        )
    };
    let is_good = |c: char| if c.is_ascii() { c.is_ascii_alphanumeric() || c == '-' } else { is_letter(c) };
    // Hyphens in the third and fourth place are kept for A-labels.
    let is_kept = label.as_bytes().get(2..4) == Some(b"--") && !label.to_ascii_lowercase().starts_with("xn--");
    let is_edged = label.is_empty() || label.starts_with('-') || label.ends_with('-');
    if is_edged || is_kept || !label.chars().all(is_good) {
        return None;
    }
    let ascii = match label.is_ascii() {
        true => label.to_owned(),
        false if mapped(label).as_deref() == Some(label) => idna::domain_to_ascii(label).ok()?,
        false => return None,
    };
    (ascii.len() <= 63).then_some(ascii)
}

/// Turns the domain of an address into A-labels; an address with a domain that IDNA 2008 does not take stays as it is.
pub(super) fn encoded(address: &str) -> String {
    let Some((local, domain)) = address.split_once('@') else { return address.to_owned() };
    let labels: Option<Vec<_>> = domain.split('.').map(a_label).collect();
    labels.map_or_else(|| address.to_owned(), |labels| format!("{local}@{}", labels.join(".")))
}

/// Returns whether certificate authorities write to an address.
pub(super) fn is_reserved(address: &str) -> bool {
    let address = address.to_lowercase();
    let is_after = |rest: &str| rest.starts_with('@') || rest.starts_with('+');
    RESERVED.iter().any(|word| address.strip_prefix(word).is_some_and(is_after))
}

/// Returns whether a character is a digit, of whatever script.
pub(super) fn is_digit(c: char) -> bool {
    CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::DecimalNumber
}

pub(super) fn domain_of(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

pub(super) fn unicode(domain: &str) -> String {
    idna::domain_to_unicode(domain).0
}

/// An address as people read it, with its domain in Unicode.
pub(super) fn shown(address: &str) -> String {
    address.rsplit_once('@').map_or(address.to_owned(), |(local, domain)| format!("{local}@{}", unicode(domain)))
}

pub(super) fn is_below(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'))
}

/// Returns the zone of a name: the shortest of all names that holds it.
pub(super) fn zone_of<'a>(name: &'a str, all: &'a BTreeSet<String>) -> &'a str {
    let zones = all.iter().map(String::as_str).filter(|zone| is_below(name, zone));
    zones.min_by_key(|zone| zone.len()).unwrap_or(name)
}

/// Sorts names as the box does: by zone, its own first; in a zone the box first, then what is below it, then the rest by
/// labels from right to left.
pub(super) fn in_order(all: &BTreeSet<String>) -> Vec<String> {
    let mut names: Vec<_> = all.iter().cloned().collect();
    names.sort_by_cached_key(|name| {
        let zone = zone_of(name, all);
        let is_home = zone == PRIMARY || is_below(PRIMARY, zone);
        let labels: Vec<_> = name.rsplit('.').map(str::to_owned).collect();
        (Reverse(is_home), zone.to_owned(), Reverse(name == PRIMARY), Reverse(is_below(name, PRIMARY)), labels)
    });
    names
}

/// Groups items by domain, in the order of the box.
pub(super) fn grouped<T>(items: impl IntoIterator<Item = (String, T)>) -> Vec<(String, Vec<T>)> {
    let mut items: Vec<_> = items.into_iter().collect();
    let order = in_order(&items.iter().map(|(domain, _)| domain.clone()).collect());
    let group = |domain: String| {
        let here = items.extract_if(.., |(name, _)| *name == domain).map(|(_, item)| item).collect();
        (domain, here)
    };
    order.into_iter().map(group).collect()
}
