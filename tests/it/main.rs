//! The integration tests of the house, as one binary: its own rules among them.

mod commands;
mod damage;
mod ends;
mod kills;
mod local_runs;
mod newer;
mod output;
mod pages;
mod readers;
mod room;
mod telling;
mod tidy;
