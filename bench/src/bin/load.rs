//! Plays the clients of a conference server and says what it costs to serve them.

use std::process::ExitCode;

use bench::load::options::Options;
use bench::load::{Failure, compare, run};
use clap::Parser;

fn main() -> ExitCode {
    let options = Options::parse();
    match work(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

fn work(options: &Options) -> Result<(), Failure> {
    if let Some(command) = &options.compare {
        let comparison = compare(options, command)?;
        tell(options, &comparison.table(), &comparison.json());
        return Ok(());
    }
    let report = run(options)?;
    tell(options, &report.table(), &report.json);
    match &options.svg {
        Some(file) => report.write_svg(file),
        None => Ok(()),
    }
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the result of a tool"
)]
fn tell(options: &Options, table: &str, json: &serde_json::Value) {
    if !options.quiet {
        eprintln!("\n{table}");
    }
    if options.json {
        println!("{json}");
    }
}

#[expect(clippy::print_stderr, reason = "why the tool failed")]
fn complain(failure: &Failure) {
    eprintln!("load: {failure}");
}
