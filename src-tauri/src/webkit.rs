//! WebKit on Linux, told what this window never does, so that it keeps no memory for that.

use tauri::{Runtime, WebviewWindow};
use webkit2gtk::{
    CacheModel, HardwareAccelerationPolicy, SettingsExt as _, WebContextExt as _, WebViewExt as _,
};

/// Spares memory; docs/benchmarks.md says how much.
pub(crate) fn spare<R: Runtime>(window: &WebviewWindow<R>) {
    let told = window.with_webview(|platform| {
        let view = platform.inner();
        if let Some(settings) = view.settings() {
            // It would take a graphics library with a compiler in it, where there is no graphics card,
            // for a page that is text and stands still most of the time.
            settings.set_hardware_acceleration_policy(HardwareAccelerationPolicy::Never);
            settings.set_enable_webgl(false);
            // There is one page.
            settings.set_enable_page_cache(false);
        }
        if let Some(context) = view.context() {
            context.set_cache_model(CacheModel::DocumentViewer);
        }
    });
    if let Err(error) = told {
        tracing::warn!(%error, "the window takes more memory than it needs");
    }
}
