//! On Linux desktops: <https://specifications.freedesktop.org/autostart-spec/0.5/>.

use std::{error::Error, fs, io, path::PathBuf};

use tauri::{AppHandle, Manager, Runtime, process};

fn file<R: Runtime>(app: &AppHandle<R>) -> tauri::Result<PathBuf> {
    let name = format!("{}.desktop", app.config().identifier);
    Ok(app.path().config_dir()?.join("autostart").join(name))
}

/// Whether there is an entry, and desktops heed it.
pub fn is_on<R: Runtime>(app: &AppHandle<R>) -> Result<bool, Box<dyn Error>> {
    match fs::read_to_string(file(app)?) {
        Ok(entry) => Ok(is_heeded(&entry)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes the entry, or removes it.
pub fn set<R: Runtime>(app: &AppHandle<R>, on: bool) -> Result<(), Box<dyn Error>> {
    let file = file(app)?;
    if on {
        let program = process::current_binary(&app.env())?;
        let program = program.to_str().ok_or("its path is no text")?;
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, entry(program))?;
        return Ok(());
    }
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn entry(program: &str) -> String {
    format!(
        "[Desktop Entry]\nType=Application\nName=NearTalk\nIcon=neartalk\nExec={}\nTerminal=false\n",
        quoted(program)
    )
}

/// As a key `Exec` wants it: quoted within a string, which escapes once more.
/// <https://specifications.freedesktop.org/desktop-entry-spec/latest/exec-variables.html>
fn quoted(program: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in program.chars() {
        match letter {
            '"' | '`' | '$' => quoted.extend(["\\\\", letter.encode_utf8(&mut [0; 4])]),
            '\\' => quoted.push_str("\\\\\\\\"),
            '%' => quoted.push_str("%%"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Desktops let people turn an entry off without removing it.
fn is_heeded(entry: &str) -> bool {
    let off = ["Hidden=true", "X-GNOME-Autostart-enabled=false"];
    !entry.lines().any(|line| off.contains(&line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_can_be_started() {
        assert_eq!(quoted("/usr/bin/neartalk"), r#""/usr/bin/neartalk""#);
        assert_eq!(quoted(r"/a b/$x%/\"), r#""/a b/\\$x%%/\\\\""#);
    }

    #[test]
    fn what_was_turned_off_elsewhere_is_off() {
        let entry = entry("/usr/bin/neartalk");
        assert!(is_heeded(&entry));
        for off in ["Hidden=true", "X-GNOME-Autostart-enabled=false"] {
            assert!(!is_heeded(&format!("{entry}{off}\n")), "{off}");
        }
    }
}
