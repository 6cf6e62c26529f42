//! What stands in for the tools of other platforms, so that crates with C in them can be checked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::Platform;

const SCRIPTS: [(&str, &str); 3] = [
    ("cc", include_str!("cc.sh")),
    ("ar", include_str!("ar.sh")),
    ("strict", include_str!("strict.sh")),
];

/// Folders that pass for Apple's headers and libraries: a check opens none of them.
const SDKS: [&str; 2] = ["MacOSX.sdk", "iPhoneOS.sdk"];

pub struct StandIns {
    folder: PathBuf,
}

impl StandIns {
    /// Puts them into a folder.
    pub fn put(folder: &Path) -> Result<Self> {
        for sdk in SDKS {
            let sdk = folder.join(sdk);
            fs::create_dir_all(&sdk).with_context(|| format!("making {}", sdk.display()))?;
        }
        for (name, script) in SCRIPTS {
            let path = folder.join(name);
            // One that is as it should be keeps its time, and what was built with it stays fresh.
            if fs::read_to_string(&path).is_ok_and(|there| there == script) {
                continue;
            }
            fs::write(&path, script).with_context(|| format!("writing {}", path.display()))?;
            make_executable(&path)?;
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Has a `cargo check` for this platform use them.
    pub fn serve(&self, check: &mut Command, platform: &Platform) {
        let target = platform.target.replace('-', "_");
        for (variable, script) in [("CC", "cc"), ("CXX", "cc"), ("AR", "ar")] {
            check.env(format!("{variable}_{target}"), self.folder.join(script));
        }
        // The Opus codec is built with it; for Windows it would look for Visual Studio first.
        check.env(format!("CMAKE_{target}"), "true");
        check.env(format!("CMAKE_GENERATOR_{target}"), "Ninja");
        check.env("RUSTC_WORKSPACE_WRAPPER", self.folder.join("strict"));
        let sdk = match platform.os {
            "macos" => "MacOSX.sdk",
            "ios" => "iPhoneOS.sdk",
            _ => return,
        };
        check.env("SDKROOT", self.folder.join(sdk));
    }
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, all).with_context(|| format!("permitting {}", path.display()))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    anyhow::bail!(
        "other platforms are checked on Linux or macOS, where a shell script can stand in"
    )
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn run(program: &Path, arguments: &[&str]) -> bool {
        Command::new(program)
            .args(arguments)
            .status()
            .is_ok_and(|status| status.success())
    }

    #[test]
    fn the_compiler_makes_an_object_of_anything_and_the_archiver_takes_both_manners() {
        let folder = std::env::temp_dir().join(format!("stand-ins-{}", std::process::id()));
        StandIns::put(&folder).unwrap();
        let (object, archive, library) = (
            folder.join("a.o"),
            folder.join("liba.a"),
            folder.join("a.lib"),
        );
        let (cc, ar) = (folder.join("cc"), folder.join("ar"));
        let object_name = object.to_str().unwrap();
        let no_such = "-march=no-such-machine";
        assert!(run(&cc, &[no_such, "-c", "no-such.c", "-o", object_name]));
        assert!(object.metadata().unwrap().len() > 0);
        assert!(!run(&cc, &["-?"]), "it would pass for Microsoft's");
        assert!(run(&ar, &["crs", archive.to_str().unwrap(), object_name]));
        let out = format!("-out:{}", library.display());
        assert!(run(&ar, &[&out, object_name]));
        assert!(archive.exists() && library.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
