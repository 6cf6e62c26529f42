//! What the projects for Apple's and Android's tools must hold, since those tools run only elsewhere.

use std::{fs, path::PathBuf};

use yaml_rust2::{Yaml, YamlLoader};

use crate::cargo::root;

const RESOURCES: &str = "gen/android/app/src/main/res";
const APP_ICON: &str = "gen/apple/Assets.xcassets/AppIcon.appiconset";

fn file(path: &str) -> PathBuf {
    root().join("src-tauri").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All JSON is YAML.
fn json(path: &str) -> Yaml {
    let mut documents = YamlLoader::load_from_str(&read(path)).unwrap();
    documents.remove(0)
}

/// The text of a property list's string.
fn text_of(plist: &str, key: &str) -> Option<String> {
    let (_, rest) = plist.split_once(&format!("<key>{key}</key>"))?;
    let rest = rest.trim_start().strip_prefix("<string>")?;
    Some(rest.split_once("</string>")?.0.to_owned())
}

/// Width, height, and whether it may be seen through.
fn picture(path: &str) -> (u32, u32, bool) {
    let bytes = fs::read(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{path} is no PNG");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    // The kinds of colour 4 and 6 have an alpha channel.
    (number(16), number(20), matches!(bytes[25], 4 | 6))
}

#[test]
fn android_is_told_what_the_app_may_ask_for_and_which_links_it_opens() {
    let manifest = read("gen/android/app/src/main/AndroidManifest.xml");
    for permission in [
        "INTERNET",
        "ACCESS_COARSE_LOCATION",
        "ACCESS_FINE_LOCATION",
        "RECORD_AUDIO",
        "MODIFY_AUDIO_SETTINGS",
        "FOREGROUND_SERVICE",
        "FOREGROUND_SERVICE_MICROPHONE",
        "POST_NOTIFICATIONS",
    ] {
        let line = format!("<uses-permission android:name=\"android.permission.{permission}\" />");
        assert!(manifest.contains(&line), "{permission}");
    }
    assert!(manifest.contains("<data android:scheme=\"neartalk\" />"));
    assert!(manifest.contains("android:allowBackup=\"false\""));
}

#[test]
fn android_builds_what_the_configuration_says() {
    let config = json("tauri.conf.json");
    let identifier = config["identifier"].as_str().unwrap();
    let lowest = config["bundle"]["android"]["minSdkVersion"].as_i64();
    let build = read("gen/android/app/build.gradle.kts");
    assert!(build.contains(&format!("applicationId = \"{identifier}\"")));
    assert!(build.contains(&format!("minSdk = {}", lowest.unwrap())));
}

#[test]
fn apple_is_told_why() {
    let info = read("Info.plist");
    for key in [
        "NSLocationUsageDescription",
        "NSLocationWhenInUseUsageDescription",
        "NSMicrophoneUsageDescription",
        "NSLocalNetworkUsageDescription",
    ] {
        let text = text_of(&info, key).unwrap_or_default();
        assert!(text.ends_with('.') && text.len() > 30, "{key}: {text}");
    }
    assert!(info.contains("<string>neartalk</string>"));
    let phone = read("Info.ios.plist");
    assert!(phone.contains("<string>audio</string>"));
    let config = json("tauri.conf.json");
    let entitlements = config["bundle"]["macOS"]["entitlements"].as_str();
    let entitlements = read(entitlements.unwrap());
    for what in [
        "com.apple.security.device.audio-input",
        "com.apple.security.personal-information.location",
    ] {
        assert!(entitlements.contains(&format!("<key>{what}</key>\n  <true/>")));
    }
}

#[test]
fn every_icon_is_there_in_its_size() {
    for (density, size) in [
        ("mdpi", 48),
        ("hdpi", 72),
        ("xhdpi", 96),
        ("xxhdpi", 144),
        ("xxxhdpi", 192),
    ] {
        let icon = |name: &str| picture(&format!("{RESOURCES}/mipmap-{density}/{name}.png"));
        let size_of = |name| (icon(name).0, icon(name).1);
        assert_eq!(size_of("ic_launcher"), (size, size));
        assert_eq!(size_of("ic_launcher_round"), (size, size));
        let foreground = size * 9 / 4;
        assert_eq!(size_of("ic_launcher_foreground"), (foreground, foreground));
    }
    let contents = json(&format!("{APP_ICON}/Contents.json"));
    let images = contents["images"].as_vec().unwrap();
    assert_eq!(images.len(), 18);
    for image in images {
        let of = |key: &str| image[key].as_str().unwrap();
        let points: f64 = of("size").split_once('x').unwrap().0.parse().unwrap();
        let scale: f64 = of("scale").trim_end_matches('x').parse().unwrap();
        let pixels = (points * scale) as u32;
        let name = of("filename");
        let found = picture(&format!("{APP_ICON}/{name}"));
        assert_eq!(found, (pixels, pixels, false), "{name}");
    }
}
