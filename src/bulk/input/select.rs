//! Which rows of a file are worked on.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::Address;

/// Which rows of a file are worked on. It is kept in the journal, so that a resumed run means the same rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Select {
    /// Headings and what must stand in the cells under them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matching: Vec<(String, String)>,
    /// How many of the matching rows are left out at the beginning.
    #[serde(default)]
    pub skip: u64,
    /// How many are taken after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Which part of those, by their addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

impl Select {
    /// Says whether a row is worked on: the `number`th of the matching ones, counted from one. A row without an address
    /// is in every shard, and so it is refused everywhere.
    pub(super) fn has(&self, number: u64, address: Option<&Address>) -> bool {
        let is_skipped = number <= self.skip;
        let is_beyond = self.limit.is_some_and(|limit| number > self.skip.saturating_add(limit));
        let is_elsewhere = || self.shard.zip(address).is_some_and(|(shard, address)| !shard.has(address));
        !(is_skipped || is_beyond || is_elsewhere())
    }
}

/// One part of a file that several machines work on without talking to each other. The address decides which part a row
/// is in, so that two spellings of one address meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, counted from zero.
    pub index: u64,
    /// How many parts there are.
    pub of: u64,
}

impl std::str::FromStr for Shard {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((index, of)) if index < of => Ok(Shard { index, of }),
            _ => Err("write I/N with I from 0 to N-1, such as 0/4".to_owned()),
        }
    }
}

impl Shard {
    /// Every machine finds the same part for an address, now and in years.
    fn has(self, address: &Address) -> bool {
        let digest = Sha256::digest(address.lower());
        let number = digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        number % self.of == self.index
    }
}

/// Reads `COLUMN=VALUE`.
pub fn parse_match(text: &str) -> Result<(String, String), String> {
    let (heading, value) = text.split_once('=').ok_or("write COLUMN=VALUE")?;
    Ok((heading.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_so_many() {
        assert_eq!("3/4".parse(), Ok(Shard { index: 3, of: 4 }));
        for wrong in ["4/4", "1", "0/0", "-1/2", "a/b", "1/2/3"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_stays_in_its_part() {
        // Machines with different builds of this program work on one file.
        for (address, part) in [("ada@example.com", 0), ("Grace@Example.COM", 3), ("linus@example.com", 2)] {
            let address = Address::parse(address).expect("an address");
            let parts = (0..4).filter(|&index| Shard { index, of: 4 }.has(&address));
            assert_eq!(parts.collect::<Vec<_>>(), [part], "{address}");
        }
    }
}
