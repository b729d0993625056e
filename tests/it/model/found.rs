//! Lives that random ones have found, each with the defect that it showed.

use mbx::bulk::{OnExisting, Verb};
use mbx::provider::ProviderId;

use super::life::Life;
use super::steps::{Act, Again, Begin, Day, Event, Fault, Host, Step, Struck, Trouble, Who};

fn host(provider: ProviderId, lists_late: u32) -> Host {
    Host { provider, accepts_repeats: false, lists_late, has_other_clock: false }
}

/// Creates so many rows, with more than a first request can carry where `asks_more`.
fn create(rows: u8, asks_more: bool, day: Day) -> Begin {
    let rows = (0..rows).map(Who).collect();
    Begin { verb: Verb::Create, rows, on_existing: OnExisting::Fail, asks_more, at_once: 1, day }
}

fn fault(skip: u8, trouble: Trouble) -> Fault {
    Fault { struck: Struck::Write, skip, times: 1, trouble }
}

fn day(faults: Vec<Fault>, events: Vec<(u8, Event)>) -> Day {
    Day { faults, events }
}

/// Takes the steps, has each judged, and then what is left of the runs.
fn live(host: &Host, steps: Vec<Step>) {
    let mut life = Life::new(host);
    steps.into_iter().for_each(|step| life.take(step));
    life.end();
}

/// A run whose first rows were lost kept a processor busy until another answer came.
#[test]
fn a_run_does_nothing_while_it_waits_for_an_answer() {
    let faults = vec![fault(0, Trouble::SilentBeforeCommit), fault(0, Trouble::CutBeforeCommit)];
    let begin = Begin { at_once: 2, ..create(2, false, day(faults, Vec::new())) };
    live(&host(ProviderId::Emboux, 0), vec![Step::Begin(begin)]);
}

/// A look that reads a quota waited for a slot that a request held which was not worked on meanwhile: for ever.
#[test]
fn a_look_does_not_stop_the_requests_that_are_under_way() {
    for skip in 0..3 {
        let faults = vec![fault(skip, Trouble::CutAfterCommit)];
        let begin = create(5, true, day(faults, Vec::new()));
        live(&host(ProviderId::Emboux, 0), vec![Step::Begin(begin)]);
    }
}

/// A mailbox that was created when the run was interrupted, without its quota, was journaled as not sent: the next process
/// called it somebody else's and threw its password away.
#[test]
fn a_mailbox_that_lacks_its_quota_is_ours_after_an_interrupt() {
    for (requests, lists_late) in [(2, 0), (3, 0), (3, 300), (4, 0)] {
        let begin = create(2, true, day(Vec::new(), vec![(requests, Event::Interrupted)]));
        for how in [Again::Resume, Again::Retry, Again::Settle] {
            let steps = vec![Step::Begin(begin.clone()), Step::Again(how, 0, Day::default())];
            live(&host(ProviderId::Emboux, lists_late), steps);
        }
    }
}

/// A refusal as existing that a look was to confirm was forgotten by an interrupt: the row was in doubt ever after.
#[test]
fn a_refusal_is_remembered_after_an_interrupt() {
    for requests in 2..6 {
        let begin = create(1, false, day(Vec::new(), vec![(requests, Event::Interrupted)]));
        let begin = Begin { on_existing: OnExisting::Keep, ..begin };
        let steps = vec![Step::Somebody(Act::Creates(Who(0))), Step::Pass(60), Step::Begin(begin)];
        live(&host(ProviderId::Emboux, 300), steps);
    }
}

/// The creation time of a row that was sent twice was compared with its first request, an hour before: the provider's
/// clock seemed to be wrong by as much, and another row of the run was called somebody else's.
#[test]
fn a_row_that_was_sent_twice_proves_no_clock() {
    for requests in 4..8 {
        let faults = vec![fault(0, Trouble::Refused)];
        let begin = create(3, true, day(faults, vec![(requests, Event::Killed)]));
        live(&host(ProviderId::Emboux, 0), vec![Step::Begin(begin)]);
    }
}

/// After a power cut each process began to wait anew for what may have been sent before it: a row whose mark was lost was
/// in doubt for ever, though each time a look was promised to settle it.
#[test]
fn what_a_power_cut_has_left_in_doubt_is_settled_in_time() {
    let begin = create(2, false, day(Vec::new(), vec![(3, Event::PowerCut(100))]));
    let deleted = day(Vec::new(), vec![(0, Event::Somebody(Act::Deletes(Who(0))))]);
    let steps = vec![Step::Begin(begin), Step::Again(Again::Resume, 0, deleted)];
    live(&host(ProviderId::Hybridbox, 0), steps);
}

/// A mailbox that somebody else deleted before its quota was set was in doubt for ever.
#[test]
fn a_mailbox_that_is_gone_before_its_quota_was_set_is_settled() {
    let deleted = Event::Somebody(Act::Deletes(Who(0)));
    for (skip, requests) in (0..6).flat_map(|skip| (3..7).map(move |requests| (skip, requests))) {
        let lost = Fault { struck: Struck::Second, ..fault(skip, Trouble::CutAfterCommit) };
        let begin = Begin { at_once: 8, ..create(5, true, day(vec![lost], vec![(requests, deleted)])) };
        live(&host(ProviderId::Emboux, 0), vec![Step::Begin(begin)]);
    }
}

/// A listing that waited for its turn seemed to show at once what was created half a minute before, so that a later one
/// seemed to prove that a mailbox was not made.
#[test]
fn a_listing_that_waits_for_its_turn_proves_no_haste() {
    let faults = vec![fault(3, Trouble::SilentAfterCommit), Fault { times: 2, ..fault(2, Trouble::CutAfterCommit) }];
    live(&host(ProviderId::Qboxmail, 20), vec![Step::Begin(create(5, false, day(faults, Vec::new())))]);
}

/// Somebody else's mailbox, in the place of one that this run had created, taught it a clock that was wrong: another row
/// of the run was called somebody else's.
#[test]
fn a_mailbox_that_was_replaced_proves_no_clock() {
    let lost = fault(1, Trouble::CommitAfterGatewayTimeout(50));
    let steps = vec![
        Step::Begin(create(2, false, day(vec![lost], Vec::new()))),
        Step::Somebody(Act::Deletes(Who(0))),
        Step::Pass(1200),
        Step::Somebody(Act::Creates(Who(0))),
    ];
    live(&host(ProviderId::Emboux, 300), steps);
}

/// After a power cut the second request of a row whose first mark was lost counted as its first: what the first one had
/// made was called somebody else's.
#[test]
fn a_request_after_a_power_cut_is_not_the_first() {
    for requests in 3..6 {
        let lost = fault(0, Trouble::CutAfterCommit);
        let cut = day(vec![lost], vec![(requests, Event::PowerCut(2))]);
        let other = Begin { on_existing: OnExisting::Keep, ..create(1, true, Day::default()) };
        let steps = vec![
            Step::Begin(create(5, false, cut)),
            Step::Pass(60),
            Step::Begin(other),
            Step::Again(Again::Resume, 0, Day::default()),
        ];
        live(&host(ProviderId::Emboux, 300), steps);
    }
}
