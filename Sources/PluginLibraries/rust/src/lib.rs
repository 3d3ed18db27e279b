// Elkeid Agent in Swift
// SPDX-License-Identifier: Apache-2.0

//! Plugins for Elkeid agents.
//!
//! An agent starts a plugin as a child process and gives it two pipes: tasks of the server come in at descriptor 3,
//! records for the server go out at descriptor 4. This library has both ends in a [`Client`].
//!
//! ```no_run
//! use elkeid_plugin::{Client, Error, Received};
//!
//! fn main() -> Result<(), Error> {
//!     let client = Client::open()?;
//!     client.send(7001, |record| {
//!         record.add("pid", std::process::id()).add("message", "hello");
//!     })?;
//!     while let Received::Task(task) = client.receive()? {
//!         client.send(7002, |record| {
//!             record.add("token", &task.token).add("status", "succeed").add("msg", &task.data);
//!         })?;
//!     }
//!     client.flush()
//! }
//! ```
//!
//! # Ending
//! [`Client::receive`] returns [`Received::End`] when the agent has ended or the process got SIGTERM: the plugin then
//! sends what it still has, and ends. SIGTERM is watched by a handler that opening the client installs
//! ([`Options::handle_sigterm`]) and that stays for the life of the process; a second SIGTERM kills. Records that
//! nobody reads any more give [`Error::AgentGone`]; SIGPIPE never kills the process, whatever it does by default.
//!
//! # Debug mode
//! A plugin that is started in a terminal, without an agent, or with `ELKEID_PLUGIN_DEBUG=1` in its environment, prints
//! its records as lines of JSON to stdout, and takes lines `DATA_TYPE DATA...` from stdin as tasks. Ctrl-D or Ctrl-C
//! end it. [`Policy::DropNewest`] has no effect then.
//!
//! # Logging
//! [`error!`], [`warn!`], [`info!`] and [`debug!`] write to stderr, which the agent keeps in a file; errors also go to
//! the server.

#![deny(unsafe_code)]
#![warn(missing_docs, rust_2018_idioms)]

mod client;
mod debug;
mod error;
mod frames;
mod logger;
mod options;
mod pipe;
mod protobuf;
mod record;
mod system;
mod task;
mod tasks;
#[cfg(test)]
mod tests;

pub use client::{Client, Counts, Header, Outcome};
pub use error::{Error, MalformedTask};
pub use logger::Level;
pub use options::{Options, Policy, Priority};
pub use record::{Record, Value};
pub use task::Task;
pub use tasks::Received;
