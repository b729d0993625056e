//! A JSON array, item by item as it arrives, so that a list of a million takes the memory of one.
//!
//! What an item is, and whether it is JSON at all, `serde_json` decides, and most items it reads where they stand. Only
//! where a piece of the list breaks off within an item is that item's end found here, by a walk over the bytes that knows
//! strings and brackets and nothing more. So no byte is looked at more than twice, however small the pieces are.

use bytesize::ByteSize;
use serde::de::DeserializeOwned;

/// The longest item, with the blanks before it: a mailbox takes a hundredth of this.
pub(super) const ITEM_MAX: usize = 64 << 10;

/// Cuts the bytes of a JSON array into the bytes of its items, wherever the pieces it gets begin and end.
#[derive(Debug, Default)]
pub struct Items {
    /// What has arrived and was not handed out yet, and the item handed out last.
    bytes: Vec<u8>,
    /// Up to where `bytes` were walked over.
    walked: usize,
    /// Where the item under way begins, or the blanks before it.
    start: usize,
    place: Place,
    /// How many brackets are open within the item.
    depth: usize,
    count: u64,
}

/// What the walk expects next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The bracket that opens the array.
    #[default]
    Outside,
    /// The first item, or the end of an empty array.
    First,
    /// An item, after a comma.
    Next,
    /// More of an item.
    Item,
    /// More of a string within an item.
    Text,
    /// The character after a backslash.
    Escape,
    /// Nothing but blanks.
    Done,
}

impl Items {
    /// Takes the next piece of the array.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.start);
        self.walked -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(piece);
    }

    /// Reads the next item, or returns `None` when more is needed. An error says what is wrong with the array.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>, String> {
        if matches!(self.place, Place::First | Place::Next)
            && let Some((item, end)) = read_whole(&self.bytes[self.walked..])
        {
            return self.take(self.walked + end).map(|_| Some(item));
        }
        let Some(item) = self.next()? else { return Ok(None) };
        serde_json::from_slice(item).map(Some).map_err(|_| format!("(item {} of the list cannot be read)", self.count))
    }

    /// Returns the next item, which may still turn out to be no JSON, or `None` when more is needed. An error says
    /// what is wrong with the array.
    #[allow(clippy::should_implement_trait, reason = "an item is borrowed, and there may be more after a `None`")]
    pub fn next(&mut self) -> Result<Option<&[u8]>, String> {
        loop {
            self.walked += self.dull();
            let at = self.walked;
            let Some(&byte) = self.bytes.get(at) else { break };
            self.walked += 1;
            self.place = match (self.place, byte) {
                (Place::Text, b'"') => Place::Item,
                (Place::Text, b'\\') => Place::Escape,
                (Place::Text | Place::Escape, _) => Place::Text,
                (Place::Item, b'"') => Place::Text,
                (Place::Item, b'{' | b'[') => {
                    self.depth += 1;
                    Place::Item
                }
                (Place::Item, b',' | b']') if self.depth == 0 => {
                    let start = self.take(at)?;
                    return Ok(Some(&self.bytes[start..at]));
                }
                (Place::Item, b'}' | b']') => {
                    self.depth = self.depth.checked_sub(1).ok_or_else(|| self.unreadable())?;
                    Place::Item
                }
                (Place::Item, _) => Place::Item,
                (place, b' ' | b'\n' | b'\r' | b'\t') => place,
                (Place::Outside, b'[') => {
                    self.start = at + 1;
                    Place::First
                }
                (Place::First, b']') => Place::Done,
                (Place::First | Place::Next, b',' | b':' | b'}' | b']') | (Place::Outside | Place::Done, _) => {
                    return Err(self.unreadable());
                }
                (Place::First | Place::Next, _) => {
                    // The same byte again, now as a part of an item.
                    self.walked = at;
                    Place::Item
                }
            };
        }
        check_size(self.walked - self.start, self.count + 1).map(|()| None)
    }

    /// Takes the item that ends before the comma or bracket at `end`; returns where it begins.
    fn take(&mut self, end: usize) -> Result<usize, String> {
        let start = std::mem::replace(&mut self.start, end + 1);
        self.walked = end + 1;
        self.place = if self.bytes[end] == b',' { Place::Next } else { Place::Done };
        self.count += 1;
        check_size(end - start, self.count).map(|()| start)
    }

    /// Returns how many of the bytes to come change nothing, which is most of them.
    fn dull(&self) -> usize {
        let rest = self.bytes[self.walked..].iter();
        match self.place {
            Place::Text => rest.take_while(|byte| !matches!(byte, b'"' | b'\\')).count(),
            Place::Item => rest.take_while(|byte| !matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',')).count(),
            _ => 0,
        }
    }

    /// Returns how many items there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns what is wrong with an array that ends here, if it has not come to its end.
    pub fn end(&self) -> Result<(), String> {
        if self.place == Place::Done {
            Ok(())
        } else {
            Err(format!("(a list that breaks off after item {})", self.count))
        }
    }

    fn unreadable(&self) -> String {
        format!("(a list that cannot be read after item {})", self.count)
    }
}

/// Reads the item that `bytes` begin with, if all of it is there: returns it, and where the comma or bracket after it is.
fn read_whole<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, usize)> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter();
    let item = values.next()?.ok()?;
    let end = values.byte_offset();
    let end = end + bytes[end..].iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))?;
    matches!(bytes[end], b',' | b']').then_some((item, end))
}

fn check_size(size: usize, number: u64) -> Result<(), String> {
    if size > ITEM_MAX {
        return Err(format!(
            "item {number} of the list does not end within {}",
            ByteSize(ITEM_MAX as u64).display().iec()
        ));
    }
    Ok(())
}
