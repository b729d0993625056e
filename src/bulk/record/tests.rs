//! Journals as text, and what is read from them.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::bulk::Verb;
use crate::bulk::input::Select;
use crate::bulk::journal::{AccountMark, FORMAT, Journal, RunOptions};

const RUN: &str = "20260105-090000-0000002a";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_600_000 + second).expect("a time")
}

fn sent(first: Option<i64>, last: i64) -> Sent {
    Sent { first: first.map(at), last: at(last) }
}

fn header() -> Header {
    Header {
        format: FORMAT,
        run: RUN.to_owned(),
        boot: this_boot(),
        started: at(0),
        verb: Verb::Create,
        provider: "emboux".to_owned(),
        profile: "work".to_owned(),
        account: AccountMark { base_url: "https://mail.example".to_owned(), login: "ada".to_owned() },
        file: None,
        digest: "d1".to_owned(),
        rows: 100,
        options: RunOptions::default(),
    }
}

/// Writes a journal, each line as JSON.
fn write(folder: &Path, header: &Header, lines: &[Value]) {
    let mut text = format!("{}\n", serde_json::to_string(header).expect("plain JSON"));
    lines.iter().for_each(|line| writeln!(text, "{line}").expect("a text takes it"));
    fs::write(path_of(folder, &header.run), text).expect("it is written");
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn read(lines: &[Value]) -> Record {
    read_with(&header(), lines)
}

fn read_with(header: &Header, lines: &[Value]) -> Record {
    let folder = folder();
    write(folder.path(), header, lines);
    Record::read(folder.path(), &header.run).expect("it can be read")
}

fn refused(header: &Header, lines: &[Value]) -> String {
    let folder = folder();
    write(folder.path(), header, lines);
    let error = Record::read(folder.path(), &header.run).expect_err("it is damaged");
    assert_eq!(error.kind, Kind::Config);
    error.message.clone()
}

fn intent(row: u32, listed: &str) -> Value {
    json!({ "intent": row, "line": row + 2, "address": format!("user{row}@example.com"), "listed": listed })
}

fn left(rows: &[u32], second: i64) -> Value {
    json!({ "sent": rows, "at": at(second) })
}

fn done(row: u32, outcome: &str) -> Value {
    json!({ "done": row, "line": row + 2, "address": format!("user{row}@example.com"), "outcome": outcome })
}

fn touched(row: u32) -> Value {
    json!({ "done": row, "line": row + 2, "address": format!("user{row}@example.com"), "outcome": "failed", "touched": true })
}

fn resumed(second: i64, boot: Option<&str>) -> Value {
    json!({ "resumed": at(second), "boot": boot })
}

fn ended() -> Value {
    json!({ "ended": at(90) })
}

fn retry() -> Value {
    json!({ "retry": at(95) })
}

#[test]
fn a_row_comes_as_far_as_its_last_line_says() {
    let state = |lines: &[Value]| read(lines).state(1);
    assert_eq!(state(&[]), State::Open);
    assert_eq!(state(&[intent(0, "no")]), State::Open, "that was another row");
    assert_eq!(state(&[intent(1, "no")]), State::Ready(Listed::No, true));
    assert_eq!(state(&[intent(1, "yes")]), State::Ready(Listed::Yes, true));
    let ready = intent(1, "no");
    let first = left(&[0, 1], 3);
    assert_eq!(state(&[ready.clone(), first.clone()]), State::Sent(Listed::No, sent(Some(3), 3)));
    assert_eq!(state(&[ready.clone(), first.clone(), left(&[1], 5)]), State::Sent(Listed::No, sent(Some(3), 5)));
    for (word, outcome) in [("created", Outcome::Created), ("exists", Outcome::Exists), ("failed", Outcome::Failed)] {
        assert_eq!(state(&[ready.clone(), first.clone(), done(1, word)]), State::Done(outcome));
    }
    let unknown = [ready.clone(), first.clone(), done(1, "unknown")];
    assert_eq!(state(&unknown), State::Unknown(Listed::No, Some(sent(Some(3), 3))));
    assert_eq!(state(&[ready, first, touched(1)]), State::Halfway(Listed::No, Some(sent(Some(3), 3))));
}

#[test]
fn the_first_request_is_known_only_where_no_earlier_one_may_have_left() {
    let state = |lines: &[Value]| read(lines).state(0);
    // It has no first line, or the machine was stopped after it.
    assert_eq!(state(&[left(&[0], 3)]), State::Sent(Listed::NotKnown, sent(None, 3)));
    let stopped = [intent(0, "no"), resumed(2, Some("another")), left(&[0], 3)];
    assert_eq!(state(&stopped), State::Sent(Listed::No, sent(None, 3)));
    let went_on = [intent(0, "no"), resumed(2, this_boot().as_deref()), left(&[0], 3)];
    assert_eq!(state(&went_on), State::Sent(Listed::No, sent(Some(3), 3)));
}

#[test]
fn what_did_not_leave_after_all_is_open_again_unless_it_is_done() {
    let taken_back = json!({ "unsent": [0, 1, 2, 3] });
    let lines = [
        intent(0, "no"),
        intent(1, "no"),
        intent(2, "no"),
        left(&[1, 2], 3),
        done(2, "created"),
        json!({ "made": 3 }),
        taken_back,
    ];
    let record = read(&lines);
    assert_eq!(record.state(0), State::Open);
    assert_eq!(record.state(1), State::Open);
    assert_eq!(record.state(2), State::Done(Outcome::Created));
    assert_eq!(record.state(3), State::Made(Listed::NotKnown, None, false));
}

#[test]
fn what_is_half_made_stays_so_until_its_second_request_is_answered() {
    let made = [intent(0, "no"), left(&[0], 3), json!({ "made": 0 })];
    let state = |more: &[Value]| read(&[&made, more].concat()).state(0);
    assert_eq!(state(&[]), State::Made(Listed::No, Some(sent(Some(3), 3)), false));
    assert_eq!(state(&[left(&[0], 5)]), State::Made(Listed::No, Some(sent(Some(3), 5)), false));
    assert_eq!(state(&[done(0, "unknown")]), State::Made(Listed::No, Some(sent(Some(3), 3)), true));
    assert_eq!(
        state(&[done(0, "unknown"), left(&[0], 7)]),
        State::Made(Listed::No, Some(sent(Some(3), 7)), true),
        "a repeat does not take the doubt away"
    );
    assert_eq!(state(&[done(0, "created")]), State::Done(Outcome::Created));
}

#[test]
fn a_retry_opens_what_has_failed_and_nothing_else() {
    let lines = [
        done(0, "failed"),
        intent(1, "no"),
        left(&[1], 3),
        touched(1),
        done(2, "created"),
        done(3, "unknown"),
        ended(),
        retry(),
    ];
    let record = read(&lines);
    assert!(!record.ended, "there is something to do again");
    assert_eq!(record.state(0), State::Open);
    assert_eq!(record.state(1), State::Retried(Listed::No, Some(sent(Some(3), 3))));
    assert_eq!(record.state(2), State::Done(Outcome::Created));
    assert_eq!(record.state(3), State::Unknown(Listed::NotKnown, None));
    assert!(read(&lines[..7]).ended && !read(&lines[..6]).ended);
}

#[test]
fn whether_a_row_is_in_doubt_follows_from_how_far_it_has_come() {
    let (listed, at) = (Listed::No, sent(Some(3), 3));
    for state in
        [State::Open, State::Ready(listed, true), State::Made(listed, Some(at), false), State::Done(Outcome::Failed)]
    {
        assert!(!state.is_doubted(), "{state:?}");
    }
    for state in [
        State::Ready(listed, false),
        State::Sent(listed, at),
        State::Made(listed, Some(at), true),
        State::Unknown(listed, Some(at)),
        State::Halfway(listed, Some(at)),
        State::Retried(listed, Some(at)),
    ] {
        assert!(state.is_doubted(), "{state:?}");
    }
}

#[test]
fn a_summary_counts_what_is_settled_and_leaves_the_rest() {
    let lines = [
        done(0, "created"),
        done(1, "created"),
        done(2, "failed"),
        touched(3),
        intent(4, "no"),
        left(&[5], 3),
        json!({ "made": 6 }),
        done(7, "unknown"),
    ];
    let summary = read(&lines).summary();
    assert_eq!(summary.all().collect::<Vec<_>>(), [(Outcome::Created, 2), (Outcome::Failed, 2)]);
    assert_eq!((summary.left, summary.failures(true)), (96, 2));
    assert_eq!(read(&lines).states().len(), 8);
}

#[test]
fn only_what_was_created_by_its_first_request_proves_that_a_listing_is_new() {
    let mut lines =
        vec![left(&[0], 1), done(0, "created"), intent(1, "no"), left(&[1], 2), left(&[1], 4), done(1, "created")];
    lines.extend([intent(2, "no"), left(&[2], 6), done(2, "exists")]);
    assert_eq!(read(&lines).created.len(), 0);
    for row in 3..80 {
        lines.extend([intent(row, "no"), left(&[row], i64::from(row)), done(row, "created")]);
    }
    let created = read(&lines).created;
    assert_eq!(created.len(), WITNESSES);
    assert_eq!((created[0].address.as_str(), created[0].after), ("user79@example.com", at(79)));
    assert_eq!(created[0].id, None);
    assert_eq!(created[WITNESSES - 1].address.as_str(), "user16@example.com");
}

#[test]
fn a_stop_of_the_machine_is_seen_by_its_boot() {
    let here = this_boot();
    let record = |boot: Option<&str>, lines: &[Value]| {
        let record = read_with(&Header { boot: boot.map(str::to_owned), ..header() }, lines);
        (record.is_whole, record.restarted, record.state(0))
    };
    let (here, row) = (here.as_deref(), intent(0, "no"));
    let (kept, lost) = (State::Ready(Listed::No, true), State::Ready(Listed::No, false));
    assert_eq!(record(here, std::slice::from_ref(&row)), (here.is_some(), None, kept));
    assert_eq!(record(Some("another"), std::slice::from_ref(&row)), (false, None, kept));
    assert_eq!(record(here, &[row.clone(), resumed(5, here)]), (here.is_some(), None, kept));
    assert_eq!(record(here, &[row.clone(), resumed(5, Some("another"))]), (false, Some(at(5)), lost));
    let back = [row.clone(), resumed(5, Some("another")), resumed(6, Some("another"))];
    assert_eq!(record(here, &back), (false, Some(at(5)), lost), "the second process ran on the same boot as the first");
    let again = [row.clone(), resumed(5, Some("another")), resumed(6, here)];
    assert_eq!(record(here, &again), (false, Some(at(6)), lost));
    // A boot without a name may be any.
    assert_eq!(record(None, &[row.clone(), resumed(5, None)]), (false, Some(at(5)), lost));
    assert_eq!(record(None, std::slice::from_ref(&row)), (false, None, kept));
    // What was done is so, whatever the machine did since.
    assert_eq!(record(here, &[row, done(0, "created"), resumed(5, None)]).2, State::Done(Outcome::Created));
}

#[test]
fn what_was_settled_is_told_by_the_last_line_of_each_row() {
    let folder = folder();
    let lines = [
        done(0, "created"),
        done(1, "failed"),
        done(2, "exists"),
        intent(2, "no"),
        done(3, "failed"),
        done(4, "created"),
        done(4, "failed"),
    ];
    let print = |row: u32| Fingerprint::of(&Address::lenient(&format!("user{row}@example.com")));
    let settled = |lines: &[Value], wanted: &dyn Fn(&Done) -> bool| {
        write(folder.path(), &header(), lines);
        Record::settled(folder.path(), RUN, wanted).expect("it can be read")
    };
    let sorted = |rows: &[u32]| {
        let mut prints: Vec<_> = rows.iter().map(|row| print(*row)).collect();
        prints.sort_unstable();
        prints
    };
    assert_eq!(settled(&lines, &|done| done.outcome == Outcome::Failed), sorted(&[1, 3, 4]));
    assert_eq!(settled(&lines, &|done| done.outcome == Outcome::Created), sorted(&[0]));
    assert_eq!(settled(&lines, &|done| done.outcome == Outcome::Exists), sorted(&[]), "row 2 was begun again");
    let all = [&lines[..], &[retry(), done(3, "failed")]].concat();
    assert_eq!(settled(&all, &|done| matches!(done.outcome, Outcome::Failed | Outcome::Created)), sorted(&[0, 3]));
}

#[test]
fn a_row_that_no_line_can_name_is_damage() {
    let small = header();
    assert!(refused(&small, &[done(100, "created")]).starts_with("line 2 of "), "there are 100 rows");
    let large = Header { rows: u32::MAX, ..header() };
    assert_eq!(read_with(&large, &[done(65_537, "created")]).states().len(), 65_538);
    assert!(refused(&large, &[done(65_538, "created")]).starts_with("line 2 of "), "it is too far ahead");
    assert_eq!(read_with(&large, &[retry(), done(65_538, "created")]).states().len(), 65_539);
    assert!(refused(&small, &[json!({ "what": 1 })]).contains(" cannot be read"));
    assert!(refused(&small, &[retry(), json!([])]).starts_with("line 3 of "));
}

#[test]
fn a_last_line_that_was_not_written_to_its_end_does_not_count() {
    let folder = folder();
    let path = path_of(folder.path(), RUN);
    write(folder.path(), &header(), &[done(0, "created"), done(1, "created")]);
    let whole = fs::read(&path).expect("it is there");
    fs::write(&path, &whole[..whole.len() - 1]).expect("it is written");
    let record = Record::read(folder.path(), RUN).expect("it can be read");
    assert_eq!((record.state(0), record.state(1)), (State::Done(Outcome::Created), State::Open));
    // Nor is there a run without a whole first line.
    let first = whole.iter().position(|byte| *byte == b'\n').expect("a first line");
    for kept in [0, first] {
        fs::write(&path, &whole[..kept]).expect("it is written");
        assert!(Record::read(folder.path(), RUN).expect_err("nothing").message.ends_with("has no first line"));
    }
}

#[test]
fn a_run_is_found_by_its_name_alone() {
    let folder = folder();
    assert_eq!(Lines::open(folder.path(), RUN).err().map(|error| error.kind), Some(Kind::NotFound));
    assert_eq!(runs(&folder.path().join("none")).expect("no folder is no run"), Vec::<String>::new());
    write(folder.path(), &header(), &[]);
    write(folder.path(), &Header { run: "20250105-090000-0000002a".to_owned(), ..header() }, &[]);
    fs::write(folder.path().join("beginning.lock"), "").expect("it is written");
    assert_eq!(runs(folder.path()).expect("they are listed"), ["20250105-090000-0000002a", RUN]);
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).expect("it is made");
    assert_eq!(Lines::open(&inner, &format!("../{RUN}")).err().map(|error| error.kind), Some(Kind::NotFound));
    fs::create_dir(path_of(folder.path(), "20270105")).expect("it is made");
    assert_eq!(Lines::open(folder.path(), "20270105").err().map(|error| error.kind), Some(Kind::Config));
    let no_folder = path_of(folder.path(), RUN);
    assert_eq!(runs(&no_folder).err().map(|error| error.kind), Some(Kind::Config));
    assert_eq!(Lines::open(&no_folder, RUN).err().map(|error| error.kind), Some(Kind::Config));
}

#[test]
fn a_password_is_wasted_only_where_it_was_certainly_not_used() {
    let is = |line: Value| {
        let done: Done = serde_json::from_value(line).expect("a line");
        (done.is_final(), done.wastes_password())
    };
    let with = |mut line: Value, state: &str| {
        line["password_state"] = state.into();
        line
    };
    assert_eq!(is(done(0, "failed")), (true, true));
    assert_eq!(is(with(done(0, "failed"), "possibly_in_use")), (true, false));
    assert_eq!(is(with(done(0, "created"), "accepted")), (true, false));
    assert_eq!(is(done(0, "unknown")), (false, false));
    assert_eq!(is(with(done(0, "unknown"), "possibly_in_use")), (false, false));
}

#[test]
fn the_same_work_is_a_run_that_has_not_ended() {
    let folder = folder();
    let found = |asked: &Header| same_work(folder.path(), asked).expect("they can be read");
    let same = header();
    assert_eq!(found(&same), None);
    for (lines, is_open) in [
        (vec![], true),
        (vec![done(0, "created")], true),
        (vec![done(0, "created"), ended()], false),
        (vec![done(0, "failed"), ended(), retry()], true),
        (vec![done(0, "failed"), ended(), retry(), done(0, "created"), ended()], false),
        // It was looked through once more, which reopens nothing.
        (vec![done(0, "unknown"), ended(), resumed(9, None), done(0, "created")], false),
    ] {
        write(folder.path(), &same, &lines);
        assert_eq!(found(&same), is_open.then(|| Same::Open(RUN.to_owned())), "{lines:?}");
    }
    write(folder.path(), &same, &[]);
    let other = "another".to_owned();
    for asked in [
        Header { verb: Verb::Delete, ..header() },
        Header { provider: other.clone(), ..header() },
        Header { profile: other.clone(), ..header() },
        Header { account: AccountMark { base_url: other.clone(), ..header().account }, ..header() },
        Header { digest: other, ..header() },
        Header {
            options: RunOptions { select: Select { skip: 1, ..Select::default() }, ..RunOptions::default() },
            ..header()
        },
    ] {
        assert_eq!(found(&asked), None, "{asked:?}");
    }
    let held = Journal::reopen(folder.path(), RUN).expect("it opens");
    assert_eq!(found(&same), Some(Same::Held(RUN.to_owned())));
    drop(held);
    // What cannot be read is no work that is known.
    write(folder.path(), &same, &[json!({ "what": 1 })]);
    assert_eq!(found(&same), None);
}

#[test]
fn the_last_line_is_read_without_those_before_it() {
    let folder = folder();
    let path = path_of(folder.path(), RUN);
    let last = || last_line(&mut File::open(&path).expect("it opens")).expect("it can be read");
    let many: Vec<_> = (0..50).map(|row| done(row, "created")).chain([ended()]).collect();
    write(folder.path(), &header(), &many);
    assert_eq!(last(), Some(Line::Ended { ended: at(90) }));
    // It was not written to its end, or another one follows.
    let whole = fs::read(&path).expect("it is there");
    fs::write(&path, &whole[..whole.len() - 1]).expect("it is written");
    assert_eq!(last(), None);
    write(folder.path(), &header(), &[ended(), retry()]);
    assert_eq!(last(), Some(Line::Retry { retry: at(95) }));
    write(folder.path(), &header(), &[left(&(0..100).collect::<Vec<_>>(), 3)]);
    assert_eq!(last(), None, "it is longer than the one that is looked for");
    for text in ["", "\n"] {
        fs::write(&path, text).expect("it is written");
        assert_eq!(last(), None);
    }
}
