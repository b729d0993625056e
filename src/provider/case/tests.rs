//! Single steps, each with the times at which it turns. All histories are in `tests/it/histories`.

use super::*;

const RULES: Rules = Rules {
    on_existing: OnExisting::Fail,
    refuses_existing: true,
    can_look: true,
    resends: true,
    is_costly: false,
    attempts: 1,
    looks: 1,
    pause: SignedDuration::from_secs(1),
    lag: LAG,
    answer: SignedDuration::from_mins(1),
};
/// Rules of a process that only looks.
const LOOKS: Rules = Rules { resends: false, ..RULES };
const UPDATES: Rules = Rules { on_existing: OnExisting::Update, ..RULES };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_772_366_400 + seconds).expect("it is a time")
}

fn seen(made: Made, fits: bool) -> Found {
    Found::There(Seen { made, fits, same: true, ending: false })
}

/// A look that is long after all that was sent.
fn late(found: Found) -> Event {
    Event::Looked(Look { at: at(7200), as_of: None, found })
}

fn soon(found: Found) -> Event {
    Event::Looked(Look { at: at(1), as_of: None, found })
}

/// A case whose request an earlier process sent at second 0.
fn resumed(task: Task, rules: Rules, was_listed: bool) -> Case {
    Case::resumed(task, rules, was_listed, Some(Sent { first: Some(at(0)), last: at(0) }), at(60))
}

/// A case whose request was sent at second 0 and its answer lost a second later.
fn lost(task: Task, rules: Rules, before: Before) -> Case {
    let mut case = Case::new(task, rules);
    case.set_before(before);
    case.send(at(0));
    case.on(Event::Lost(at(1)));
    case
}

#[track_caller]
fn ends(step: Step, outcome: Outcome, why: Why) -> Verdict {
    let Step::Finish(verdict) = step else { panic!("it goes on: {step:?}") };
    assert_eq!((verdict.outcome, verdict.why), (outcome, why));
    verdict
}

#[test]
fn what_was_listed_is_not_created_when_a_later_look_fails() {
    let begin = |rules| {
        let mut case = Case::new(Task::Create, rules);
        case.set_before(Before::Yes);
        assert_eq!(case.begin(at(0)), Step::Look(at(0)));
        let step = case.on(soon(Found::Incomplete));
        (case.task(), step)
    };
    assert_eq!(begin(UPDATES), (Task::Update, Step::Send));
    ends(begin(RULES).1, Outcome::Exists, Why::Shown);
}

#[test]
fn a_resumed_create_of_what_was_listed_has_not_used_its_password() {
    let mut case = resumed(Task::Create, UPDATES, true);
    let verdict = ends(case.on(late(seen(Made::Before, true))), Outcome::Unchanged, Why::Shown);
    assert_eq!(verdict.password, None);
    // Where nothing is known of the time before, it may be in use.
    let mut case = resumed(Task::Create, UPDATES, false);
    let verdict = ends(case.on(late(seen(Made::Untold, true))), Outcome::Unknown, Why::NotProven);
    assert_eq!(verdict.password, Some(PasswordState::PossiblyInUse));
}

#[test]
fn what_was_listed_and_is_gone_may_be_created_by_a_resumed_run() {
    let mut case = resumed(Task::Create, Rules { attempts: 2, ..UPDATES }, true);
    assert_eq!((case.on(soon(Found::Missing)), case.before()), (Step::Send, Before::No(at(1))));
    case.send(at(2));
    assert_eq!((case.on(Event::Lost(at(3))), case.sent()), (Step::Look(at(3)), Some(at(2))));
    let verdict = ends(case.on(late(seen(Made::During, true))), Outcome::Created, Why::Shown);
    assert_eq!(verdict.password, Some(PasswordState::Assumed));
    // Where every look fails, it is changed as one that is there.
    let mut case = resumed(Task::Create, UPDATES, true);
    assert_eq!((case.on(soon(Found::Incomplete)), case.task()), (Step::Send, Task::Update));
    // Who only looks has created nothing.
    let mut case = resumed(Task::Create, Rules { on_existing: OnExisting::Update, ..LOOKS }, true);
    ends(case.on(late(Found::Missing)), Outcome::Failed, Why::NotShown);
}

#[test]
fn what_was_proven_not_made_has_failed_when_its_repeat_does_not_leave() {
    let case = || lost(Task::Create, Rules { attempts: 2, ..RULES }, Before::NotKnown);
    let mut proven = case();
    assert_eq!(proven.on(late(Found::Missing)), Step::Send);
    ends(proven.on(Event::NotSent), Outcome::Failed, Why::NotShown);
    let mut open = case();
    assert_eq!(open.on(soon(Found::Missing)), Step::Send);
    ends(open.on(Event::NotSent), Outcome::Unknown, Why::LostEachTime);
}

#[test]
fn a_repeat_is_not_the_first_request_of_an_unmarked_row() {
    let mut case = Case::resumed(Task::Create, RULES, false, None, at(60));
    case.send(at(60));
    assert_eq!(case.sent(), None);
    assert_eq!(case.on(Event::Answered(Answer::Exists)), Step::Look(at(60)));
    ends(case.on(soon(seen(Made::Untold, true))), Outcome::Unknown, Why::NotProven);
}

#[test]
fn a_second_half_that_an_earlier_process_may_have_sent_is_in_doubt() {
    let mut case = resumed(Task::Create, RULES, false);
    assert_eq!((case.on(late(seen(Made::During, false))), case.task()), (Step::Send, Task::Finish));
    case.send(at(7201));
    ends(case.on(Event::Answered(Answer::Refused)), Outcome::Unknown, Why::Answered);
}

#[test]
fn a_second_half_whose_repeat_is_refused_is_in_doubt() {
    let mut case = Case::new(Task::Create, Rules { attempts: 2, ..RULES });
    case.send(at(0));
    assert_eq!((case.on(Event::Answered(Answer::Partial)), case.task()), (Step::Send, Task::Finish));
    case.send(at(0));
    assert_eq!(case.on(Event::Lost(at(1))), Step::Look(at(1)));
    assert_eq!(case.on(soon(Found::Incomplete)), Step::Send);
    case.send(at(2));
    ends(case.on(Event::Answered(Answer::Refused)), Outcome::Unknown, Why::Answered);
}

#[test]
fn a_lost_change_that_a_late_look_does_not_show_has_failed() {
    let look = |event| resumed(Task::Update, LOOKS, true).on(event);
    ends(look(late(seen(Made::Untold, true))), Outcome::Updated, Why::Shown);
    ends(look(late(seen(Made::Untold, false))), Outcome::Failed, Why::Shown);
    ends(look(soon(seen(Made::Untold, false))), Outcome::Unknown, Why::LostEachTime);
}

#[test]
fn a_lost_change_of_what_a_late_look_lacks_has_failed() {
    let look = |event| resumed(Task::Update, LOOKS, true).on(event);
    ends(look(late(Found::Missing)), Outcome::Failed, Why::NotShown);
    ends(look(soon(Found::Missing)), Outcome::Unknown, Why::LostEachTime);
}

#[test]
fn a_lost_delete_has_failed_where_a_late_look_shows_what_was_there_before() {
    let look = |event| resumed(Task::Delete, LOOKS, true).on(event);
    ends(look(late(seen(Made::Before, true))), Outcome::Failed, Why::Shown);
    // It may be another one that was created since.
    ends(look(late(seen(Made::Untold, true))), Outcome::Unknown, Why::LostEachTime);
    ends(look(soon(seen(Made::Before, true))), Outcome::Unknown, Why::LostEachTime);
}

#[test]
fn a_lost_delete_of_what_was_not_listed_is_absent() {
    let case = |before| lost(Task::Delete, Rules { attempts: 2, ..RULES }, before);
    for (before, outcome) in
        [(Before::Yes, Outcome::Deleted), (Before::NotKnown, Outcome::Deleted), (Before::No(at(0)), Outcome::Absent)]
    {
        ends(case(before).on(Event::Answered(Answer::Absent)), outcome, Why::Answered);
        ends(case(before).on(late(Found::Missing)), outcome, Why::NotShown);
    }
    // It was created meanwhile, or the listing was late.
    let mut shown = case(Before::No(at(0)));
    assert_eq!(shown.on(soon(seen(Made::Untold, true))), Step::Send);
    ends(shown.on(Event::Answered(Answer::Absent)), Outcome::Deleted, Why::Answered);
}

/// A look at this second, of a listing that nothing proves to be new.
fn look(second: i64, found: Found) -> Event {
    Event::Looked(Look { at: at(second), as_of: None, found })
}

/// A look that is proven to show all that was done up to this second.
fn newer(second: i64, found: Found) -> Event {
    Event::Looked(Look { at: at(second), as_of: Some(at(second)), found })
}

/// The second from which a look after the loss of [`lost`] is long after it: a second, the grace and the lag.
const LONG_AGO: i64 = 1 + 2 + 900;

const TWICE: Rules = Rules { attempts: 2, ..RULES };

#[test]
fn looks_wait_twice_as_long_each_time() {
    let rules = Rules { looks: 4, ..RULES };
    assert_eq!([0, 1, 2, 3, 4].map(|looks| rules.wait(looks).as_secs()), [0, 1, 3, 7, 15]);
    assert_eq!(rules.patience().as_secs(), 7);
    assert_eq!(Rules { looks: 0, ..RULES }.patience().as_secs(), 0);
    let paused = |pause| Rules { pause: SignedDuration::from_millis(pause), ..RULES };
    assert_eq!([0, 500, 60_000].map(|pause| paused(pause).grace().as_millis()), [0, 1000, 3000]);
    // What no clock can count is the lag.
    assert_eq!(Rules { pause: SignedDuration::MAX, ..RULES }.wait(2), LAG);
    assert_eq!(Rules { pause: SignedDuration::MAX, ..RULES }.grace(), GRACE);
}

#[test]
fn a_case_begins_with_a_look_where_that_can_tell_something() {
    let blind = Rules { can_look: false, ..RULES };
    let begin = |task, rules, before| {
        let mut case = Case::new(task, rules);
        case.set_before(before);
        (case.begin(at(5)), case.begin_with_look(at(5)))
    };
    let (look, send) = (Step::Look(at(5)), Step::Send);
    for (task, rules, before, steps) in [
        (Task::Create, RULES, Before::NotKnown, (send, look)),
        (Task::Create, RULES, Before::No(at(0)), (send, look)),
        (Task::Create, RULES, Before::Yes, (look, look)),
        (Task::Create, blind, Before::Yes, (send, send)),
        (Task::Create, blind, Before::NotKnown, (send, send)),
        (Task::Delete, RULES, Before::Yes, (send, look)),
        (Task::Delete, blind, Before::Yes, (send, send)),
        (Task::Update, RULES, Before::Yes, (send, send)),
        (Task::SetPassword, RULES, Before::Yes, (send, send)),
    ] {
        assert_eq!(begin(task, rules, before), steps, "{task:?} {before:?} {}", rules.can_look);
    }
    // What an earlier process left in doubt is looked for, from the time on when it was left.
    let case = resumed(Task::Create, RULES, false);
    assert_eq!((case.begin(at(70)), case.begin_with_look(at(70))), (Step::Look(at(0)), Step::Look(at(0))));
}

#[test]
fn after_a_loss_comes_a_look_or_a_repeat_that_cannot_make_two() {
    let step = |task, rules| {
        let mut case = Case::new(task, rules);
        case.send(at(0));
        case.on(Event::Lost(at(1)))
    };
    let blind = Rules { can_look: false, ..TWICE };
    for task in [Task::Create, Task::Finish, Task::Update, Task::Delete] {
        assert_eq!(step(task, TWICE), Step::Look(at(1)), "{task:?}");
        assert_eq!(step(task, blind), Step::Send, "{task:?}");
    }
    let accepting = Rules { refuses_existing: false, ..blind };
    ends(step(Task::Create, accepting), Outcome::Unknown, Why::CannotLook);
    assert_eq!(step(Task::Delete, accepting), Step::Send);
    ends(step(Task::Delete, Rules { attempts: 1, ..blind }), Outcome::Unknown, Why::CannotLook);
    assert_eq!(step(Task::SetPassword, TWICE), Step::Send);
    let verdict = ends(step(Task::SetPassword, RULES), Outcome::Unknown, Why::LostEachTime);
    assert_eq!((verdict.password, verdict.settles_at), (Some(PasswordState::PossiblyInUse), None));
}

#[test]
fn a_case_tells_what_was_sent_and_what_is_in_doubt() {
    let mut case = Case::new(Task::Create, UPDATES);
    assert_eq!((case.attempts(), case.sent(), case.lost(), case.is_doubted()), (0, None, None, false));
    assert_eq!((case.on_existing(), case.task(), case.password()), (OnExisting::Update, Task::Create, None));
    case.send(at(1));
    case.unsend();
    assert_eq!((case.attempts(), case.sent()), (1, None), "it did not leave");
    case.send(at(2));
    case.send(at(3));
    assert_eq!((case.attempts(), case.sent()), (3, Some(at(2))));
    case.on(Event::Lost(at(4)));
    case.unsend();
    assert_eq!((case.sent(), case.lost(), case.is_doubted()), (Some(at(2)), Some(at(4)), true));
    assert_eq!(case.password(), Some(PasswordState::PossiblyInUse));
    // An update carries no password.
    assert_eq!(lost(Task::Update, RULES, Before::Yes).password(), None);
    assert_eq!(lost(Task::SetPassword, RULES, Before::Yes).password(), Some(PasswordState::PossiblyInUse));
}

#[test]
fn an_answer_says_what_became_of_each_task() {
    let answered = |task, rules, answer| {
        let mut case = Case::new(task, rules);
        case.send(at(0));
        (case.on(Event::Answered(answer)), case)
    };
    let accepted = Some(PasswordState::Accepted);
    for (task, answer, outcome, password) in [
        (Task::Create, Answer::Done, Outcome::Created, accepted),
        (Task::Finish, Answer::Done, Outcome::Created, None),
        (Task::Update, Answer::Done, Outcome::Updated, None),
        (Task::SetPassword, Answer::Done, Outcome::Updated, accepted),
        (Task::Delete, Answer::Done, Outcome::Deleted, None),
        (Task::Delete, Answer::Absent, Outcome::Absent, None),
        (Task::Delete, Answer::Refused, Outcome::Failed, None),
        (Task::Update, Answer::Absent, Outcome::Failed, None),
        (Task::Create, Answer::Refused, Outcome::Failed, None),
        (Task::Create, Answer::Absent, Outcome::Failed, None),
        (Task::Create, Answer::Exists, Outcome::Exists, None),
        (Task::Update, Answer::Exists, Outcome::Failed, None),
        (Task::Delete, Answer::Exists, Outcome::Failed, None),
        (Task::Update, Answer::Partial, Outcome::Failed, None),
    ] {
        let verdict = ends(answered(task, RULES, answer).0, outcome, Why::Answered);
        assert_eq!((verdict.password, verdict.settles_at), (password, None), "{task:?} {answer:?}");
    }
    let (step, half) = answered(Task::Create, TWICE, Answer::Partial);
    assert_eq!((step, half.task(), half.password(), half.attempts()), (Step::Send, Task::Finish, accepted, 0));
    let (step, half) = answered(Task::Create, LOOKS, Answer::Partial);
    let verdict = ends(step, Outcome::Unknown, Why::OnlyLooked);
    assert_eq!((verdict.settles_at, half.task()), (None, Task::Finish));
    for on_existing in [OnExisting::Keep, OnExisting::Update] {
        let (step, case) = answered(Task::Create, Rules { on_existing, ..RULES }, Answer::Exists);
        assert_eq!((step, case.before()), (Step::Look(at(0)), Before::Yes));
        let blind = Rules { on_existing, can_look: false, ..RULES };
        ends(answered(Task::Create, blind, Answer::Exists).0, Outcome::Exists, Why::Answered);
    }
}

#[test]
fn an_answer_after_a_loss_may_come_of_the_first_request() {
    let again = |task, answer| {
        let mut case = lost(task, TWICE, Before::Yes);
        case.send(at(5));
        case.on(Event::Answered(answer))
    };
    for answer in [Answer::Exists, Answer::Refused, Answer::Absent] {
        assert_eq!(again(Task::Create, answer), Step::Look(at(5)), "{answer:?}");
    }
    for task in [Task::Update, Task::SetPassword] {
        ends(again(task, Answer::Absent), Outcome::Failed, Why::Answered);
        let verdict = ends(again(task, Answer::Refused), Outcome::Unknown, Why::Answered);
        assert_eq!(verdict.settles_at.is_some(), task == Task::Update, "no look shows a password");
    }
    ends(again(Task::Delete, Answer::Absent), Outcome::Deleted, Why::Answered);
    ends(again(Task::Delete, Answer::Refused), Outcome::Unknown, Why::Answered);
    // Where nothing can be looked up, it stays open.
    let blind = Rules { can_look: false, ..TWICE };
    let mut case = lost(Task::Create, blind, Before::NotKnown);
    case.send(at(5));
    let verdict = ends(case.on(Event::Answered(Answer::Exists)), Outcome::Unknown, Why::CannotLook);
    assert_eq!(verdict.settles_at, None);
}

#[test]
fn what_is_unknown_settles_when_a_listing_must_show_it() {
    let mut case = lost(Task::Create, RULES, Before::NotKnown);
    let verdict = ends(case.on(look(2, Found::Incomplete)), Outcome::Unknown, Why::LookFailed);
    // The loss, the time an answer may take, the grace and the lag.
    assert_eq!(verdict.settles_at, Some(at(1 + 60 + 2 + 900)));
    // An earlier process may have waited for its answer as long as that.
    let mut case = Case::resumed(Task::Create, LOOKS, false, Some(Sent { first: None, last: at(30) }), at(40));
    let verdict = ends(case.on(look(50, Found::Missing)), Outcome::Unknown, Why::NotShown);
    assert_eq!(verdict.settles_at, Some(at(30 + 60 + 60 + 2 + 900)));
    let mut case = Case::resumed(Task::Create, LOOKS, false, None, at(40));
    let verdict = ends(case.on(look(50, Found::Missing)), Outcome::Unknown, Why::NotShown);
    assert_eq!(verdict.settles_at, Some(at(40 + 60 + 60 + 2 + 900)));
    let mut case = lost(Task::Create, RULES, Before::NotKnown);
    let verdict = ends(case.on(look(2, seen(Made::Untold, true))), Outcome::Unknown, Why::NotProven);
    assert_eq!(verdict.settles_at, None, "no later look proves whose it is");
}

#[test]
fn a_look_before_the_request_decides_whether_one_is_needed() {
    let looked = |task, rules, found| {
        let mut case = Case::new(task, rules);
        let step = case.on(look(5, found));
        (step, case.task(), case.before())
    };
    let there = |fits| seen(Made::Before, fits);
    let keeps = Rules { on_existing: OnExisting::Keep, ..RULES };
    for rules in [RULES, keeps] {
        ends(looked(Task::Create, rules, there(true)).0, Outcome::Exists, Why::Shown);
        assert_eq!(looked(Task::Create, rules, there(false)).2, Before::Yes);
    }
    ends(looked(Task::Create, UPDATES, there(true)).0, Outcome::Unchanged, Why::Shown);
    assert_eq!(looked(Task::Create, UPDATES, there(false)), (Step::Send, Task::Update, Before::Yes));
    ends(looked(Task::Update, RULES, there(true)).0, Outcome::Unchanged, Why::Shown);
    assert_eq!(looked(Task::Update, RULES, there(false)), (Step::Send, Task::Update, Before::Yes));
    assert_eq!(looked(Task::Delete, RULES, there(true)), (Step::Send, Task::Delete, Before::Yes));
    for task in [Task::Create, Task::Delete] {
        assert_eq!(looked(task, RULES, Found::Missing), (Step::Send, task, Before::No(at(5))));
        assert_eq!(looked(task, RULES, Found::Incomplete), (Step::Send, task, Before::NotKnown));
    }
}

#[test]
fn a_refusal_as_existing_is_confirmed_by_looks() {
    let keeps = Rules { on_existing: OnExisting::Keep, looks: 3, ..RULES };
    let refused = |rules| {
        let mut case = Case::new(Task::Create, rules);
        case.send(at(0));
        assert_eq!(case.on(Event::Answered(Answer::Exists)), Step::Look(at(0)));
        case
    };
    let mut case = refused(keeps);
    assert_eq!(case.on(look(1, Found::Missing)), Step::Look(at(1)), "the second look waits for a pause");
    assert_eq!(case.on(look(2, Found::Missing)), Step::Look(at(3)));
    ends(case.on(look(3, Found::Missing)), Outcome::Failed, Why::HeldOtherwise);
    let mut late = refused(keeps);
    late.on(look(1, Found::Missing));
    ends(late.on(look(2, seen(Made::Before, true))), Outcome::Exists, Why::Shown);
    ends(refused(keeps).on(look(1, Found::Incomplete)), Outcome::Exists, Why::Answered);
    // Where listings lag by the provider's own account, the refusal counts.
    ends(refused(Rules { is_costly: true, ..keeps }).on(look(1, Found::Missing)), Outcome::Exists, Why::Answered);
    let mut updates = refused(Rules { on_existing: OnExisting::Update, ..keeps });
    assert_eq!((updates.on(look(1, Found::Incomplete)), updates.task()), (Step::Send, Task::Update));
}

#[test]
fn what_shows_after_a_loss_is_ours_by_its_time_or_by_the_listing_before() {
    let whose = |before, seen: Seen, second| {
        let case = lost(Task::Create, RULES, before);
        case.whose(seen, at(second))
    };
    let one = |made| Seen { made, fits: true, same: true, ending: false };
    let missing = Before::No(at(0) - FRESH);
    for (before, made, second, expected) in [
        (Before::NotKnown, Made::During, 2, Whose::Ours),
        (Before::NotKnown, Made::After, 2, Whose::Theirs),
        (Before::NotKnown, Made::Before, 2, Whose::Theirs),
        (Before::NotKnown, Made::Near, 2, Whose::Open),
        (Before::NotKnown, Made::Untold, 2, Whose::Open),
        (Before::Yes, Made::During, 2, Whose::Theirs),
        (missing, Made::Untold, 2, Whose::Ours),
        (missing, Made::Near, 2, Whose::Ours),
        (missing, Made::Before, 2, Whose::Ours),
        (missing, Made::After, 2, Whose::Theirs),
        // The last second that is near, and the first that is not.
        (missing, Made::Untold, 11, Whose::Ours),
        (missing, Made::Untold, 12, Whose::Open),
        // The listing before was too old.
        (Before::No(at(-1) - FRESH), Made::Untold, 2, Whose::Open),
    ] {
        assert_eq!(whose(before, one(made), second), expected, "{before:?} {made:?} {second}");
    }
    let other = Seen { same: false, ..one(Made::During) };
    assert_eq!(whose(Before::NotKnown, other, 2), Whose::Theirs);
    // What a listing of this process lacked says nothing about the time before an earlier one.
    let mut case = resumed(Task::Create, RULES, false);
    case.set_before(missing);
    assert_eq!(case.whose(one(Made::Untold), at(2)), Whose::Open);
}

#[test]
fn what_is_ours_after_a_loss_is_created_or_still_lacks_something() {
    let shown = |made, fits, rules| {
        let mut case = lost(Task::Create, rules, Before::NotKnown);
        (case.on(look(2, seen(made, fits))), case)
    };
    let verdict = ends(shown(Made::During, true, RULES).0, Outcome::Created, Why::Shown);
    assert_eq!(verdict.password, Some(PasswordState::Assumed));
    let (step, case) = shown(Made::During, false, RULES);
    assert_eq!((step, case.task(), case.is_doubted()), (Step::Send, Task::Finish, false));
    let (step, case) = shown(Made::During, false, LOOKS);
    ends(step, Outcome::Unknown, Why::OnlyLooked);
    assert_eq!(case.password(), Some(PasswordState::Assumed));
    ends(shown(Made::Before, true, RULES).0, Outcome::Exists, Why::Shown);
    ends(shown(Made::Before, true, UPDATES).0, Outcome::Unchanged, Why::Shown);
    let (step, case) = shown(Made::Before, false, UPDATES);
    assert_eq!((step, case.task(), case.before()), (Step::Send, Task::Update, Before::Yes));
}

#[test]
fn a_create_is_sent_again_when_a_listing_proves_that_it_was_not_made() {
    let missing = |rules, event| lost(Task::Create, rules, Before::NotKnown).on(event);
    let patient = Rules { looks: 3, refuses_existing: false, ..TWICE };
    // The grace after the loss is over at second 3.
    assert_eq!(missing(patient, newer(3, Found::Missing)), Step::Send);
    assert_eq!(missing(patient, newer(2, Found::Missing)), Step::Look(at(2)), "a host may still work on it");
    assert_eq!(missing(patient, look(LONG_AGO, Found::Missing)), Step::Send);
    assert_eq!(missing(patient, look(LONG_AGO - 1, Found::Missing)), Step::Look(at(2)));
    let no_lag = Rules { lag: SignedDuration::ZERO, ..patient };
    assert_eq!(missing(no_lag, look(LONG_AGO, Found::Missing)), Step::Look(at(2)), "no time proves it");
    ends(missing(Rules { attempts: 1, ..patient }, newer(3, Found::Missing)), Outcome::Failed, Why::NotShown);
    // Three looks, each after a longer pause, and then nothing more.
    let mut case = lost(Task::Create, patient, Before::NotKnown);
    assert_eq!(case.on(look(1, Found::Missing)), Step::Look(at(2)));
    assert_eq!(case.on(look(2, Found::Incomplete)), Step::Look(at(4)));
    let verdict = ends(case.on(look(4, Found::Missing)), Outcome::Unknown, Why::NotShown);
    assert_eq!(verdict.password, Some(PasswordState::PossiblyInUse));
    // A host that refuses what exists cannot make two.
    let mut case = lost(Task::Create, Rules { refuses_existing: true, looks: 1, ..patient }, Before::NotKnown);
    assert_eq!(case.on(look(1, Found::Missing)), Step::Send);
    let mut case =
        lost(Task::Create, Rules { refuses_existing: true, looks: 1, attempts: 1, ..patient }, Before::NotKnown);
    ends(case.on(look(1, Found::Incomplete)), Outcome::Unknown, Why::LookFailed);
}

#[test]
fn a_create_that_costs_money_is_sent_again_by_proof_alone() {
    let costly = Rules { is_costly: true, looks: 2, ..TWICE };
    let mut case = lost(Task::Create, costly, Before::NotKnown);
    assert_eq!(case.on(look(LONG_AGO, Found::Missing)), Step::Look(at(2)), "it is looked for as often as asked");
    ends(case.on(look(LONG_AGO, Found::Missing)), Outcome::Failed, Why::NotShown);
    assert_eq!(lost(Task::Create, costly, Before::NotKnown).on(newer(3, Found::Missing)), Step::Send);
    let mut case = lost(Task::Create, costly, Before::NotKnown);
    case.on(look(1, Found::Missing));
    assert_eq!(case.on(look(2, Found::Missing)), Step::Send, "it is refused if it exists");
    // One look is enough for what an earlier process left long ago.
    ends(resumed(Task::Create, costly, false).on(look(7200, Found::Missing)), Outcome::Failed, Why::NotShown);
}

#[test]
fn a_repeat_that_was_refused_is_settled_by_later_looks() {
    let refused = |answer, looks| {
        let mut case = lost(Task::Create, Rules { looks, ..TWICE }, Before::NotKnown);
        case.send(at(5));
        assert_eq!(case.on(Event::Answered(answer)), Step::Look(at(5)));
        case
    };
    // The repeat left at second 5, and the grace after it is over at second 7.
    let long_ago = 5 + 2 + 900;
    for answer in [Answer::Refused, Answer::Absent] {
        ends(refused(answer, 2).on(newer(7, Found::Missing)), Outcome::Failed, Why::Answered);
        ends(refused(answer, 2).on(look(long_ago, Found::Missing)), Outcome::Failed, Why::Answered);
        assert_eq!(refused(answer, 2).on(newer(6, Found::Missing)), Step::Look(at(6)));
        let mut case = refused(answer, 2);
        case.on(look(8, Found::Missing));
        ends(case.on(look(9, Found::Missing)), Outcome::Unknown, Why::NotShown);
    }
    ends(refused(Answer::Exists, 2).on(newer(7, Found::Missing)), Outcome::Failed, Why::HeldOtherwise);
    let mut case = refused(Answer::Exists, 2);
    assert_eq!(case.on(look(long_ago, Found::Missing)), Step::Look(at(6)));
    ends(case.on(look(long_ago, Found::Missing)), Outcome::Failed, Why::HeldOtherwise);
    let mut case = refused(Answer::Exists, 2);
    case.on(look(8, Found::Missing));
    ends(case.on(look(9, Found::Missing)), Outcome::Unknown, Why::NotShown);
    let verdict = ends(refused(Answer::Exists, 2).on(look(8, seen(Made::During, true))), Outcome::Created, Why::Shown);
    assert_eq!(verdict.password, Some(PasswordState::Assumed));
}

#[test]
fn a_lost_change_is_done_when_a_look_shows_it_and_sent_again_when_none_does() {
    for (task, outcome) in [(Task::Update, Outcome::Updated), (Task::Finish, Outcome::Created)] {
        let on = |rules, event| lost(task, rules, Before::Yes).on(event);
        ends(on(RULES, look(2, seen(Made::Before, true))), outcome, Why::Shown);
        for found in [seen(Made::Before, false), Found::Missing, Found::Incomplete] {
            assert_eq!(on(TWICE, look(2, found)), Step::Send, "{task:?} {found:?}");
            ends(on(RULES, look(2, found)), Outcome::Unknown, Why::LostEachTime);
        }
        assert_eq!(on(TWICE, newer(3, Found::Missing)), Step::Send);
        for event in [newer(3, seen(Made::Before, false)), look(LONG_AGO, seen(Made::Before, false))] {
            ends(on(RULES, event), Outcome::Failed, Why::Shown);
        }
        ends(on(RULES, newer(3, Found::Missing)), Outcome::Failed, Why::NotShown);
        ends(on(RULES, newer(2, Found::Missing)), Outcome::Unknown, Why::LostEachTime);
    }
}

#[test]
fn a_lost_deletion_is_settled_by_what_is_there() {
    let on = |rules, before, event| lost(Task::Delete, rules, before).on(event);
    let there = |same, ending| Found::There(Seen { made: Made::Untold, fits: true, same, ending });
    ends(on(TWICE, Before::Yes, look(2, there(true, true))), Outcome::Scheduled, Why::Shown);
    ends(on(TWICE, Before::Yes, look(2, there(false, false))), Outcome::Deleted, Why::Shown);
    assert_eq!(on(TWICE, Before::Yes, look(2, there(true, false))), Step::Send);
    ends(on(RULES, Before::Yes, look(2, there(true, false))), Outcome::Unknown, Why::LostEachTime);
    ends(on(TWICE, Before::Yes, look(2, Found::Missing)), Outcome::Deleted, Why::NotShown);
    assert_eq!(
        on(TWICE, Before::NotKnown, look(2, Found::Missing)),
        Step::Send,
        "nobody saw it, and this one may be late"
    );
    ends(on(TWICE, Before::NotKnown, newer(3, Found::Missing)), Outcome::Deleted, Why::NotShown);
    ends(on(TWICE, Before::NotKnown, look(LONG_AGO, Found::Missing)), Outcome::Deleted, Why::NotShown);
    assert_eq!(on(TWICE, Before::Yes, look(2, Found::Incomplete)), Step::Send);
}

#[test]
fn a_request_that_did_not_leave_leaves_what_was_in_doubt() {
    let mut case = Case::new(Task::Create, RULES);
    case.send(at(0));
    let verdict = ends(case.on(Event::NotSent), Outcome::Failed, Why::NotSent);
    assert_eq!((verdict.password, case.sent()), (None, None));
    let mut case = lost(Task::Create, TWICE, Before::NotKnown);
    case.send(at(5));
    ends(case.on(Event::NotSent), Outcome::Unknown, Why::LostEachTime);
}

#[test]
fn a_resumed_case_knows_what_an_earlier_process_may_have_done() {
    let first = Some(Sent { first: Some(at(3)), last: at(9) });
    let case = Case::resumed(Task::Create, TWICE, false, first, at(60));
    assert_eq!(
        (case.sent(), case.lost(), case.before(), case.attempts()),
        (Some(at(3)), Some(at(9)), Before::NotKnown, 0)
    );
    assert_eq!(case.password(), Some(PasswordState::PossiblyInUse));
    let case = Case::resumed(Task::Create, TWICE, true, None, at(60));
    assert_eq!((case.sent(), case.lost(), case.before(), case.password()), (None, Some(at(60)), Before::Yes, None));
    let case = Case::resumed(Task::SetPassword, TWICE, true, None, at(60));
    assert_eq!(case.password(), Some(PasswordState::PossiblyInUse), "it is sent to what exists");
    // Its host may work on a request for as long as an answer is waited for: until second 69, and the grace.
    let missing = |event| Case::resumed(Task::Create, TWICE, false, first, at(60)).on(event);
    assert_eq!(missing(newer(71, Found::Missing)), Step::Send);
    let blocked = Rules { refuses_existing: false, ..TWICE };
    let mut case = Case::resumed(Task::Create, blocked, false, first, at(60));
    ends(case.on(newer(70, Found::Missing)), Outcome::Unknown, Why::NotShown);
}
