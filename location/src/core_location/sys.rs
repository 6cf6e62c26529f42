//! The calls into Objective-C: this crate's only unsafe code.
//!
//! A [`Session`] owns a location manager and its delegate. Both are made, used and dropped on the main
//! thread, which `MainThreadBound` sees to; the manager refers to its delegate weakly, and stops before
//! either goes.
#![allow(unsafe_code)]

use std::sync::Arc;

use dispatch2::MainThreadBound;
use objc2::{
    DefinedClass, MainThreadMarker, MainThreadOnly, define_class, msg_send,
    rc::Retained,
    runtime::{NSObject, NSObjectProtocol, ProtocolObject},
};
use objc2_core_location::{
    CLAuthorizationStatus, CLError, CLLocation, CLLocationManager, CLLocationManagerDelegate,
    kCLLocationAccuracyBest,
};
use objc2_foundation::{NSArray, NSError};

use super::{
    DENIED, ERROR_DENIED, ERROR_LOCATION_UNKNOWN, NOT_DETERMINED, RESTRICTED, of_failure, of_leave,
    of_place,
};
use crate::{Report, Reporter};

/// The numbers that reports are made of are those of Apple's headers.
const _: () = {
    assert!(NOT_DETERMINED == CLAuthorizationStatus::NotDetermined.0);
    assert!(RESTRICTED == CLAuthorizationStatus::Restricted.0);
    assert!(DENIED == CLAuthorizationStatus::Denied.0);
    assert!(ERROR_LOCATION_UNKNOWN == CLError::LocationUnknown.0);
    assert!(ERROR_DENIED == CLError::Denied.0);
};

/// The system tells the place as long as this lives.
pub(super) struct Session {
    both: MainThreadBound<(Retained<CLLocationManager>, Retained<Delegate>)>,
}

impl Session {
    /// Starts one. None when this is not the main thread.
    pub(super) fn start(reporter: Arc<Reporter>) -> Option<Self> {
        let main = MainThreadMarker::new()?;
        let delegate = Delegate::new(reporter, main);
        // SAFETY: plain calls with values of the right types, on the thread whose run loop calls back;
        // the delegate outlives its time as one (see `drop`).
        let manager = unsafe {
            let manager = CLLocationManager::new();
            manager.setDelegate(Some(ProtocolObject::from_ref(&*delegate)));
            manager.setDesiredAccuracy(kCLLocationAccuracyBest);
            manager.requestWhenInUseAuthorization();
            manager.startUpdatingLocation();
            manager
        };
        let both = MainThreadBound::new((manager, delegate), main);
        Some(Self { both })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.both.get_on_main(|(manager, _)| {
            // SAFETY: as above.
            unsafe {
                manager.stopUpdatingLocation();
                manager.setDelegate(None);
            }
        });
    }
}

define_class!(
    // SAFETY: NSObject asks nothing of its subclasses, and this one has no `Drop` of its own.
    #[unsafe(super(NSObject))]
    #[thread_kind = MainThreadOnly]
    #[ivars = Arc<Reporter>]
    struct Delegate;

    // SAFETY: the protocol asks nothing further.
    unsafe impl NSObjectProtocol for Delegate {}

    // SAFETY: the methods have the protocol's signatures.
    unsafe impl CLLocationManagerDelegate for Delegate {
        #[unsafe(method(locationManager:didUpdateLocations:))]
        fn did_update(&self, _: &CLLocationManager, locations: &NSArray<CLLocation>) {
            // The newest stands last.
            if let Some(location) = locations.lastObject() {
                // SAFETY: the getters of a value that never changes.
                let (place, accuracy) =
                    unsafe { (location.coordinate(), location.horizontalAccuracy()) };
                match of_place(place.latitude, place.longitude, accuracy) {
                    Some(report) => self.ivars().report(report),
                    None => tracing::warn!("Core Location has told a place that is none"),
                }
            }
        }

        #[unsafe(method(locationManager:didFailWithError:))]
        fn did_fail(&self, _: &CLLocationManager, error: &NSError) {
            let words = || error.localizedDescription().to_string();
            if let Some(report) = of_failure(error.code(), words) {
                self.ivars().report(report);
            }
        }

        #[unsafe(method(locationManagerDidChangeAuthorization:))]
        fn did_change_authorization(&self, manager: &CLLocationManager) {
            // SAFETY: a getter, on the manager's own thread.
            let status = unsafe { manager.authorizationStatus() };
            let Some(report) = of_leave(status.0) else {
                return;
            };
            if report == Report::Searching {
                // It had ended if leave was taken away meanwhile.
                // SAFETY: a plain call, on the manager's own thread.
                unsafe { manager.startUpdatingLocation() };
            }
            self.ivars().report(report);
        }
    }
);

impl Delegate {
    fn new(reporter: Arc<Reporter>, main: MainThreadMarker) -> Retained<Self> {
        let this = Self::alloc(main).set_ivars(reporter);
        // SAFETY: NSObject's `init` takes nothing and gives the object.
        unsafe { msg_send![super(this), init] }
    }
}
