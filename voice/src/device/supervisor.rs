//! The thread that owns the streams.

use std::{
    collections::BTreeMap,
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rtrb::{Producer, RingBuffer};

use super::{
    Capture, DeviceEvent, DeviceId, DeviceInfo, DeviceProblem, Direction, Playback, Selection,
    Wake,
    choice::{Choice, Chooser},
    list::{Found, System},
    period::{Pace, Period},
    ring::{CapturePort, PlaybackPort},
    stream::{self, Port, Running, Wakes},
};

/// A device that has not called for so long has stopped.
const STALLED: Duration = Duration::from_secs(3);

/// How to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceOptions {
    /// The microphone.
    pub input: Selection,
    /// The loudspeaker.
    pub output: Selection,
    /// How often to look for devices that came, went, or became the default.
    pub poll: Duration,
}

impl Default for DeviceOptions {
    fn default() -> Self {
        Self {
            input: Selection::Default,
            output: Selection::Default,
            poll: Duration::from_secs(1),
        }
    }
}

enum Command {
    Select(Direction, Selection),
    Stop,
}

/// The devices in use. Dropped, all of them are closed.
pub struct Devices {
    commands: SyncSender<Command>,
    wake: Wake,
    thread: Option<JoinHandle<()>>,
}

/// Opens the devices, now and whenever that changes.
///
/// `processing` is woken when a device has given or taken sound. Events come on a thread of their own;
/// what takes them must not wait for long, nor drop the [`Devices`].
///
/// # Errors
/// When the system has no thread to give. That there are no devices is no error but an event.
pub fn start(
    options: DeviceOptions,
    processing: Wake,
    on_event: impl FnMut(DeviceEvent) + Send + 'static,
) -> io::Result<(Devices, Capture, Playback)> {
    let (commands, inbox) = sync_channel(64);
    let (to_capture, capture) = RingBuffer::new(4);
    let (to_playback, playback) = RingBuffer::new(4);
    let wakes = Wakes {
        processing,
        supervisor: Wake::new(),
    };
    let wake = wakes.supervisor.clone();
    let supervisor = move || {
        wakes.supervisor.register_current();
        let supervisor = Supervisor {
            start: Instant::now(),
            poll: options.poll,
            system: System::default(),
            listed: None,
            input: Line::new(options.input, Outbox::Capture(Slot::new(to_capture))),
            output: Line::new(options.output, Outbox::Playback(Slot::new(to_playback))),
            wakes,
            on_event,
        };
        supervisor.run(&inbox);
    };
    let thread = thread::Builder::new()
        .name("sound devices".to_owned())
        .spawn(supervisor)?;
    let devices = Devices {
        commands,
        wake,
        thread: Some(thread),
    };
    Ok((
        devices,
        Capture::from_inbox(capture),
        Playback::from_inbox(playback),
    ))
}

impl Devices {
    /// Chooses. An event says what came of it.
    pub fn select(&self, direction: Direction, selection: Selection) {
        self.send(Command::Select(direction, selection));
    }

    fn send(&self, command: Command) {
        // It can only fail when the thread has panicked: then there is nothing to choose.
        let _ = self.commands.send(command);
        self.wake.wake();
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        self.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Hands ports over to the processing thread: the latest, if it takes none for long.
struct Slot<P> {
    ring: Producer<Option<P>>,
    latest: Option<Option<P>>,
}

impl<P> Slot<P> {
    fn new(ring: Producer<Option<P>>) -> Self {
        Self { ring, latest: None }
    }

    fn hand_over(&mut self, port: Option<P>) {
        self.latest = Some(port);
        self.flush();
    }

    fn flush(&mut self) {
        if !self.ring.is_full()
            && let Some(port) = self.latest.take()
        {
            let _ = self.ring.push(port);
        }
    }
}

enum Outbox {
    Capture(Slot<CapturePort>),
    Playback(Slot<PlaybackPort>),
}

impl Outbox {
    fn hand_over(&mut self, port: Option<Port>) {
        match (self, port) {
            (Self::Capture(slot), Some(Port::Capture(port))) => slot.hand_over(Some(port)),
            (Self::Capture(slot), _) => slot.hand_over(None),
            (Self::Playback(slot), Some(Port::Playback(port))) => slot.hand_over(Some(port)),
            (Self::Playback(slot), _) => slot.hand_over(None),
        }
    }

    fn flush(&mut self) {
        match self {
            Self::Capture(slot) => slot.flush(),
            Self::Playback(slot) => slot.flush(),
        }
    }
}

/// A stream in use.
struct InUse {
    device: DeviceInfo,
    running: Running,
    calls: u64,
    last_call: Duration,
    pace: Pace,
}

impl InUse {
    fn new(device: DeviceInfo, running: Running, now: Duration) -> Self {
        Self {
            pace: Pace::new(running.rate, running.period),
            device,
            running,
            calls: 0,
            last_call: now,
        }
    }

    /// Whether it runs dry again and again.
    fn is_short(&mut self, now: Duration) -> bool {
        let Running { stats, trouble, .. } = &self.running;
        let complaints = stats.late() + u64::from(trouble.xruns());
        self.pace.is_short(now, stats.samples(), complaints)
    }

    fn problem(&mut self, now: Duration) -> Option<DeviceProblem> {
        let calls = self.running.stats.calls();
        if calls != self.calls {
            self.calls = calls;
            self.last_call = now;
        }
        let stalled = now.saturating_sub(self.last_call) > STALLED;
        let stalled = stalled.then_some(DeviceProblem::Stalled);
        self.running.trouble.problem().or(stalled)
    }
}

/// One direction.
struct Line {
    direction: Direction,
    chooser: Chooser,
    in_use: Option<InUse>,
    outbox: Outbox,
    /// What was last said of there being none.
    unavailable: Option<DeviceProblem>,
    /// Why the last one failed.
    last_problem: Option<DeviceProblem>,
    /// Of those that ran dry with the usual.
    periods: BTreeMap<DeviceId, Period>,
}

impl Line {
    fn new(wanted: Selection, outbox: Outbox) -> Self {
        Self {
            direction: match outbox {
                Outbox::Capture(_) => Direction::Input,
                Outbox::Playback(_) => Direction::Output,
            },
            chooser: Chooser::new(wanted),
            in_use: None,
            outbox,
            unavailable: None,
            last_problem: None,
            periods: BTreeMap::new(),
        }
    }

    fn period(&self, id: &DeviceId) -> Period {
        self.periods.get(id).copied().unwrap_or(Period::Frame)
    }

    fn close(&mut self) -> Option<DeviceInfo> {
        let in_use = self.in_use.take()?;
        self.outbox.hand_over(None);
        self.chooser.closed();
        Some(in_use.device)
    }

    /// Closes what has failed. Whether anything had.
    fn check(&mut self, now: Duration, on_event: &mut impl FnMut(DeviceEvent)) -> bool {
        self.outbox.flush();
        let Some(problem) = self.in_use.as_mut().and_then(|it| it.problem(now)) else {
            return false;
        };
        if let Some(in_use) = &self.in_use {
            self.chooser.failed(now, in_use.device.id.clone());
        }
        self.lose(problem, on_event);
        true
    }

    fn lose(&mut self, problem: DeviceProblem, on_event: &mut impl FnMut(DeviceEvent)) {
        self.last_problem = Some(problem);
        if let Some(device) = self.close() {
            on_event(DeviceEvent::Lost {
                direction: self.direction,
                device,
                problem,
            });
        }
    }

    /// Opens and closes until what is in use is what should be.
    fn settle(
        &mut self,
        now: impl Fn() -> Duration + Copy,
        found: &Found,
        no_service: bool,
        wakes: &Wakes,
        on_event: &mut impl FnMut(DeviceEvent),
    ) {
        let devices: Vec<DeviceInfo> = found.iter().map(|(info, _)| info.clone()).collect();
        let direction = self.direction;
        loop {
            // Each turn but the last opens a device or gives it a penalty.
            match self.chooser.choose(now(), &devices) {
                Choice::Keep => return self.give_more(now, found, wakes, on_event),
                Choice::Gone => self.lose(DeviceProblem::Gone, on_event),
                Choice::Nothing { wanted } => {
                    self.close();
                    let problem = match self.last_problem {
                        _ if !wanted => None,
                        _ if no_service => Some(DeviceProblem::NoService),
                        Some(problem) if !devices.is_empty() => Some(problem),
                        _ => Some(DeviceProblem::NoDevice),
                    };
                    if let Some(problem) = problem
                        && self.unavailable != Some(problem)
                    {
                        on_event(DeviceEvent::Unavailable { direction, problem });
                    }
                    self.unavailable = problem;
                    return;
                }
                Choice::Open { device, fallback } => {
                    let device = device.clone();
                    let Some((_, handle)) = found.iter().find(|(info, _)| *info == device) else {
                        return;
                    };
                    match stream::open(handle, direction, self.period(&device.id), wakes) {
                        Ok((running, port)) => {
                            self.outbox.hand_over(Some(port));
                            self.chooser.opened(now(), device.id.clone());
                            self.unavailable = None;
                            self.last_problem = None;
                            let rate = running.rate;
                            // One that works is closed only now that another does.
                            self.in_use = Some(InUse::new(device.clone(), running, now()));
                            on_event(DeviceEvent::Opened {
                                direction,
                                device,
                                rate,
                                fallback,
                            });
                        }
                        Err(problem) => {
                            self.chooser.failed(now(), device.id.clone());
                            self.last_problem = Some(problem);
                            on_event(DeviceEvent::Refused {
                                direction,
                                device,
                                problem,
                            });
                        }
                    }
                }
            }
        }
    }

    /// Opens a loudspeaker that runs dry anew, with more at once.
    fn give_more(
        &mut self,
        now: impl Fn() -> Duration,
        found: &Found,
        wakes: &Wakes,
        on_event: &mut impl FnMut(DeviceEvent),
    ) {
        let direction = self.direction;
        if direction == Direction::Output
            && let Some(in_use) = &mut self.in_use
            && in_use.is_short(now())
            && let Some(period) = in_use.running.period.longer()
            && let id = &in_use.device.id
            && let Some((device, handle)) = found.iter().find(|(device, _)| device.id == *id)
        {
            self.periods.insert(id.clone(), period);
            // If it can't be, the present one is no worse than it was.
            if let Ok((running, port)) = stream::open(handle, direction, period, wakes) {
                self.outbox.hand_over(Some(port));
                self.in_use = Some(InUse::new(device.clone(), running, now()));
                on_event(DeviceEvent::Slowed {
                    direction,
                    device: device.clone(),
                    period: period.duration(),
                });
            }
        }
    }
}

struct Supervisor<F> {
    start: Instant,
    poll: Duration,
    system: System,
    /// What was last told.
    listed: Option<(Vec<DeviceInfo>, Vec<DeviceInfo>)>,
    input: Line,
    output: Line,
    wakes: Wakes,
    on_event: F,
}

impl<F: FnMut(DeviceEvent)> Supervisor<F> {
    fn run(mut self, inbox: &Receiver<Command>) {
        let mut next_poll = Duration::ZERO;
        loop {
            while let Ok(command) = inbox.try_recv() {
                match command {
                    Command::Select(Direction::Input, to) => self.input.chooser.select(to),
                    Command::Select(Direction::Output, to) => self.output.chooser.select(to),
                    Command::Stop => return,
                }
                next_poll = Duration::ZERO;
            }
            let now = self.start.elapsed();
            let lost = self.input.check(now, &mut self.on_event)
                | self.output.check(now, &mut self.on_event);
            if lost || now >= next_poll {
                self.look();
                next_poll = self.start.elapsed() + self.poll;
            }
            thread::park_timeout(next_poll.saturating_sub(self.start.elapsed()));
        }
    }

    fn look(&mut self) {
        let listing = self.system.list();
        let no_service = listing.is_err();
        let (inputs, outputs) = listing.unwrap_or_default();
        let infos = |found: &Found| found.iter().map(|(info, _)| info.clone()).collect();
        let listed: (Vec<_>, Vec<_>) = (infos(&inputs), infos(&outputs));
        if self.listed.as_ref() != Some(&listed) {
            (self.on_event)(DeviceEvent::Listed {
                inputs: listed.0.clone(),
                outputs: listed.1.clone(),
            });
            self.listed = Some(listed);
        }
        let start = self.start;
        let now = move || start.elapsed();
        let on_event = &mut self.on_event;
        // The loudspeaker first: one wants to hear before one wants to be heard.
        let output = &mut self.output;
        output.settle(now, &outputs, no_service, &self.wakes, on_event);
        let input = &mut self.input;
        input.settle(now, &inputs, no_service, &self.wakes, on_event);
    }
}
