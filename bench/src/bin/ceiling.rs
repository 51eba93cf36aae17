//! Starts the yardstick: the least that a conference server can do.

use std::process::ExitCode;

use bench::ceiling::{Options, run};
use clap::Parser;

fn main() -> ExitCode {
    match run(&Options::parse(), |address| {
        say(&format!("http http://{address}\nready"))
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "who started it waits for this")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "why the tool failed")]
fn complain(error: &std::io::Error) {
    eprintln!("ceiling: {error}");
}
