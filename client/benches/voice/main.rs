//! How voice fares, NearTalk beside Chromium: both in the same run, with the same microphones and
//! loudspeakers (of a PulseAudio of the bench's own) and over the same network (of TUN devices, so this
//! needs root). Everything but processor time is read off the recorded sound.
//!
//! `cargo xtask bench voice`, or a part of it: `cargo xtask bench voice ear pesq --only neartalk`.

#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod table;

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    measure::run(<measure::Options as clap::Parser>::parse())
}

#[cfg(not(target_os = "linux"))]
fn main() -> anyhow::Result<()> {
    anyhow::bail!("this bench makes networks of its own, for which it needs Linux")
}
