//! The place as GeoClue tells it: real calls over a real message bus, to a service that a test decides
//! about.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

use neartalk_location::{LocationProvider as _, Problem, State, Watch, geoclue};
use neartalk_rig::{
    bus::Bus,
    geoclue::{Call, GeoClue},
    process::GUARD,
};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};

const BERLIN: (f64, f64) = (52.5163, 13.3777);
const FURTHER: (f64, f64) = (52.5227, 13.3777);

/// A program that wants to know where it is.
struct Program {
    watch: Watch,
    // Dropped after the watch, so that what ends with it can still end.
    runtime: Runtime,
}

impl Program {
    fn on(bus: &Bus) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let provider = geoclue::GeoClue::new("NearTalk").on_bus(bus.address());
        let watch = runtime.block_on(async { provider.watch() });
        assert_eq!(*watch.state(), State::Finding);
        Self { watch, runtime }
    }

    fn next(&mut self) -> State {
        let next = self.watch.next();
        let next = self.runtime.block_on(async { timeout(GUARD, next).await });
        next.expect("a change within the time").unwrap()
    }

    fn is_at(&mut self, (lat, lon): (f64, f64), accuracy: f64) {
        match self.next() {
            State::Live(reading) => {
                assert_eq!((reading.place.lat(), reading.place.lon()), (lat, lon));
                assert_eq!(reading.accuracy_m, Some(accuracy));
            }
            other => panic!("it is not at a place: {other:?}"),
        }
    }

    /// Wants to know no more; whatever has been begun goes on.
    fn stop(self) -> Runtime {
        self.runtime
    }
}

fn move_to(geoclue: &GeoClue, (lat, lon): (f64, f64), accuracy: f64) {
    geoclue.move_to(lat, lon, accuracy).unwrap();
}

#[test]
fn it_says_who_it_is_before_it_starts_and_follows_the_device() {
    let bus = Bus::start().unwrap();
    let geoclue = GeoClue::start(&bus).unwrap();
    let mut program = Program::on(&bus);
    assert_eq!(geoclue.is_started().unwrap(), "NearTalk");
    move_to(&geoclue, BERLIN, 30.0);
    program.is_at(BERLIN, 30.0);
    move_to(&geoclue, FURTHER, 12.5);
    program.is_at(FURTHER, 12.5);
    // Too coarse to be a place: the last one stands. The next exact one is told.
    move_to(&geoclue, (48.1, 11.6), 25_000.0);
    move_to(&geoclue, BERLIN, 20.0);
    program.is_at(BERLIN, 20.0);
}

#[test]
fn a_place_that_is_known_before_is_told_at_once() {
    let bus = Bus::start().unwrap();
    let geoclue = GeoClue::start(&bus).unwrap();
    move_to(&geoclue, BERLIN, 30.0);
    Program::on(&bus).is_at(BERLIN, 30.0);
}

#[test]
fn a_place_in_another_town_is_none() {
    let bus = Bus::start().unwrap();
    let geoclue = GeoClue::start(&bus).unwrap();
    move_to(&geoclue, BERLIN, 25_000.0);
    let accuracy_m = 25_000.0;
    let coarse = State::Unavailable(Problem::TooCoarse { accuracy_m });
    assert_eq!(Program::on(&bus).next(), coarse);
}

#[test]
fn no_is_told_and_a_leave_that_is_withdrawn_may_come_back() {
    let bus = Bus::start().unwrap();
    let geoclue = GeoClue::start(&bus).unwrap();
    move_to(&geoclue, BERLIN, 30.0);
    geoclue.allow(false).unwrap();
    assert_eq!(Program::on(&bus).next(), State::Denied);

    geoclue.allow(true).unwrap();
    let mut program = Program::on(&bus);
    program.is_at(BERLIN, 30.0);
    geoclue.allow(false).unwrap();
    assert_eq!(program.next(), State::Denied);
    geoclue.allow(true).unwrap();
    assert_eq!(program.next(), State::Finding);
    move_to(&geoclue, FURTHER, 30.0);
    program.is_at(FURTHER, 30.0);
}

#[test]
fn a_system_without_the_service_is_told_and_the_service_is_waited_for() {
    let bus = Bus::start().unwrap();
    let mut program = Program::on(&bus);
    assert_eq!(program.next(), State::Unavailable(Problem::NoService));
    let geoclue = GeoClue::start(&bus).unwrap();
    assert_eq!(program.next(), State::Finding);
    move_to(&geoclue, BERLIN, 30.0);
    program.is_at(BERLIN, 30.0);
}

#[test]
fn a_system_without_a_bus_has_no_service() {
    let bus = Bus::start().unwrap();
    let address = bus.address().to_owned();
    drop(bus);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let state = runtime.block_on(async {
        let mut watch = geoclue::GeoClue::new("NearTalk").on_bus(address).watch();
        timeout(GUARD, watch.next()).await.unwrap().unwrap()
    });
    assert_eq!(state, State::Unavailable(Problem::NoService));
}

#[test]
fn a_service_that_dies_is_told_and_followed_again_when_it_is_back() {
    let bus = Bus::start().unwrap();
    let mut geoclue = GeoClue::start(&bus).unwrap();
    let mut program = Program::on(&bus);
    geoclue.is_started().unwrap();
    move_to(&geoclue, BERLIN, 30.0);
    program.is_at(BERLIN, 30.0);
    for _ in 0..2 {
        geoclue.die().unwrap();
        assert_eq!(program.next(), State::Unavailable(Problem::ServiceGone));
        geoclue.come_back().unwrap();
        assert_eq!(geoclue.is_started().unwrap(), "NearTalk");
        // It was told at the start where the device is.
        loop {
            match program.next() {
                State::Finding => {}
                State::Live(_) => break,
                other => panic!("it came back, and is {other:?}"),
            }
        }
    }
    move_to(&geoclue, FURTHER, 30.0);
    program.is_at(FURTHER, 30.0);
}

#[test]
fn whoever_wants_to_know_no_more_leaves_no_client_behind() {
    let bus = Bus::start().unwrap();
    let geoclue = GeoClue::start(&bus).unwrap();
    let mut program = Program::on(&bus);
    geoclue.is_started().unwrap();
    move_to(&geoclue, BERLIN, 30.0);
    program.is_at(BERLIN, 30.0);
    let _runtime = program.stop();
    assert_eq!(geoclue.next().unwrap(), Call::Stop);
    assert_eq!(geoclue.next().unwrap(), Call::DeleteClient);
}
