//! What the processing thread of voice says, and what the person is told of it.

use neartalk_shared::{ClientFrame, PeerId};
use neartalk_voice::{
    device::{DeviceEvent, Direction},
    live::{LevelReport, Output},
    mesh::{LinkState, Notice},
    mixer::Levels,
};

use super::{Desk, HELD};
use crate::{
    event::Event,
    people::People,
    voice::{
        convert,
        status::{
            DeviceDirection, DeviceStatus, OwnLevel, PersonLevel, VoiceLink, VoiceNotice,
            VoicePhase,
        },
    },
};

impl Desk {
    pub(crate) fn output(&mut self, output: Output<PeerId>, people: &People) {
        match output {
            Output::Signal { to, signal } => {
                let data = convert::to_wire(signal);
                if self.admitted {
                    self.send(ClientFrame::Signal { to, data });
                } else if self.status.phase != VoicePhase::Off {
                    if self.held.len() >= HELD {
                        self.held.pop_front();
                    }
                    self.held.push_back((to, data));
                }
            }
            Output::Link { peer, state } => self.change(peer, people, |status| {
                status.link = match state {
                    LinkState::Waiting => VoiceLink::Waiting,
                    LinkState::Connecting => VoiceLink::Connecting,
                    LinkState::Connected => VoiceLink::Connected,
                    LinkState::Interrupted => VoiceLink::Interrupted,
                    LinkState::Unreachable => VoiceLink::Unreachable,
                };
                // What was said of a connection ends with it.
                if !matches!(state, LinkState::Connected | LinkState::Interrupted) {
                    status.cannot_hear_you = false;
                }
            }),
            Output::SameRoom { peer, same_room } => self.change(peer, people, |status| {
                status.same_room = same_room;
            }),
            Output::Notice(notice) => self.notice(notice, people),
            Output::Device(event) => self.device(event),
            Output::Levels(report) => self.levels(&report, people),
            Output::Quality(all) => {
                let mut people_do = Vec::with_capacity(all.len());
                for (peer, quality) in all {
                    if self.shows(peer, people) {
                        people_do.push(convert::quality(peer, &quality));
                    }
                }
                self.emit(Event::VoiceQuality { people: people_do });
            }
            Output::SpeaksWhileMuted => {
                self.emit(Event::VoiceNotice(VoiceNotice::SpeaksWhileMuted));
            }
            Output::Ended(error) => self.thread_ended(error.to_string()),
        }
    }

    /// The processing thread is no more, though nobody ended it.
    pub(crate) fn thread_ended(&mut self, message: String) {
        if !self.running {
            return;
        }
        let tested = std::mem::take(&mut self.status.testing);
        if self.asked_at.is_some() {
            self.send(ClientFrame::VoiceLeave);
        }
        if tested && self.status.phase == VoicePhase::Off {
            self.emit_status();
        }
        self.end_call();
        self.emit(Event::VoiceNotice(VoiceNotice::Ended { message }));
    }

    fn notice(&mut self, notice: Notice<PeerId>, people: &People) {
        match notice {
            // The link's state says so too.
            Notice::Unreachable { .. } => {}
            Notice::CannotHearYou { peer, cannot } => self.change(peer, people, |status| {
                status.cannot_hear_you = cannot;
            }),
            Notice::RoomFull { full } => {
                self.room_full = full;
                self.emit(Event::VoiceNotice(VoiceNotice::RoomFull { full }));
            }
            Notice::NoRelay => self.emit(Event::VoiceNotice(VoiceNotice::NoRelay)),
        }
    }

    fn device(&mut self, event: DeviceEvent) {
        let (direction, status) = match event {
            DeviceEvent::Listed { inputs, outputs } => {
                self.inputs = inputs.into_iter().map(Into::into).collect();
                self.outputs = outputs.into_iter().map(Into::into).collect();
                let (inputs, outputs) = (self.inputs.clone(), self.outputs.clone());
                self.emit(Event::VoiceDevices { inputs, outputs });
                return;
            }
            DeviceEvent::Opened {
                direction,
                device,
                fallback,
                ..
            } => {
                let device = device.into();
                (direction, DeviceStatus::Opened { device, fallback })
            }
            DeviceEvent::Lost {
                direction,
                device,
                problem,
            } => {
                let (device, message) = (device.into(), problem.to_string());
                (direction, DeviceStatus::Lost { device, message })
            }
            DeviceEvent::Refused {
                direction,
                device,
                problem,
            } => {
                let (device, message) = (device.into(), problem.to_string());
                (direction, DeviceStatus::Refused { device, message })
            }
            // Nothing that a person could act on.
            DeviceEvent::Slowed { .. } => return,
            DeviceEvent::Unavailable { direction, problem } => {
                let message = problem.to_string();
                (direction, DeviceStatus::Unavailable { message })
            }
        };
        let (direction, place) = match direction {
            Direction::Input => (DeviceDirection::Input, &mut self.input),
            Direction::Output => (DeviceDirection::Output, &mut self.output),
        };
        *place = Some(status.clone());
        self.emit(Event::VoiceDevice { direction, status });
    }

    fn levels(&mut self, report: &LevelReport<PeerId>, people: &People) {
        let own = OwnLevel {
            dbfs: dbfs(report.own),
            speaking: report.own.speaking,
            talking: report.talking,
        };
        let people = report
            .people
            .iter()
            .filter(|(peer, _)| self.shows(*peer, people))
            .map(|&(peer_id, levels)| PersonLevel {
                peer_id,
                dbfs: dbfs(levels),
                speaking: levels.speaking,
            })
            .collect();
        self.emit(Event::VoiceLevels { own, people });
    }
}

fn dbfs(levels: Levels) -> i8 {
    levels.rms_dbfs.round().clamp(-100.0, 0.0) as i8
}
