//! What is in the file when, and what a failure to write leaves.

use std::time::Instant;

use super::*;
use crate::model::Address;

fn header(run: &str) -> Header {
    Header {
        format: FORMAT,
        run: run.to_owned(),
        boot: this_boot(),
        started: jiff::Timestamp::UNIX_EPOCH,
        verb: Verb::Create,
        provider: "emboux".to_owned(),
        profile: "work".to_owned(),
        account: AccountMark::default(),
        file: None,
        digest: "d1".to_owned(),
        rows: 2,
        options: RunOptions::default(),
    }
}

fn done(row: u32) -> Done {
    Done {
        row,
        line: 2,
        address: Address::lenient("ada@example.com").to_string(),
        outcome: Outcome::Created,
        id: None,
        error: None,
        message: None,
        touched: false,
        password_state: None,
        settles_at: None,
        notes: Vec::new(),
    }
}

fn text(folder: &Path) -> String {
    std::fs::read_to_string(path_of(folder, "a")).expect("it is there")
}

fn lines(folder: &Path) -> Vec<Line> {
    text(folder).lines().skip(1).map(|line| serde_json::from_str(line).expect("a line")).collect()
}

#[tokio::test]
async fn a_mark_is_in_the_file_at_once_and_other_lines_when_they_are_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::begin(folder.path(), &header("a")).expect("it begins");
    assert_eq!(journal.run, "a");
    let first = text(folder.path());
    assert_eq!(serde_json::from_str::<Header>(&first).expect("a header"), header("a"));
    assert!(first.ends_with('\n'));
    journal.done(&done(0));
    let at = jiff::Timestamp::UNIX_EPOCH;
    let intent = Line::Intent { intent: 1, line: 3, address: "b@example.com".to_owned(), listed: Listed::No };
    journal.sent(vec![intent.clone()], vec![0, 1], at);
    let sent = Line::Sent { sent: vec![0, 1], at };
    journal.made(1);
    let marks = [intent, sent, Line::Made { made: 1 }];
    assert_eq!(
        lines(folder.path()).into_iter().filter(|line| !matches!(line, Line::Done(_))).collect::<Vec<_>>(),
        marks
    );
    journal.commit().await.expect("it is written");
    assert!(lines(folder.path()).contains(&Line::Done(done(0))));
    assert!(journal.failure().is_none());
    // Whoever ends without waiting loses nothing either.
    journal.append(&Line::Retry { retry: at });
    drop(journal);
    assert_eq!(lines(folder.path()).last(), Some(&Line::Retry { retry: at }));
}

#[test]
fn lines_that_nobody_waits_for_are_written_soon() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::begin(folder.path(), &header("a")).expect("it begins");
    let began = Instant::now();
    journal.done(&done(0));
    while lines(folder.path()).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "it is never written");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_writer_is_woken_by_every_so_many_lines() {
    let (wake, woken) = mpsc::channel();
    let file = tempfile::tempfile().expect("a file");
    let journal = Journal { run: "a".to_owned(), waiting: Arc::default(), wake, writer: None, file };
    (1..GROUP_LINES).for_each(|_| journal.done(&done(0)));
    assert!(woken.try_recv().is_err(), "there is room for one more");
    journal.done(&done(0));
    assert!(matches!(woken.try_recv(), Ok(None)));
    assert!(woken.try_recv().is_err(), "once is enough");
}

#[test]
fn one_process_at_a_time_holds_a_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = Journal::reopen(folder.path(), "a").err().expect("there is none");
    assert!(missing.kind == Kind::Refused && missing.message.ends_with("nothing was sent"), "{missing:?}");
    let journal = Journal::begin(folder.path(), &header("a")).expect("it begins");
    let second = Journal::begin(folder.path(), &header("a")).err().expect("its name is taken");
    assert_eq!(second.kind, Kind::Refused);
    let other = Journal::reopen(folder.path(), "a").err().expect("it is held");
    assert!(other.kind == Kind::Busy && other.message.starts_with("run a is under way"), "{other:?}");
    drop(journal);
    Journal::reopen(folder.path(), "a").map(drop).expect("it is free again");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_locked_is_not_said_to_be_held() {
    use std::os::unix::fs::OpenOptionsExt;
    /// What is opened only as a place takes no lock (open(2)), as on a file system that has none.
    const O_PATH: i32 = 0o10_000_000;
    let folder = tempfile::tempdir().expect("a folder");
    let file = OpenOptions::new().read(true).custom_flags(O_PATH).open(folder.path()).expect("it opens");
    let error = lock(&file, folder.path(), "a").expect_err("it takes no lock");
    assert!(error.kind == Kind::Config && error.message.starts_with("cannot lock "), "{error:?}");
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("XDG_STATE_HOME")), "{error:?}");
}

#[cfg(unix)]
#[test]
fn nobody_else_reads_a_journal() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().expect("a folder");
    Journal::begin(folder.path(), &header("a")).map(drop).expect("it begins");
    assert_eq!(std::fs::metadata(path_of(folder.path(), "a")).expect("it is there").mode() & 0o777, 0o600);
}

#[test]
fn a_line_that_was_cut_is_taken_off_before_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    Journal::begin(folder.path(), &header("a")).map(drop).expect("it begins");
    let (path, whole) = (path_of(folder.path(), "a"), text(folder.path()));
    std::fs::write(&path, format!("{whole}{{\"ended\":\"20")).expect("it is written");
    let journal = Journal::reopen(folder.path(), "a").expect("it opens");
    journal.made(0);
    assert_eq!(text(folder.path()), format!("{whole}{{\"made\":0}}\n"));
    drop(journal);
    let mut file = File::open(&path).expect("it opens");
    assert_eq!(whole_lines(&mut file).expect("it reads"), whole.len() as u64 + 11);
    assert_eq!(file.stream_position().expect("it has one"), whole.len() as u64 + 11, "what is added comes last");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn after_a_line_that_could_not_be_written_none_is_and_all_are_told() {
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("the system has it");
    let journal = Journal::over(full(), "a".to_owned()).expect("it begins");
    assert!(journal.failure().is_none());
    journal.commit().await.expect("nothing was to be written");
    journal.done(&done(0));
    let failed = journal.commit().await.expect_err("it cannot be written");
    assert!(
        failed.kind == Kind::Refused && failed.message.starts_with("cannot write the journal of run a: "),
        "{failed:?}"
    );
    assert_eq!(journal.failure().map(|error| error.message.clone()), Some(failed.message.clone()));
    journal.commit().await.expect_err("nor is anything after it");
    let marks = Journal::over(full(), "a".to_owned()).expect("it begins");
    marks.made(0);
    assert!(marks.failure().is_some());
    // The first reason is kept, and nothing follows half a line.
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::begin(folder.path(), &header("a")).expect("it begins");
    let before = text(folder.path());
    held(&journal.waiting).failed = Some((io::ErrorKind::StorageFull, "full".to_owned()));
    journal.made(0);
    journal.done(&done(0));
    journal.commit().await.expect_err("it stays so");
    assert_eq!(text(folder.path()), before);
    assert!(journal.failure().is_some_and(|error| error.message.ends_with(": full")));
}

#[test]
fn a_boot_has_a_name_of_its_own() {
    let boot = this_boot();
    assert_eq!(boot, this_boot());
    assert_eq!(boot.is_some(), Path::new("/proc/sys/kernel/random/boot_id").exists());
    assert!(boot.is_none_or(|boot| boot.len() == 36 && boot.trim() == boot));
}
