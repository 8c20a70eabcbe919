//! Exit codes that scripts can use; `tamis --help` lists them.

use std::process::ExitCode;

use tamis_model::{Error, Kind};

/// The command failed, or found what it was to look for.
pub const FAILED: u8 = 1;
/// Done, but something was held back: a file that could not be read, a quality gate that did not open.
pub const HELD_BACK: u8 = 3;
/// Something outside did not answer; `EX_TEMPFAIL` of sysexits(3).
const TRY_AGAIN: u8 = 75;

/// The exit code of a failed command.
pub fn of(error: &Error) -> ExitCode {
    ExitCode::from(match error.kind() {
        Kind::Invalid => 2,
        Kind::Outage => TRY_AGAIN,
        Kind::Missing | Kind::Conflict | Kind::Corrupt | Kind::Plugin | Kind::Stopped => FAILED,
    })
}
