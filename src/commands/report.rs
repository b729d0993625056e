//! Shows what became of a request: one function for every command that changes one thing.

use super::IfMissing;
use super::password::NewPassword;
use crate::app::App;
use crate::error::{Effect, Kind, Result};
use crate::model::{PasswordState, Removal, Status};
use crate::output::{Outcome, Row, Shape};
use crate::provider::{Done, Settled};

/// Shows what became of a request. `row` builds the row of the thing; `bare` is shown where only its name is known: in a
/// dry run, and after a request that may have been carried out. A password that may be in use is shown if the user asked
/// for it; the file of a password that was certainly not used is removed.
pub(super) fn report<T>(
    app: &App,
    shape: &Shape,
    settled: Settled<T>,
    password: Option<&NewPassword>,
    mut bare: Row,
    row: impl FnOnce(T) -> Row,
) -> Result<()> {
    // Nothing is known of a password that was not sent.
    let password = password.map(|password| (password, settled.password));
    if let Some((password, None)) = password {
        password.remove_unused();
    }
    let used = password.and_then(|(password, state)| Some((password, state?)));
    let (mut row, outcome, failure) = match settled.result {
        Ok((outcome, Done { value, notes, .. })) => {
            let mut row = row(value);
            notes.into_iter().for_each(|note| row.add_note(note));
            (row, outcome, None)
        }
        Err(error) if error.kind == Kind::Planned => {
            app.out.note_for_people(&format!("would send {}", error.message));
            bare.add_extra("request", &error.message);
            (bare, Outcome::Planned, None)
        }
        Err(error) if error.kind == Kind::Unknown => (bare, Outcome::Unknown, Some(error)),
        // What was created half-way has the password already.
        Err(error) if error.effect == Effect::Partial && used.is_some() => (bare, Outcome::Created, Some(error)),
        Err(error) => return Err(error),
    };
    row.set("outcome", outcome);
    if let Some((password, state)) = used {
        password.show_in(&mut row, state);
    }
    app.out.one(shape, row)?;
    failure.map_or(Ok(()), Err)
}

/// Returns what became of a request whose lost answer no look settles.
pub(super) fn without_look<T>(outcome: Outcome, result: Result<T>) -> Settled<T> {
    let password = match &result {
        Ok(_) => Some(PasswordState::Accepted),
        Err(error) if error.effect == Effect::None => None,
        Err(_) => Some(PasswordState::PossiblyInUse),
    };
    Settled { result: result.map(|value| (outcome, value.into())), password }
}

/// Shows what became of something that was to be removed: at once, later, or nothing to do where that is fine.
pub(super) fn report_removal(
    app: &App,
    shape: &Shape,
    settled: Settled<Removal>,
    if_missing: IfMissing,
    bare: Row,
) -> Result<()> {
    let mut row = bare.clone();
    let result = match settled.result {
        Err(error) if error.kind == Kind::NotFound && if_missing == IfMissing::Ok => Ok((Outcome::Absent, ().into())),
        result => result.map(|(outcome, Done { value, notes, assumed })| {
            let (outcome, note) = match value {
                Removal::Done(note) => (outcome, note),
                Removal::Scheduled { on, note } => {
                    row.set("status", Status::Ending);
                    if let Some(on) = on {
                        row.add_extra("effective_on", on);
                    }
                    (Outcome::Scheduled, Some(note))
                }
            };
            let notes = note.map(str::to_owned).into_iter().chain(notes).collect();
            (outcome, Done { value: (), notes, assumed })
        }),
    };
    report(app, shape, Settled { result, password: None }, None, bare, |()| row)
}
