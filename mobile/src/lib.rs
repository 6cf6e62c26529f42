//! What a phone's system gives NearTalk: the place, leave to use the microphone, an audio session for
//! calls, and leave to go on while the screen is dark.
//!
//! `android/` (Kotlin) and `ios/` (Swift) do the work; this is what the shell calls. Elsewhere there is
//! nothing to call, and what remains is how the phones' reports are read.

#[cfg(any(target_os = "android", target_os = "ios"))]
mod plugin;
mod told;

#[cfg(any(target_os = "android", target_os = "ios"))]
pub use plugin::{Mobile, PhoneLocation, init};
pub use told::{MicrophoneLeave, Told};
