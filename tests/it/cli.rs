//! The README and whole-command snapshots: what is printed there is what mbx prints.

use std::fmt::Write as _;

use mbx::provider::{Op, ProviderId};
use trycmd::TestCases;

/// Runs the console blocks of some files, all in one home of their own.
fn run(cases: &str) {
    let home = tempfile::tempdir().expect("a folder");
    let work = tempfile::tempdir().expect("a folder");
    let cases_run = TestCases::new();
    cases_run
        .register_bin("mbx", trycmd::schema::Bin::Path(env!("CARGO_BIN_EXE_mbx").into()))
        .env("HOME", home.path().to_string_lossy())
        .env("MBX_NO_WAIT", "1")
        .env("COLUMNS", "100")
        .case(cases);
    drop(work);
    cases_run.run();
}

#[test]
fn the_readme_prints_what_it_says() {
    run("README.md");
}

#[test]
fn commands_print_what_their_snapshots_say() {
    run("tests/cmd/*.trycmd");
}

/// Returns the text between two markers of the README.
fn between<'a>(readme: &'a str, name: &str) -> &'a str {
    let (start, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let from = readme.find(&start).expect("the marker is there") + start.len();
    &readme[from..from + readme[from..].find(&end).expect("the closing marker is there")]
}

/// Accepts the code's matrix as `TRYCMD=overwrite` accepts the rest of the README.
#[test]
fn the_matrix_in_the_readme_is_the_code_s() {
    let mut matrix = "| |".to_owned();
    for id in ProviderId::ALL {
        write!(matrix, " {} |", mbx::adapters::spec(id).title).expect("a string takes it");
    }
    writeln!(matrix, "\n|---|{}", "---|".repeat(ProviderId::ALL.len())).expect("a string takes it");
    for op in Op::ALL {
        write!(matrix, "| {} |", op.name()).expect("a string takes it");
        for id in ProviderId::ALL {
            write!(matrix, " {} |", (mbx::adapters::spec(id).support)(op).word()).expect("a string takes it");
        }
        matrix.push('\n');
    }
    let readme = std::fs::read_to_string("README.md").expect("it is there");
    let written = between(&readme, "matrix");
    if written != matrix && std::env::var("TRYCMD").is_ok_and(|mode| mode == "overwrite") {
        return std::fs::write("README.md", readme.replace(written, &matrix)).expect("the README is written");
    }
    assert!(written == matrix, "the README's matrix is out of date; this is the code's:\n\n{matrix}");
}

/// What is written for people names every provider, and the fuzzer has a target for each.
#[test]
fn every_provider_is_introduced() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let readme = read("README.md");
    let introduction = readme.split("\n## ").next().expect("it has a beginning");
    for id in ProviderId::ALL {
        let spec = mbx::adapters::spec(id);
        let title = spec.title;
        assert!(introduction.contains(title), "the README does not begin with {title}");
        let set_up = readme.split_once(&format!("\n**{title}.** ")).map(|(_, rest)| rest.split("\n**").next());
        let secret = format!("MBX_{}_{}", id.as_str().to_uppercase(), spec.secret_name);
        assert!(set_up.flatten().is_some_and(|text| text.contains(&secret)), "the README has no set-up of {title}");
        assert!(read("CHANGELOG.md").contains(title), "{title} is not in the changelog");
        let target = format!("fuzz_targets/{id}.rs");
        assert!(read("fuzz/Cargo.toml").contains(&format!("path = \"{target}\"")), "{target} is no target");
        assert!(read(&format!("fuzz/{target}")).contains(&format!("ProviderId::{id:?}")), "{target} is another's");
    }
}

#[test]
fn the_exit_codes_in_the_readme_are_the_code_s() {
    use mbx::error::Kind::*;
    let readme = std::fs::read_to_string("README.md").expect("it is there");
    let kinds = [
        Internal,
        Usage,
        Config,
        Auth,
        Denied,
        NotFound,
        Conflict,
        Invalid,
        Unsupported,
        Limit,
        RateLimited,
        Network,
        Provider,
        Partial,
        Unknown,
        Timeout,
        Refused,
        Busy,
    ];
    for kind in kinds {
        let row = format!("| {} | `{}` |", kind.exit_code(), kind.code());
        assert!(readme.contains(&row), "{row} is missing");
    }
}

/// Returns a `PATH` on which `mbx` is the program under test.
fn path() -> String {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_mbx"));
    format!("{}:{}", program.parent().expect("it lies in a folder").display(), env!("PATH"))
}

#[test]
fn the_offboarding_example_deletes_and_can_be_run_again() {
    let home = tempfile::tempdir().expect("a folder");
    let shell = |line: &str| {
        let output = std::process::Command::new("bash")
            .args(["-c", line])
            .env_clear()
            .envs([("HOME", home.path().to_string_lossy().as_ref()), ("PATH", &path())])
            .envs([("MBX_SANDBOX", "1"), ("MBX_PROVIDER", "emboux")])
            .output()
            .expect("bash runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let list = "mbx list --domain full.example -o value";
    let (code, planned) = shell(&format!("{list} | examples/offboard.sh --dry-run"));
    assert_eq!((code, planned.matches(",planned").count()), (Some(0), 3), "{planned}");
    let (code, deleted) = shell(&format!("{list} | examples/offboard.sh"));
    assert_eq!((code, deleted.matches(",deleted").count()), (Some(0), 3), "{deleted}");
    let (code, again) = shell("printf 'one@full.example\\nno address\\n' | examples/offboard.sh");
    assert_eq!((code, again.as_str()), (Some(1), "one@full.example,absent\n"));
}

/// Runs the README's `bash` blocks in one shell, on the sandbox.
#[test]
fn the_recipes_in_the_readme_work() {
    let readme = std::fs::read_to_string("README.md").expect("it is there");
    let recipes: String = readme.split("```bash\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let home = tempfile::tempdir().expect("a folder");
    let output = std::process::Command::new("bash")
        .args(["-euo", "pipefail", "-c", &recipes])
        .current_dir(home.path())
        .env_clear()
        .envs([("HOME", home.path().to_string_lossy().as_ref()), ("PATH", &path())])
        .envs([("MBX_SANDBOX", "1"), ("MBX_PROVIDER", "emboux")])
        .output()
        .expect("bash runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for line in ["ops@example.com,", "the plan is full", "deleted"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}
