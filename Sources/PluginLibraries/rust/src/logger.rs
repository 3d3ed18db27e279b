// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::client::Client;
use crate::system;

/// The data type of log records of Rust plugins, which existing servers know.
const LOG_DATA_TYPE: i32 = 1010;

/// How grave a log message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// What happens in normal times.
    Info,
    /// Something is wrong, and the plugin goes on without loss.
    Warning,
    /// Something is lost or does not work.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warning => "WARN",
            Level::Error => "ERROR",
        })
    }
}

pub(crate) struct LogSettings {
    stderr_level: Option<Level>,
    record_level: Option<Level>,
    has_told_of_failure: AtomicBool,
}

impl LogSettings {
    pub(crate) fn new(stderr_level: Option<Level>, record_level: Option<Level>) -> LogSettings {
        LogSettings { stderr_level, record_level, has_told_of_failure: AtomicBool::new(false) }
    }
}

impl Client {
    /// Whether anything is done with messages of this level.
    pub fn logs(&self, level: Level) -> bool {
        let reaches = |lowest: Option<Level>| lowest.map_or(false, |lowest| level >= lowest);
        reaches(self.log.stderr_level) || reaches(self.log.record_level)
    }

    /// Logs a message: a line on stderr from [`Options::stderr_level`](crate::Options::stderr_level) on, a record of
    /// type 1010 for the agent from [`Options::record_level`](crate::Options::record_level) on.
    ///
    /// The macros [`error!`](crate::error!), [`warn!`](crate::warn!), [`info!`](crate::info!) and
    /// [`debug!`](crate::debug!) fill in the place: `target` is the module, `file` and `line` where it was written. A
    /// record that cannot be sent is not an error; a line on stderr says so, the first time.
    pub fn log(&self, level: Level, target: &str, file: &str, line: u32, message: fmt::Arguments<'_>) {
        if self.log.stderr_level.map_or(false, |lowest| level >= lowest) {
            write_line(level, file, line, message);
        }
        if self.log.record_level.map_or(false, |lowest| level >= lowest) {
            // Formatted before: what it calls may use the client.
            let text = message.to_string();
            let result = self.send(LOG_DATA_TYPE, |record| {
                record.add("level", format_args!("{}", level)).add("target", target);
                record.add("file", file).add("line", line).add("msg", &text);
            });
            if let Err(error) = result {
                if !self.log.has_told_of_failure.swap(true, Ordering::Relaxed) {
                    let text = "this message was not sent to the agent, and later ones may not be";
                    write_line(Level::Warning, file, line, format_args!("{}: {}", text, error));
                }
            }
        }
    }
}

/// Writes `2026-11-29T21:38:12Z ERROR main.rs:12 message` to stderr.
fn write_line(level: Level, file: &str, line: u32, message: fmt::Arguments<'_>) {
    let mut text = String::new();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let formatted = write!(text, "{} {} {}:{} ", Timestamp(seconds), level, file, line)
        .and_then(|()| write!(OneLine(&mut text), "{}", message));
    if formatted.is_err() {
        text.push_str("(the message could not be formatted)");
    }
    text.push('\n');
    write_to_stderr(&text);
}

/// Never panics and never kills, unlike `eprint!`.
pub(crate) fn write_to_stderr(text: &str) {
    // When stderr takes nothing there is no place left to say so.
    let _ = system::without_sigpipe(|| std::io::stderr().write_all(text.as_bytes()));
}

/// Keeps a message on its line.
struct OneLine<'a>(&'a mut String);

impl fmt::Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if character.is_control() && character != '\t' {
                self.0.extend(character.escape_default());
            } else {
                self.0.push(character);
            }
        }
        Ok(())
    }
}

/// Seconds since 1970 as UTC, `2026-11-29T21:38:12Z`.
struct Timestamp(u64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0 / 86_400, self.0 % 86_400);
        // Days from 1 March of the year 0, so that the leap day is the last one of a year, in eras of 400 years.
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute) = (second / 3_600, second / 60 % 60);
        write!(f, "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", year, month, day, hour, minute, second % 60)
    }
}

/// Logs a message of a level: `log_message!(client, Level::Info, "{} files", count)`. See [`Client::log`].
#[macro_export]
macro_rules! log_message {
    ($client:expr, $level:expr, $($message:tt)+) => {{
        let (client, level) = (&$client, $level);
        if client.logs(level) {
            client.log(level, module_path!(), file!(), line!(), format_args!($($message)+));
        }
    }};
}

/// Logs an error: `error!(client, "cannot read {}: {}", path, error)`. See [`Client::log`].
#[macro_export]
macro_rules! error {
    ($client:expr, $($message:tt)+) => { $crate::log_message!($client, $crate::Level::Error, $($message)+) };
}

/// Logs a warning: `warn!(client, "{} is missing", path)`. See [`Client::log`].
#[macro_export]
macro_rules! warn {
    ($client:expr, $($message:tt)+) => { $crate::log_message!($client, $crate::Level::Warning, $($message)+) };
}

/// Logs what happens in normal times: `info!(client, "{} rules", count)`. See [`Client::log`].
#[macro_export]
macro_rules! info {
    ($client:expr, $($message:tt)+) => { $crate::log_message!($client, $crate::Level::Info, $($message)+) };
}

/// Logs what only the plugin's author wants to know: `debug!(client, "{:?}", task)`. See [`Client::log`].
#[macro_export]
macro_rules! debug {
    ($client:expr, $($message:tt)+) => { $crate::log_message!($client, $crate::Level::Debug, $($message)+) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
        ] {
            assert_eq!(Timestamp(seconds).to_string(), text);
        }
    }

    #[test]
    fn a_message_stays_on_its_line() {
        let mut text = String::new();
        write!(OneLine(&mut text), "a\tb\nc\x1b[0m\u{e9}").unwrap();
        assert_eq!(text, "a\tb\\nc\\u{1b}[0m\u{e9}");
    }
}
