//! Prepares the web client for the binary: names its assets by their hash, compresses every file
//! with brotli and gzip, and writes the table that `src/http/assets.rs` includes.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Folders and single files of `web/` that are served under the prefix.
const ASSETS: &[&str] = &[
    "css",
    "js",
    "lang",
    "art.svg",
    "favicon.svg",
    "icons.svg",
    "truss.svg",
];
/// The constants that hold the pages, and their files.
const PAGES: &[(&str, &str)] = &[("FRONT", "index.html"), ("ROOM", "room.html")];
/// What stands in the pages for the prefix.
const PLACEHOLDER: &str = "/_/assets/";

fn main() -> Result<(), Box<dyn Error>> {
    let web = Path::new("web");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    watch(web);
    let mut names = Vec::new();
    for name in ASSETS {
        collect(web, name.to_string(), &mut names)?;
    }
    names.sort();
    let mut all = Sha256::new();
    let mut table = "static ASSETS: &[Asset] = &[\n".to_owned();
    for (at, name) in names.iter().enumerate() {
        let bytes = fs::read(web.join(name))?;
        all.update(name);
        all.update([0]);
        all.update(Sha256::digest(&bytes));
        writeln!(
            table,
            "    {},",
            entry(&out, &format!("{at}"), name, &bytes)?
        )?;
    }
    let hash = hex(&all.finalize(), 8)?;
    writeln!(table, "];\nconst HASH: &str = \"{hash}\";")?;
    for (constant, name) in PAGES {
        let page = fs::read_to_string(web.join(name))?;
        let page = page.replace(PLACEHOLDER, &format!("/_/{hash}/"));
        let entry = entry(&out, constant, name, page.as_bytes())?;
        writeln!(table, "static {constant}: Asset = {entry};")?;
    }
    fs::write(out.join("client.rs"), table)?;
    Ok(())
}

fn watch(web: &Path) {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ASSETS.iter().chain(PAGES.iter().map(|(_, name)| name)) {
        println!("cargo::rerun-if-changed={}", web.join(name).display());
    }
}

/// The files below a folder, or the file itself, as names from `web` on.
fn collect(web: &Path, name: String, found: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    let path = web.join(&name);
    if !path.is_dir() {
        found.push(name);
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let below = entry?.file_name();
        let below = below.to_str().ok_or("a file name is not UTF-8")?;
        collect(web, format!("{name}/{below}"), found)?;
    }
    Ok(())
}

/// Writes the three forms of a file, and returns the Rust for it.
fn entry(out: &Path, stem: &str, name: &str, bytes: &[u8]) -> Result<String, Box<dyn Error>> {
    let tag = hex(&Sha256::digest(bytes), 16)?;
    let mut text = format!("Asset {{ name: {name:?}, tag: {tag:?}");
    let forms = [
        ("plain", bytes.to_owned()),
        ("brotli", brotli(bytes)?),
        ("gzip", gzip(bytes)?),
    ];
    for (form, bytes) in forms {
        let path = out.join(format!("{stem}.{form}"));
        fs::write(&path, bytes)?;
        write!(text, ", {form}: include_bytes!({path:?})")?;
    }
    Ok(text + " }")
}

fn brotli(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: 11,
        size_hint: bytes.len(),
        ..Default::default()
    };
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut &*bytes, &mut packed, &parameters)?;
    Ok(packed)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// The first bytes of a hash.
fn hex(hash: &[u8], bytes: usize) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for byte in hash.iter().take(bytes) {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
