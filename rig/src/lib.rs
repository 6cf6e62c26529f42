//! What tests and benches measure with. Each part starts the real thing on free ports or in a place
//! of its own, and stops it when it is dropped.

#[cfg(target_os = "linux")]
pub mod bus;
#[cfg(target_os = "linux")]
pub mod caddy;
#[cfg(target_os = "linux")]
pub mod chromium;
#[cfg(target_os = "linux")]
pub mod containers;
#[cfg(target_os = "linux")]
pub mod desk;
#[cfg(target_os = "linux")]
pub mod geoclue;
pub mod headless;
#[cfg(target_os = "linux")]
pub mod lossy;
#[cfg(target_os = "linux")]
pub mod netns;
#[cfg(target_os = "linux")]
pub mod notifications;
pub mod pesq;
#[cfg(target_os = "linux")]
pub mod portal;
pub mod ports;
#[cfg(target_os = "linux")]
pub mod postgres;
pub mod process;
pub mod programs;
#[cfg(unix)]
pub mod pulse;
#[cfg(unix)]
pub mod redis;
pub mod relay;
pub mod sound;
#[cfg(target_os = "linux")]
pub mod system;
#[cfg(target_os = "linux")]
pub mod tray;
#[cfg(unix)]
pub mod turn;
#[cfg(target_os = "linux")]
pub mod window;
