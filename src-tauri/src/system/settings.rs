//! The system's own settings, where people allow what they have forbidden.

use serde::Deserialize;
use specta::Type;

use super::Device;
use crate::error::CommandError;

/// A part of the system's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Who may know the place.
    Location,
    /// Who may use the microphone.
    Microphone,
    /// Who may show notifications.
    Notifications,
}

/// Opens them at a section, or as near to it as the system can be told.
#[cfg(target_os = "linux")]
pub async fn open_settings(_: &Device, section: Section) -> Result<(), CommandError> {
    let desktop = std::env::var("XDG_CURRENT_DESKTOP").unwrap_or_default();
    linux::open(linux::programs(&desktop, section))
}

/// Opens them at a section.
#[cfg(target_os = "macos")]
pub async fn open_settings(_: &Device, section: Section) -> Result<(), CommandError> {
    super::open(match section {
        Section::Location => {
            "x-apple.systempreferences:com.apple.preference.security?Privacy_LocationServices"
        }
        Section::Microphone => {
            "x-apple.systempreferences:com.apple.preference.security?Privacy_Microphone"
        }
        Section::Notifications => "x-apple.systempreferences:com.apple.preference.notifications",
    })
}

/// Opens them at a section.
#[cfg(windows)]
pub async fn open_settings(_: &Device, section: Section) -> Result<(), CommandError> {
    super::open(match section {
        Section::Location => "ms-settings:privacy-location",
        Section::Microphone => "ms-settings:privacy-microphone",
        Section::Notifications => "ms-settings:notifications",
    })
}

/// Opens what they have on this app, wherever in it the section stands.
#[cfg(mobile)]
pub async fn open_settings(phone: &Device, _: Section) -> Result<(), CommandError> {
    phone.open_settings().await.map_err(super::phone_failed)
}

/// Settings are a program of the desktop's there, each desktop having one of its own.
#[cfg(target_os = "linux")]
mod linux {
    use std::{
        io,
        process::{Command, Stdio},
        thread,
    };

    use super::Section;
    use crate::error::CommandError;

    /// A program and what it is to show.
    pub(super) type Program = &'static [&'static str];

    /// Which programs show a section on a desktop, as `XDG_CURRENT_DESKTOP` names it: the first that is
    /// there is meant.
    pub(super) fn programs(desktop: &str, section: Section) -> &'static [Program] {
        use Section::{Location, Microphone, Notifications};
        // It names the distribution's desktop first, then those that it is made of.
        for name in desktop.split(':') {
            return match (name.to_ascii_lowercase().as_str(), section) {
                ("gnome" | "unity" | "budgie", Location) => &[
                    &["gnome-control-center", "location"],
                    &["budgie-control-center", "location"],
                ],
                ("gnome" | "unity" | "budgie", Microphone) => &[
                    &["gnome-control-center", "microphone"],
                    &["budgie-control-center", "microphone"],
                ],
                ("gnome" | "unity" | "budgie", Notifications) => &[
                    &["gnome-control-center", "notifications"],
                    &["budgie-control-center", "notifications"],
                ],
                // Plasma keeps no list of who may know the place; its overview has a search.
                ("kde", Location) => &[&["systemsettings"], &["systemsettings5"]],
                ("kde", Microphone) => &[
                    &["systemsettings", "kcm_pulseaudio"],
                    &["systemsettings5", "kcm_pulseaudio"],
                ],
                ("kde", Notifications) => &[
                    &["systemsettings", "kcm_notifications"],
                    &["systemsettings5", "kcm_notifications"],
                ],
                ("x-cinnamon" | "cinnamon", Location) => &[&["cinnamon-settings", "privacy"]],
                ("x-cinnamon" | "cinnamon", Microphone) => &[&["cinnamon-settings", "sound"]],
                ("x-cinnamon" | "cinnamon", Notifications) => {
                    &[&["cinnamon-settings", "notifications"]]
                }
                ("xfce", Location) => &[&["xfce4-settings-manager"]],
                ("xfce", Microphone) => &[&["pavucontrol"], &["xfce4-settings-manager"]],
                ("xfce", Notifications) => {
                    &[&["xfce4-notifyd-config"], &["xfce4-settings-manager"]]
                }
                ("mate", Location) => &[&["mate-control-center"]],
                ("mate", Microphone) => &[&["mate-volume-control"], &["mate-control-center"]],
                ("mate", Notifications) => {
                    &[&["mate-notification-properties"], &["mate-control-center"]]
                }
                _ => continue,
            };
        }
        &[]
    }

    /// Starts the first of these that is there.
    pub(super) fn open(programs: &[Program]) -> Result<(), CommandError> {
        for program in programs {
            let [name, arguments @ ..] = *program else {
                continue;
            };
            let mut command = Command::new(name);
            command.args(arguments);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            match command.spawn() {
                Ok(mut child) => {
                    // So that it isn't left behind as a zombie when it is closed.
                    thread::spawn(move || child.wait());
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(CommandError::unavailable(format!(
                        "{name}, which shows the settings, could not be started: {error}."
                    )));
                }
            }
        }
        Err(CommandError::unavailable(
            "NearTalk does not know where this desktop keeps its settings. Open them by hand, and look \
             for privacy.",
        ))
    }

    #[cfg(test)]
    mod tests {
        use std::{fs, os::unix::fs::PermissionsExt, sync::mpsc, time::Duration};

        use super::*;
        use crate::error::CommandErrorCode;

        #[test]
        fn each_desktop_has_settings_of_its_own() {
            use Section::{Location, Microphone, Notifications};
            for (desktop, section, program) in [
                ("GNOME", Location, ["gnome-control-center", "location"]),
                (
                    "ubuntu:GNOME",
                    Microphone,
                    ["gnome-control-center", "microphone"],
                ),
                (
                    "Budgie:GNOME",
                    Notifications,
                    ["gnome-control-center", "notifications"],
                ),
                (
                    "KDE",
                    Notifications,
                    ["systemsettings", "kcm_notifications"],
                ),
                ("X-Cinnamon", Location, ["cinnamon-settings", "privacy"]),
            ] {
                assert_eq!(programs(desktop, section)[0], program, "{desktop}");
            }
            for desktop in ["", "sway", "NoSuch:Desktop"] {
                assert!(programs(desktop, Location).is_empty(), "{desktop}");
            }
        }

        #[test]
        fn the_first_that_is_there_is_started_with_its_section() {
            let folder = tempfile::tempdir().unwrap();
            let pipe = folder.path().join("told");
            let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
            assert!(made.success());
            let program = folder.path().join("settings");
            let script = format!("#!/bin/sh\necho \"$@\" > '{}'\n", pipe.display());
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            let program: &'static str = Box::leak(program.display().to_string().into_boxed_str());
            let there: Program = Box::leak(Box::new([program, "privacy", "location"]));
            open(&[&["no-program-has-this-name"], there]).unwrap();
            // A pipe, as reading it waits until it has been written.
            let (told, said) = mpsc::channel();
            thread::spawn(move || told.send(fs::read_to_string(pipe)));
            let said = said.recv_timeout(Duration::from_secs(30)).unwrap();
            assert_eq!(said.unwrap(), "privacy location\n");
        }

        #[test]
        fn where_there_is_none_people_are_told_what_to_do() {
            let refused = open(&[&["no-program-has-this-name"]]).unwrap_err();
            assert_eq!(refused.code, CommandErrorCode::Unavailable);
            assert!(refused.message.contains("by hand"), "{refused}");
        }
    }
}
