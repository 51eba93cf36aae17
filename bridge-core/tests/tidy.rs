//! Checks what no compiler checks: lengths, heads, reachability, rooms for unsafe and I/O, and that
//! the documents name files that exist.

#![expect(clippy::expect_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

const COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 800;

/// Folders of the workspace that hold our Rust.
const CRATES: &[&str] = &["bridge-core", "signaling", "bench", "examples", "fuzz"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate is in the workspace")
        .into()
}

fn walk(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    for path in paths {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            let skipped = [
                "target",
                "node_modules",
                ".git",
                "corpus",
                ".cache",
                "found",
            ];
            if !skipped.contains(&name.as_str()) {
                walk(&path, extension, found);
            }
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

struct Source {
    /// Path from the root, with slashes.
    path: String,
    text: String,
}

fn sources(extension: &str) -> Vec<Source> {
    let root = root();
    let mut paths = Vec::new();
    if extension == "rs" {
        for name in CRATES {
            walk(&root.join(name), extension, &mut paths);
        }
    } else {
        walk(&root, extension, &mut paths);
    }
    paths
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).expect("readable source"),
            path: path
                .strip_prefix(&root)
                .expect("under the root")
                .to_string_lossy()
                .into_owned(),
        })
        .collect()
}

/// Fails with all findings at once, each on its own line.
fn assert_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

/// The part of a file before its tests.
fn product_code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.starts_with("bench/")
        || path.starts_with("fuzz/")
}

#[test]
fn lines_and_files_have_their_lengths() {
    let mut findings = Vec::new();
    for source in sources("rs") {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            findings.push(format!("{}: {lines} lines", source.path));
        }
        for (at, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                findings.push(format!("{}:{}: {columns} columns", source.path, at + 1));
            }
        }
    }
    assert_none("at most 100 columns and 800 lines", &findings);
}

#[test]
fn every_file_says_what_it_does() {
    let findings: Vec<String> = sources("rs")
        .into_iter()
        .filter(|s| !s.text.starts_with("//! ") && !s.text.starts_with("#![no_main]\n//! "))
        .map(|source| source.path)
        .collect();
    assert_none("every file begins with a sentence after `//! `", &findings);
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("TO", "DO"),
        concat!("todo", "!("),
    ];
    let mut findings = Vec::new();
    for source in sources("rs")
        .into_iter()
        .chain(sources("js"))
        .chain(sources("mjs"))
    {
        for (at, line) in source.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                findings.push(format!("{}:{}", source.path, at + 1));
            }
        }
    }
    assert_none("no marks of unfinished work", &findings);
}

#[test]
fn every_file_is_reachable_from_a_mod() {
    let mut findings = Vec::new();
    let all = sources("rs");
    for source in all
        .iter()
        .filter(|s| s.path.contains("/src/") && !s.path.contains("/src/bin/"))
    {
        let path = Path::new(&source.path);
        let stem = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if ["lib", "main"].contains(&stem.as_str()) {
            continue;
        }
        let folder = path.parent().expect("a folder");
        let (name, above) = if stem == "mod" {
            let name = folder
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, folder.parent().expect("a folder"))
        } else {
            (stem, folder)
        };
        let mut parents: Vec<_> = ["lib.rs", "main.rs", "mod.rs"]
            .map(|f| above.join(f))
            .into();
        parents.push(above.with_extension("rs"));
        let named = parents.iter().any(|parent| {
            all.iter()
                .find(|s| Path::new(&s.path) == parent)
                .is_some_and(|s| s.text.contains(&format!("mod {name};")))
        });
        if !named {
            findings.push(source.path.clone());
        }
    }
    assert_none("every file belongs to a module", &findings);
}

#[test]
fn unsafe_stays_in_its_rooms() {
    let rooms = [
        "bridge-core/src/io/sys/",
        "bridge-core/src/srtp/sha1_simd.rs",
        "bench/",
    ];
    let words = [
        concat!("unsafe", " {"),
        concat!("unsafe", " fn"),
        concat!("unsafe", " impl"),
    ];
    let mut findings = Vec::new();
    for source in sources("rs") {
        if rooms.iter().any(|room| source.path.starts_with(room)) {
            continue;
        }
        for (at, line) in source.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| code.contains(word)) {
                findings.push(format!("{}:{}", source.path, at + 1));
            }
        }
    }
    assert_none("unsafe only in io/sys, the SIMD hash and bench", &findings);
}

#[test]
fn only_io_touches_the_world() {
    let world = [
        "mio::",
        "socket2::",
        "libc::",
        "std::thread",
        "std::net::UdpSocket",
        "std::net::TcpListener",
        "Instant::now",
        "SystemTime",
        "getrandom",
    ];
    let outside = [
        "bridge-core/src/io/",
        "bridge-core/src/bridge.rs",
        "bridge-core/src/dtls/epoch.rs",
    ];
    let mut findings = Vec::new();
    for source in sources("rs")
        .iter()
        .filter(|s| s.path.starts_with("bridge-core/src/"))
    {
        if outside.iter().any(|room| source.path.starts_with(room)) {
            continue;
        }
        for (at, line) in product_code(&source.text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if world.iter().any(|word| code.contains(word)) {
                findings.push(format!("{}:{}: {}", source.path, at + 1, code.trim()));
            }
        }
    }
    assert_none(
        "sockets, threads, clocks and system randomness only in io/",
        &findings,
    );
}

#[test]
fn no_lock_stands_in_a_packets_way() {
    let locks = ["Mutex", "RwLock", "Condvar", "OnceLock", "LazyLock"];
    // Commands and handshakes come in by queues; handles and fuzzing are beside the way.
    let rooms = [
        "bridge-core/src/io/inbox.rs",
        "bridge-core/src/io/handshake.rs",
        "bridge-core/src/bridge.rs",
        "bridge-core/src/dtls/fuzz.rs",
    ];
    let mut findings = Vec::new();
    for source in sources("rs")
        .iter()
        .filter(|s| s.path.starts_with("bridge-core/src/") && !rooms.contains(&s.path.as_str()))
    {
        for (at, line) in product_code(&source.text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if locks.iter().any(|lock| code.contains(lock)) {
                findings.push(format!("{}:{}: {}", source.path, at + 1, code.trim()));
            }
        }
    }
    assert_none(
        "no lock but in the inbox, the handshakes and handles",
        &findings,
    );
}

/// Names of the variants of an enum that stands in `text` after `head`.
fn variants(text: &str, head: &str) -> Vec<String> {
    let body = text.split_once(head).expect("the enum is there").1;
    let mut depth = 1_usize;
    let mut names = Vec::new();
    for line in body.lines() {
        let code = line.split("//").next().unwrap_or_default();
        let first = code.trim_start().chars().next();
        if depth == 1 && first.is_some_and(char::is_uppercase) {
            let name = code
                .trim_start()
                .split(|c: char| !c.is_alphanumeric())
                .next();
            names.push(name.unwrap_or_default().to_owned());
        }
        depth += code.matches('{').count();
        depth = depth.saturating_sub(code.matches('}').count());
        if depth == 0 {
            break;
        }
    }
    assert!(!names.is_empty(), "no variants after {head}");
    names
}

#[test]
fn every_discard_reason_is_counted() {
    let all = sources("rs");
    let errors = all
        .iter()
        .find(|s| s.path == "bridge-core/src/error.rs")
        .expect("error.rs");
    let list = errors.text.split_once("\ndiscards! {").expect("the list").1;
    let mut findings = Vec::new();
    for reason in list
        .lines()
        .filter_map(|line| Some(line.trim().split_once(" => \"")?.0))
    {
        let used = all.iter().any(|s| {
            s.path != "bridge-core/src/error.rs"
                && s.path.starts_with("bridge-core/src/")
                && product_code(&s.text).contains(&format!("Discard::{reason}"))
        });
        if !used {
            findings.push(format!("Discard::{reason}"));
        }
    }
    assert_none("every discard reason is counted somewhere", &findings);
}

#[test]
fn every_command_and_event_is_tested() {
    let all = sources("rs");
    let mut findings = Vec::new();
    for (file, head, name) in [
        (
            "bridge-core/src/command.rs",
            "pub enum Command {",
            "Command",
        ),
        ("bridge-core/src/event.rs", "pub enum Event {", "Event"),
    ] {
        let text = &all
            .iter()
            .find(|s| s.path == file)
            .expect("the vocabulary")
            .text;
        for variant in variants(text, head) {
            let word = format!("{name}::{variant}");
            let tested = all.iter().any(|s| {
                let tests = s
                    .text
                    .split_once("#[cfg(test)]\nmod tests")
                    .map_or("", |(_, t)| t);
                tests.contains(&word) || (is_test_file(&s.path) && s.text.contains(&word))
            });
            if !tested {
                findings.push(word);
            }
        }
    }
    assert_none("every command and event appears in a test", &findings);
}

/// Words in backquotes that look like a file of this repository.
fn named_paths(text: &str) -> Vec<&str> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| !word.contains([' ', '*', '<', '{']))
        .filter(|word| word.ends_with(".rs") || word.ends_with(".md"))
        .collect()
}

#[test]
fn documents_name_only_files_that_exist() {
    let root = root();
    let bases = [
        "",
        "bridge-core/src/",
        "bridge-core/",
        "signaling/src/",
        "docs/",
    ];
    let mut findings = Vec::new();
    for source in sources("md") {
        for path in named_paths(&source.text) {
            if !bases.iter().any(|base| root.join(base).join(path).exists()) {
                findings.push(format!("{}: {path}", source.path));
            }
        }
    }
    assert_none("documents name existing files", &findings);
}

#[test]
fn the_packet_walk_names_every_file_on_the_way() {
    let walk = fs::read_to_string(root().join("docs/packet-walk.md")).expect("the packet walk");
    let way = [
        "io/", "engine/", "ice/", "dtls/", "srtp/", "rtp/", "ingest/", "route/", "egress/",
    ];
    let mut findings = Vec::new();
    for source in sources("rs") {
        let Some(path) = source.path.strip_prefix("bridge-core/src/") else {
            continue;
        };
        let tests = path.contains("/tests/") || path.ends_with("/tests.rs");
        if way.iter().any(|folder| path.starts_with(folder)) && !tests && !walk.contains(path) {
            findings.push(path.to_owned());
        }
    }
    assert_none(
        "docs/packet-walk.md names every file on a packet's way",
        &findings,
    );
}

#[test]
fn the_architecture_names_every_module() {
    let text = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the architecture");
    let mut findings = Vec::new();
    for source in sources("rs") {
        for name in ["bridge-core", "signaling"] {
            let Some(path) = source.path.strip_prefix(&format!("{name}/src/")) else {
                continue;
            };
            let module = path.split('/').next().unwrap_or_default();
            let shown = if path.contains('/') {
                format!("{module}/")
            } else {
                module.to_owned()
            };
            if !["lib.rs", "main.rs"].contains(&module) && !text.contains(&shown) {
                findings.push(format!("{name}: {shown}"));
            }
        }
    }
    findings.dedup();
    assert_none(
        "docs/ARCHITECTURE.md names every top-level module",
        &findings,
    );
}

#[test]
fn every_fuzz_target_has_seeds() {
    let mut targets = Vec::new();
    walk(&root().join("fuzz/fuzz_targets"), "rs", &mut targets);
    let findings: Vec<String> = targets
        .iter()
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| {
            fs::read_dir(root().join("fuzz/corpus").join(name)).map_or(0, Iterator::count) == 0
        })
        .collect();
    assert_none("every fuzz target has a seed corpus", &findings);
}

#[test]
fn every_document_has_one_title() {
    let mut findings = Vec::new();
    for source in sources("md") {
        let mut fenced = false;
        let mut titles = 0;
        for line in source.text.lines() {
            fenced ^= line.starts_with("```");
            titles += usize::from(!fenced && line.starts_with("# "));
        }
        if titles != 1 {
            findings.push(format!("{}: {titles} titles", source.path));
        }
    }
    assert_none("every document has one title", &findings);
}
