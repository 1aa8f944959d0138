//! Moving in from devpi-server and out again, with the real servers and clients on both sides.

mod beside;
mod broken;
mod defaults;
mod export;
mod from_devpi;
mod interrupted;
mod samples;
mod there_and_back;
