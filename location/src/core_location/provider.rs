//! A location manager belongs to the thread that made it and calls back on that thread's run loop, so it
//! lives on the main thread, where the window's event loop runs. The person is asked by the system, with
//! the reason that the bundle gives (`NSLocationUsageDescription`).

use std::sync::Arc;

use dispatch2::DispatchQueue;
use tokio::sync::oneshot;

use super::sys::Session;
use crate::{LocationProvider, Problem, Report, Reporter, Watch, channel};

/// Core Location.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoreLocation;

impl LocationProvider for CoreLocation {
    fn watch(&self) -> Watch {
        let (reporter, watch) = channel();
        tokio::spawn(run(Arc::new(reporter)));
        watch
    }
}

async fn run(reporter: Arc<Reporter>) {
    let (begun, session) = oneshot::channel();
    let for_session = Arc::clone(&reporter);
    DispatchQueue::main().exec_async(move || {
        // If nobody takes it, it ends here, on the thread that it belongs to.
        let _ = begun.send(Session::start(for_session));
    });
    let Ok(Some(session)) = session.await else {
        let why = "it does not run on the main thread".into();
        return reporter.report(Report::Problem(Problem::Failed(why)));
    };
    reporter.closed().await;
    DispatchQueue::main().exec_async(move || drop(session));
}
