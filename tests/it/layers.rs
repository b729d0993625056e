//! The map in `src/lib.rs` is true: a module uses what is below it, never what is above or beside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Returns the rank of each module on the map, the highest first.
fn map(lib: &str) -> Vec<(String, usize)> {
    let drawn =
        lib.split("//! ```text\n").nth(1).and_then(|rest| rest.split("//! ```").next()).expect("the map is there");
    let lines = drawn.lines().map(|line| line.trim_start_matches("//!").trim());
    lines.enumerate().flat_map(|(rank, line)| line.split(" · ").map(move |name| (name.to_owned(), rank))).collect()
}

/// Returns every file of a module.
fn files(path: &Path) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).expect("the folder is read");
    entries.flat_map(|entry| files(&entry.expect("the entry is read").path())).collect()
}

/// Returns the modules of the crate that a file names after `crate::`.
fn used(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("crate::").skip(1).map(move |rest| (line, rest))).map(|(line, rest)| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        assert!(end > 0, "write one module a line instead of: {line}");
        &rest[..end]
    })
}

#[test]
fn each_module_uses_only_what_is_below_it() {
    let lib = std::fs::read_to_string("src/lib.rs").expect("it is there");
    let map = map(&lib);
    let rank = |name: &str| map.iter().find(|(known, _)| known == name).map(|(_, rank)| *rank);
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for entry in std::fs::read_dir("src").expect("the folder is read") {
        let path = entry.expect("the entry is read").path();
        let module = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
        if module == "main" {
            continue;
        }
        let own = rank(&module).unwrap_or_else(|| panic!("{module} is not on the map"));
        seen.insert(module.clone());
        for file in files(&path) {
            let text = std::fs::read_to_string(&file).expect("it is text");
            for other in used(&text).filter(|other| *other != module) {
                match rank(other) {
                    Some(other) if other > own => {}
                    Some(_) => wrong.push(format!("{} uses {other}, which is not below it", file.display())),
                    // A function of lib.rs itself is above all.
                    None => wrong.push(format!("{} uses {other} of lib.rs", file.display())),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let gone: Vec<_> = map.iter().filter(|(name, _)| !seen.contains(name)).collect();
    assert!(gone.is_empty(), "on the map, and not there: {gone:?}");
}
