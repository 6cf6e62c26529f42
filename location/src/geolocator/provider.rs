//! The system asks the person where it has to, and calls back on threads of its own.

use std::sync::Arc;

use windows::{
    Devices::Geolocation::{
        GeolocationAccessStatus, Geolocator, PositionAccuracy, PositionChangedEventArgs,
        PositionStatus, StatusChangedEventArgs,
    },
    Foundation::TypedEventHandler,
    core::Result,
};

use super::{DISABLED, INITIALIZING, NOT_AVAILABLE, of_status};
use crate::{LocationProvider, Problem, Reading, Report, Reporter, Watch, channel};

/// The numbers that reports are made of are those of the system's metadata.
const _: () = {
    assert!(INITIALIZING == PositionStatus::Initializing.0);
    assert!(DISABLED == PositionStatus::Disabled.0);
    assert!(NOT_AVAILABLE == PositionStatus::NotAvailable.0);
};

/// As often as this, in milliseconds, the place is wanted while the device moves.
const INTERVAL_MS: u32 = 2_000;

/// Windows' own.
#[derive(Clone, Copy, Debug, Default)]
pub struct WindowsLocation;

impl LocationProvider for WindowsLocation {
    fn watch(&self) -> Watch {
        let (reporter, watch) = channel();
        tokio::spawn(run(Arc::new(reporter)));
        watch
    }
}

async fn run(reporter: Arc<Reporter>) {
    if let Err(error) = follow(&reporter).await {
        let why = error.message();
        reporter.report(Report::Problem(Problem::Failed(why)));
        reporter.closed().await;
    }
}

/// Reports until nobody wants to know any more.
async fn follow(reporter: &Arc<Reporter>) -> Result<()> {
    let access = Geolocator::RequestAccessAsync()?.into_future();
    let access = tokio::select! {
        () = reporter.closed() => return Ok(()),
        access = access => access?,
    };
    if access == GeolocationAccessStatus::Denied {
        reporter.report(Report::Denied);
    }
    // Also after a no: the status tells when the person has thought better of it.
    let locator = Geolocator::new()?;
    locator.SetDesiredAccuracy(PositionAccuracy::High)?;
    locator.SetReportInterval(INTERVAL_MS)?;
    let to = Arc::clone(reporter);
    let statuses = locator.StatusChanged(&TypedEventHandler::new(
        move |_, status: windows::core::Ref<StatusChangedEventArgs>| {
            if let Some(report) = of_status(status.ok()?.Status()?.0) {
                to.report(report);
            }
            Ok(())
        },
    ))?;
    let to = Arc::clone(reporter);
    let positions = locator.PositionChanged(&TypedEventHandler::new(
        move |_, position: windows::core::Ref<PositionChangedEventArgs>| {
            on_position(&to, position.ok()?)
        },
    ))?;
    reporter.closed().await;
    locator.RemovePositionChanged(positions)?;
    locator.RemoveStatusChanged(statuses)
}

fn on_position(reporter: &Reporter, position: &PositionChangedEventArgs) -> Result<()> {
    let coordinate = position.Position()?.Coordinate()?;
    let point = coordinate.Point()?.Position()?;
    match Reading::new(point.Latitude, point.Longitude, coordinate.Accuracy()?) {
        Some(reading) => reporter.report(Report::Reading(reading)),
        None => tracing::warn!("Windows has told a place that is none"),
    }
    Ok(())
}
