//! What the system has.

use cpal::{
    Device, DeviceDescription, DeviceType, Host,
    traits::{DeviceTrait, HostTrait},
};

use super::{DeviceId, DeviceInfo, DeviceProblem, Direction};

/// A device and how to open it.
pub(super) type Found = Vec<(DeviceInfo, Device)>;

/// The system's sound service, connected to anew where it went away.
#[derive(Default)]
pub(super) struct System {
    host: Option<Host>,
}

impl System {
    /// Microphones and loudspeakers.
    pub fn list(&mut self) -> Result<(Found, Found), DeviceProblem> {
        let best = cpal::available_hosts().into_iter().next();
        if let Some(host) = self.host.take_if(|host| Some(host.id()) == best)
            && let Ok(found) = list(&host)
        {
            self.host = Some(host);
            return Ok(found);
        }
        // None yet, a better one came up, or it does not answer any more.
        let host = cpal::default_host();
        let found = list(&host).map_err(|_| DeviceProblem::NoService)?;
        self.host = Some(host);
        Ok(found)
    }
}

/// Microphones and loudspeakers, without opening any. Waits for the system.
///
/// # Errors
/// When the system's sound service does not answer.
pub fn now() -> Result<(Vec<DeviceInfo>, Vec<DeviceInfo>), DeviceProblem> {
    let (inputs, outputs) = System::default().list()?;
    let infos = |found: Found| found.into_iter().map(|(info, _)| info).collect();
    Ok((infos(inputs), infos(outputs)))
}

fn list(host: &Host) -> Result<(Found, Found), cpal::Error> {
    let (mut inputs, mut outputs) = (Found::new(), Found::new());
    let default_input = host.default_input_device().and_then(|it| it.id().ok());
    let default_output = host.default_output_device().and_then(|it| it.id().ok());
    for device in host.devices()? {
        let Ok(id) = device.id() else {
            continue;
        };
        let Ok(description) = device.description() else {
            continue;
        };
        if device.supports_input() && is_real(id.id(), Direction::Input) {
            let is_default = default_input.as_ref() == Some(&id);
            let info = info(&id, &description, is_default);
            inputs.push((info, device.clone()));
        }
        if device.supports_output() && is_real(id.id(), Direction::Output) {
            let is_default = default_output.as_ref() == Some(&id);
            outputs.push((info(&id, &description, is_default), device));
        }
    }
    Ok((inputs, outputs))
}

/// PulseAudio offers what each loudspeaker plays as a microphone, and takes it for the default where
/// there is no other: everybody would hear themselves. ALSA's `null` is nothing at all.
fn is_real(id: &str, direction: Direction) -> bool {
    id != "null" && !(direction == Direction::Input && id.ends_with(".monitor"))
}

fn info(id: &cpal::DeviceId, description: &DeviceDescription, is_default: bool) -> DeviceInfo {
    let name = description.name().to_owned();
    DeviceInfo {
        is_worn: is_worn(description.device_type(), &name),
        id: DeviceId::new(id.to_string()),
        name,
        is_default,
    }
}

fn is_worn(kind: DeviceType, name: &str) -> bool {
    match kind {
        DeviceType::Headphones | DeviceType::Headset | DeviceType::HearingAid => true,
        DeviceType::Unknown => {
            let name = name.to_lowercase();
            let words = ["headset", "headphone", "earphone", "earbud", "airpods"];
            words.iter().any(|word| name.contains(word))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worn_is_told_by_type_or_name() {
        assert!(is_worn(DeviceType::Headset, "anything"));
        assert!(is_worn(DeviceType::Unknown, "Jabra Headset Mono"));
        assert!(!is_worn(DeviceType::Unknown, "Built-in Audio"));
        assert!(!is_worn(DeviceType::Speaker, "Headphones, or so"));
    }

    #[test]
    fn what_a_loudspeaker_plays_is_no_microphone() {
        assert!(!is_real("speakers.monitor", Direction::Input));
        assert!(is_real("speakers.monitor", Direction::Output));
        assert!(!is_real("null", Direction::Output));
        assert!(is_real("microphone", Direction::Input));
    }
}
