//! The calls to the phones' parts.

use std::sync::Arc;

use neartalk_location::{LocationProvider, Problem, Report, Reporter, Watch, channel};
use serde::{Deserialize, Serialize};
use tauri::{
    Manager, Runtime,
    ipc::{Channel, InvokeResponseBody},
    plugin::{Builder, PluginHandle, TauriPlugin, mobile::PluginInvokeError},
};

use crate::told::{MicrophoneLeave, Told};

#[cfg(target_os = "ios")]
tauri::ios_plugin_binding!(init_plugin_neartalk_mobile);

/// The plugin, which puts [`Mobile`] into the app's state.
pub fn init<R: Runtime>() -> TauriPlugin<R> {
    Builder::new("neartalk-mobile")
        .setup(|app, api| {
            #[cfg(target_os = "android")]
            let handle = api.register_android_plugin("org.neartalk.mobile", "NearTalkPlugin")?;
            #[cfg(target_os = "ios")]
            let handle = api.register_ios_plugin(init_plugin_neartalk_mobile)?;
            app.manage(Mobile(handle));
            Ok(())
        })
        .build()
}

/// What a phone's system gives.
#[derive(Debug)]
pub struct Mobile<R: Runtime>(PluginHandle<R>);

#[derive(Deserialize)]
struct Microphone {
    microphone: MicrophoneLeave,
}

/// What is said while voice goes on in the background.
#[derive(Serialize)]
struct Voice<'a> {
    title: &'a str,
    text: &'a str,
}

impl<R: Runtime> Mobile<R> {
    /// The phone's way to tell the place.
    pub fn location(&self) -> PhoneLocation<R> {
        PhoneLocation(self.0.clone())
    }

    /// Asks for the microphone, unless the person has decided before.
    ///
    /// # Errors
    /// When the phone's part can't be reached.
    pub async fn ask_microphone(&self) -> Result<MicrophoneLeave, PluginInvokeError> {
        let answer: Microphone = self.0.run_mobile_plugin_async("askMicrophone", ()).await?;
        Ok(answer.microphone)
    }

    /// Begins a call: sound goes where calls go, and on while the screen is dark. `title` and `text` are
    /// what Android shows meanwhile.
    ///
    /// # Errors
    /// When the system refuses it.
    pub async fn begin_voice(&self, title: &str, text: &str) -> Result<(), PluginInvokeError> {
        let voice = Voice { title, text };
        self.0.run_mobile_plugin_async("beginVoice", voice).await
    }

    /// Ends it.
    ///
    /// # Errors
    /// When the phone's part can't be reached.
    pub async fn end_voice(&self) -> Result<(), PluginInvokeError> {
        self.0.run_mobile_plugin_async("endVoice", ()).await
    }

    /// Opens what the system's settings have on this app.
    ///
    /// # Errors
    /// When they can't be opened.
    pub async fn open_settings(&self) -> Result<(), PluginInvokeError> {
        self.0.run_mobile_plugin_async("openSettings", ()).await
    }
}

/// A phone's way to tell the place.
#[derive(Debug)]
pub struct PhoneLocation<R: Runtime>(PluginHandle<R>);

#[derive(Serialize)]
struct Begin {
    channel: Channel,
}

#[derive(Serialize)]
struct End {
    id: u32,
}

impl<R: Runtime> LocationProvider for PhoneLocation<R> {
    fn watch(&self) -> Watch {
        let (reporter, watch) = channel();
        tokio::spawn(run(self.0.clone(), Arc::new(reporter)));
        watch
    }
}

async fn run<R: Runtime>(phone: PluginHandle<R>, reporter: Arc<Reporter>) {
    let to = Arc::clone(&reporter);
    let channel = Channel::new(move |told| {
        hand_on(&to, told);
        Ok(())
    });
    let id = channel.id();
    let begun = phone.run_mobile_plugin_async::<()>("watchLocation", Begin { channel });
    if let Err(error) = begun.await {
        reporter.report(Report::Problem(Problem::Failed(error.to_string())));
    }
    reporter.closed().await;
    let ended = phone.run_mobile_plugin_async::<()>("unwatchLocation", End { id });
    if let Err(error) = ended.await {
        tracing::warn!(%error, "the phone may go on looking for the place");
    }
}

fn hand_on(reporter: &Reporter, told: InvokeResponseBody) {
    let report = match told.deserialize::<Told>() {
        Ok(told) => told.into_report(),
        Err(_) => None,
    };
    match report {
        Some(report) => reporter.report(report),
        None => tracing::warn!("the phone has told a place that is none"),
    }
}
