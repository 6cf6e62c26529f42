//! Tells Tauri where the phones' parts are.

fn main() {
    // The window may ask for none of it: only the shell does.
    let built = tauri_plugin::Builder::new(&[])
        .android_path("android")
        .ios_path("ios")
        .try_build();
    if let Err(error) = built {
        println!("cargo:error={error:#}");
    }
}
