//! What a provider call returns: the value, and what the user should know besides it.

use std::ops::Deref;

/// A value that a provider returned, or that a look after a lost answer showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Done<T> {
    /// The value.
    pub value: T,
    /// What the user should know besides the value, each a sentence; usually empty.
    pub notes: Vec<String>,
    /// Whether the answer was lost, so that the value rests on evidence and not on the provider's confirmation.
    pub assumed: bool,
}

impl<T> Done<T> {
    /// Adds a sentence for the user.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says that the answer was lost and that the value rests on evidence.
    pub fn assumed(mut self) -> Self {
        self.assumed = true;
        self
    }

    /// Turns the value into another one; notes and proof stay.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Done<U> {
        Done { value: map(self.value), notes: self.notes, assumed: self.assumed }
    }
}

impl<T> From<T> for Done<T> {
    fn from(value: T) -> Self {
        Done { value, notes: Vec::new(), assumed: false }
    }
}

impl<T> Deref for Done<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}
