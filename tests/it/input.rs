//! Files as people and their programs make them: what can be read is read, and what cannot is named with its line.

use mbx::adapters;
use mbx::bulk::input::{COLUMNS, Input, LONGEST, Select};
use mbx::error::Error;
use mbx::provider::{NameRule, ProviderId, QuotaRule};
use mbx::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::program::Mbx;

/// The addresses of a file with their lines, and what is wrong with it by line.
type Found = (Vec<(u64, String)>, Vec<String>);

/// Returns what a file has, or why it cannot be read.
fn read(content: &[u8]) -> Result<Found, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("people.csv");
    std::fs::write(&path, content).expect("the file is written");
    let mut input = Input::open(&path.to_string_lossy(), &COLUMNS, Vec::new(), Select::default())?;
    input.name = "people.csv".to_owned();
    let survey = input.survey(|_| Vec::new())?;
    assert_eq!(survey.unused, [] as [&str; 0]);
    let troubles = survey.troubles.iter().map(|t| format!("{}, {}: {}", t.line, t.column, t.why)).collect();
    let rows = input.rows()?.filter_map(|row| row.expect("it was read before").ok());
    Ok((rows.map(|row| (row.line, row.new.address.to_string())).collect(), troubles))
}

/// Returns the error of a file that cannot be read.
#[track_caller]
fn refusal(content: &[u8]) -> String {
    let error = read(content).expect_err("it cannot be read");
    assert!(error.hint.is_some(), "{error:?}");
    assert_eq!(error.kind.exit_code(), 2);
    error.message.clone()
}

#[test]
fn a_row_has_its_line_number_whatever_ends_a_line() {
    let text =
        "address,first_name\n\na@b.example,Ada\nc@b.example,Ben\n\n\n\"d@b.example\",\"O \"\"Dee\"\" D\"\ne@b.example,";
    let rows = [(3, "a@b.example"), (4, "c@b.example"), (7, "d@b.example"), (8, "e@b.example")];
    let rows: Vec<_> = rows.map(|(line, address)| (line, address.to_owned())).to_vec();
    for end in ["\n", "\r\n", "\r"] {
        for (begin, last) in [("", ""), ("\u{feff}", end), (end, "")] {
            let shift = u64::from(begin == end);
            let found = read((begin.to_owned() + &text.replace('\n', end) + last).as_bytes()).expect("it is read");
            let expected = rows.iter().map(|(line, address)| (line + shift, address.clone())).collect();
            assert_eq!(found, (expected, Vec::new()), "{end:?}, {begin:?}");
        }
    }
    let lines = "\u{feff}{\"address\":\"a@b.example\"}\r\n\r\n  \n{\"address\":\"c@b.example\"}";
    let rows = vec![(1, "a@b.example".to_owned()), (4, "c@b.example".to_owned())];
    assert_eq!(read(lines.as_bytes()).expect("it is read"), (rows, Vec::new()));
}

#[test]
fn a_file_that_is_not_a_table_is_named_in_a_few_words() {
    for junk in ["x".repeat(LONGEST / 2), "xy,".repeat(LONGEST / 4), "東;".repeat(LONGEST / 8)] {
        let message = refusal((junk + "\n").as_bytes());
        assert!(
            message.starts_with("people.csv: line 1 has no column `address`: ") && message.len() < 2000,
            "{message}"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("people.csv");
    let wide: String = (0..1000).map(|number| format!(",{number}{}", "x".repeat(100))).collect();
    let object: String = (0..1000).map(|number| format!(",\"{number}{}\":1", "x".repeat(100))).collect();
    for content in [format!("address{wide}\n"), format!("{{\"address\":\"a@b.example\"{object}}}\n")] {
        std::fs::write(&path, content).expect("the file is written");
        let mut input = Input::open(&path.to_string_lossy(), &COLUMNS, Vec::new(), Select::default()).expect("a file");
        let unused = input.survey(|_| Vec::new()).expect("it is read").unused;
        assert!(unused.len() == 20 && unused.iter().all(|name| name.len() < 100), "{unused:?}");
    }
}

#[test]
fn a_quote_that_is_left_open_is_reported_with_its_line() {
    let begin = "address,first_name\na@b.example,Ada\n";
    let open = "people.csv: the record that begins on line 3 has a quote open";
    for (rest, message) in [
        ("\"c@b.example,Ben\nd@b.example,Dee\n", open),
        ("c@b.example,\"Ben\nd@b.example,Dee", open),
        ("c@b.example,\"Ben \"\"B\"\"\n", open),
        ("c@b.example,\"", open),
        ("\"", open),
    ] {
        assert_eq!(refusal((begin.to_owned() + rest).as_bytes()), message, "{rest:?}");
    }
    // So much comes after it that it is not read to the end.
    let more = "c@b.example,\"Ben\n".to_owned() + &"d@b.example,Dee\n".repeat(LONGEST / 8);
    assert_eq!(refusal((begin.to_owned() + &more).as_bytes()), open);
    // Another quote closes it, and the rows between are not lost in silence.
    let (rows, troubles) =
        read((begin.to_owned() + "c@b.example,\"Ben\nd@b.example,Dee\ne@b.example,\"Eve\n").as_bytes())
            .expect("it is read");
    assert_eq!(rows.len(), 1);
    assert!(troubles[0].starts_with("3, first_name: it has a line break"), "{troubles:?}");
}

#[test]
fn a_record_that_never_ends_is_given_up() {
    let long = "x".repeat(100 << 20);
    for (begin, line) in
        [("", 1), ("address\n", 2), ("address\na@b.example\n\n", 4), ("{\"address\":\"", 1), ("{}\n\n\"", 3)]
    {
        let message = refusal((begin.to_owned() + &long).as_bytes());
        assert_eq!(message, format!("people.csv: line {line} is longer than 1 MiB"), "{begin}");
    }
    // The longest there may be, and one byte more.
    let address = "a@b.example,";
    for (length, is_read) in [(LONGEST, true), (LONGEST + 1, false)] {
        let name = "n".repeat(length - address.len() - 1);
        let found = read(format!("address,last_name\n{address}{name}\n").as_bytes());
        assert_eq!(found.map(|(rows, _)| rows.len()).ok(), is_read.then_some(1));
        let name = "n".repeat(length - "{\"address\":\"a@b.example\",\"last_name\":\"\"}\n".len());
        let found = read(format!("{{\"address\":\"a@b.example\",\"last_name\":\"{name}\"}}\n").as_bytes());
        assert_eq!(found.map(|(rows, _)| rows.len()).ok(), is_read.then_some(1));
    }
}

#[test]
fn what_is_no_such_file_is_refused_with_what_it_is() {
    let utf_16: Vec<u8> = "\u{feff}address\na@b.example\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (content, message) in [
        (&b""[..], "people.csv is empty"),
        (b"\xef\xbb\xbf", "people.csv is empty"),
        (b"\r\n\n\r", "people.csv is empty"),
        (&utf_16, "people.csv is UTF-16, not UTF-8"),
        (b"[{}]", "people.csv is one JSON array, not JSON lines"),
        (b"\nname,mail\n", "people.csv: line 2 has no column `address`: name, mail"),
        (b"address,Address\n", "people.csv: line 1 has two columns that stand for address"),
    ] {
        let error = read(content).expect_err("it cannot be read");
        assert_eq!((error.message.as_str(), error.kind.exit_code()), (message, 2));
    }
    assert_eq!(
        read(b"address,first_name").expect("it is read"),
        (Vec::new(), Vec::new()),
        "a heading alone is no error"
    );
}

#[test]
fn every_row_that_cannot_be_used_is_reported_and_the_others_are_read() {
    let control = "it has a line break or another control character; a quote may be left open";
    for (content, troubles) in [
        // Spreadsheets add columns without a name, and rows without a cell.
        (&b"address,first_name,,\nok@b.example,Ada,,\n,,,\n"[..], vec!["3, address: it is empty".to_owned()]),
        (
            b"address\nok@b.example\nc@b.example,\n   \n",
            vec!["3, (all): 2 cells where the heading has 1".to_owned(), "4, address: it is empty".to_owned()],
        ),
        (
            b"address,first_name\nok@b.example,O'Dee \"D\" D\nc@b.example,\xff\xfe\n",
            vec!["3, first_name: it is not UTF-8".to_owned()],
        ),
        (b"address,first_name\nok@b.example,Ada\nc@b.example,A\0b\n", vec![format!("3, first_name: {control}")]),
        (b"address,password\nok@b.example,secret\nc@b.example,\"a\nb\"\n", vec![format!("3, password: {control}")]),
        (
            b"{\"address\":\"ok@b.example\"}\n{\"address\":\"\xff\"}\n[1]\n{\"address\":\"c@b.example\"\n",
            vec![
                "2, character 13: it is not UTF-8".to_owned(),
                "3, character 1: it is not a JSON object".to_owned(),
                "4, character 24: it is not JSON".to_owned(),
            ],
        ),
    ] {
        let (rows, found) = read(content).expect("it is read");
        assert_eq!(found, troubles, "{}", String::from_utf8_lossy(content));
        assert_eq!(rows, [(2 - u64::from(content[0] == b'{'), "ok@b.example".to_owned())]);
    }
    let (rows, troubles) = read(b"address\nok@b.example\na\0b@b.example\n\"a\nb\"@b.example\n").expect("it is read");
    assert_eq!((rows.len(), troubles.len()), (1, 2), "{troubles:?}");
}

#[tokio::test]
async fn an_open_quote_is_reported_before_the_first_request() {
    let sandbox = Sandbox::start().await.expect("the sandbox starts");
    let mbx = Mbx::on(&sandbox).env("MBX_PROVIDER", "litemail");
    let text = "address,first_name\nada@example.com,Ada\nben@example.com,\"Ben\neve@example.com,Eve\n";
    let file = mbx.file("people.csv", text).to_string_lossy().into_owned();
    for verb in ["check", "create"] {
        // Wherever the quote is, also among rows that are left out.
        for skip in ["0", "3"] {
            let ran = mbx.run(&["bulk", verb, &file, "--yes", "--skip", skip]).await;
            assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
            assert!(ran.stderr.contains("line 3 has a quote open") && ran.stderr.contains("hint"), "{ran:?}");
        }
    }
    assert!(sandbox.take_seen().is_empty());
}

/// Returns what a file can ask for of each listed mailbox.
async fn listed(mbx: &Mbx) -> Vec<Value> {
    let list = mbx.run(&["list", "--domain", "example.com", "--sort", "address", "-o", "json"]).await.ok().json();
    let asked = |row: &Value| {
        let keys = ["address", "first_name", "last_name", "admin"].map(|key| row[key].clone());
        json!([keys, row["quota"]["limit"], row["quota"]["unlimited"]])
    };
    list.as_array().expect("an array").iter().map(asked).collect()
}

#[tokio::test]
async fn what_mbx_lists_it_reads_back_at_every_provider() {
    for id in ProviderId::ALL {
        let rules = &adapters::spec(id).rules;
        let first_name = if matches!(rules.names, NameRule::Never(_)) { "" } else { "=Ann" };
        let quota = match rules.quota {
            QuotaRule::Never(_) => "",
            QuotaRule::Multiple { unlimited: true, .. } => "unlimited",
            QuotaRule::Multiple { .. } | QuotaRule::OneOf(_) => "2G",
        };
        let last_name = if first_name.is_empty() { "" } else { "'+Zwnj\u{200c}-name" };
        let people = format!(
            "address,first_name,last_name,quota,password\n\
             -ann@example.com,{first_name},{last_name},{quota},\n\
             ben@example.com,{first_name},{last_name},,\n"
        );
        let start = async || {
            let sandbox = Sandbox::start().await.expect("the sandbox starts");
            (Mbx::on(&sandbox).env("MBX_PROVIDER", id.as_str()), sandbox)
        };
        let (first, _sandbox) = start().await;
        let create = async |mbx: &Mbx, name: &str, text: &str| {
            let file = mbx.file(name, text).to_string_lossy().into_owned();
            let out = mbx.home.path().join(format!("{name}.passwords")).to_string_lossy().into_owned();
            let mut line = vec!["bulk", "create", &file, "--yes"];
            if rules.takes_password() {
                line.extend(["--generate-password", "--password-out", &out]);
            }
            mbx.run(&line).await.ok()
        };
        create(&first, "people.csv", &people).await;
        let before = listed(&first).await;
        assert_eq!(before.len(), 2, "{id}");
        assert!(first_name.is_empty() || before[0][0][1] == first_name, "{id}: {before:?}");
        for format in ["csv", "jsonl"] {
            let (second, _sandbox) = start().await;
            let list = first.run(&["list", "--domain", "example.com", "-o", format]).await.ok().stdout;
            let made = create(&second, format, &list).await;
            assert_eq!(listed(&second).await, before, "{id} {format}: {list}");
            // What cannot be used is named.
            for heading in ["status", "provider", "created_at", "notes"] {
                assert!(made.stderr.contains(heading), "{id} {format}: {made:?}");
            }
            assert!(!made.stderr.contains("quota.limit") && !made.stderr.contains("quota.unlimited"), "{made:?}");
        }
    }
}

#[tokio::test]
async fn a_catch_all_in_a_list_is_left_out_by_name() {
    let mbx = Mbx::new();
    let text = "source,targets\n'@example.com,ada@example.com\ninfo@example.com,ada@example.com\n";
    let file = mbx.file("aliases.csv", text).to_string_lossy().into_owned();
    let ran = mbx.run(&["bulk", "check", &file, "--map", "address=source"]).await.ok();
    assert!(ran.stderr.contains("not used: targets, the catch-all @example.com on line 2"), "{ran:?}");
    assert!(ran.stderr.contains("rows: 1"), "{ran:?}");
}
