//! The processes of a driver, its program and all that they have started.

use std::fs;

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process_group};

/// Whether a program of this name, cut as the system cuts it, runs in a group.
pub fn runs(group: u32, program: &str) -> Result<bool> {
    let group = group.to_string();
    for entry in fs::read_dir("/proc")? {
        // Processes end while one looks at them.
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else {
            continue;
        };
        // "pid (name) state parent group …"; the name may hold anything.
        let Some((before, after)) = stat.rsplit_once(')') else {
            continue;
        };
        let is_it = before.ends_with(&format!("({program}"));
        let mut after = after.split_whitespace();
        let (state, its_group) = (after.next(), after.nth(1));
        if is_it && state != Some("Z") && its_group == Some(&*group) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Ends all of a group.
pub fn end(group: u32) {
    // An error says that all have ended.
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}
