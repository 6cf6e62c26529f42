//! Takes the pictures of docs/images: the real program on screens that nobody sees, on a real relay,
//! among people who talk. `cargo xtask screenshots` builds what it needs and runs it.

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("This needs Linux: it opens the window under Xvfb.");
}

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::take()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs, path::Path, process::Command};

    use anyhow::Result;
    use neartalk_rig::{
        headless::Headless,
        programs,
        pulse::Pulse,
        relay::Relay,
        sound::{samples, synthetic_speech, write_wav},
        window::{Home, Options, Screen, Window, key},
    };
    use serde_json::json;

    const WIDE: (u32, u32) = (1100, 780);
    const NARROW: (u32, u32) = (400, 780);
    const HERE: &str = "52.5163, 13.3777";
    /// 140 m from there.
    const NEAR: &str = "52.5155, 13.3793";
    /// They talk for as long as pictures take, however slow the machine.
    const SPEECH_S: f64 = 300.0;
    /// Others: who they are, where, whether they talk, and what they write.
    const OTHERS: [(&str, &str, bool, &str); 4] = [
        (
            "Blue Fox",
            "52.5172,13.3771",
            true,
            "Table tennis by the fountain, anyone?",
        ),
        (
            "Patient Heron",
            "52.5163,13.3812",
            true,
            "Save me a place, still at the bakery",
        ),
        (
            "Red Panda",
            "52.5138,13.3768",
            false,
            "Two bats here, no ball",
        ),
        ("Snow Hare", "52.5190,13.3801", false, ""),
    ];

    struct Person {
        window: Window,
        screen: Screen,
    }

    impl Person {
        fn picture(&self, file: &Path) -> Result<()> {
            self.window.is_still()?;
            self.screen.picture(file)
        }
    }

    pub fn take() -> Result<()> {
        let pictures = programs::root().join("docs/images");
        fs::create_dir_all(&pictures)?;
        let relay = Relay::start(&[])?;
        let pulse = Pulse::start(2)?;
        let mut others = Vec::new();
        for (number, (name, place, talks, _)) in OTHERS.into_iter().enumerate() {
            let mut command = headless(&relay, &pulse, name, place)?;
            if talks {
                let said = pulse.folder().join(format!("{number}.wav"));
                write_wav(&said, &synthetic_speech(number as u64, samples(SPEECH_S)))?;
                command.args(["--address", "127.0.0.1:0", "--voice", "--talk", "open"]);
                command.arg("--mic").arg(said).args(["--output", "none"]);
            }
            others.push(Headless::run(&mut command)?);
        }
        let otter = open(&relay, &pulse, 0, "light", WIDE)?;
        let finch = open(&relay, &pulse, 1, "dark", NARROW)?;
        begin(&otter.window, HERE, "Quiet Otter")?;
        begin(&finch.window, NEAR, "Brave Finch")?;

        for (other, (.., line)) in others.iter_mut().zip(OTHERS) {
            if !line.is_empty() {
                other.say(line)?;
                otter.window.reads(line)?;
            }
        }
        say(&otter.window, "Give me ten minutes, I bring one")?;
        finch.window.reads("Give me ten minutes")?;
        say(&finch.window, "@Quiet Otter hurry, it may rain")?;
        otter.window.reads("it may rain")?;
        // What was renamed and sent is said for a while.
        for person in [&otter, &finch] {
            person.window.sees_no_more("button", "Dismiss")?;
        }
        otter.picture(&pictures.join("chat.png"))?;

        // What stands beside Talk until the first word would hide the people.
        finch.window.press("button", "Around")?;
        finch.window.press("button", "Close")?;
        finch.window.reads("Rings show distance.")?;
        finch.picture(&pictures.join("around.png"))?;

        finch.window.press("button", "Voice")?;
        finch.window.press("button", "Talk.*")?;
        finch.window.sees("button", "Leave voice")?;
        // With a key Talk stays down.
        finch.window.types("button", "Talk.*", key::ENTER)?;
        finch.window.reads("On. Press to stop")?;
        finch.window.reads("speaking")?;
        finch.picture(&pictures.join("voice.png"))?;
        println!("the pictures are in {}", pictures.display());
        Ok(())
    }

    fn headless(relay: &Relay, pulse: &Pulse, name: &str, place: &str) -> Result<Command> {
        let client = programs::program("neartalk-client", "neartalk-headless", &["client/src"])?;
        let mut command = Command::new(client);
        pulse.equip_nobody(&mut command);
        command.args(["--relay", relay.url(), "--name", name, "--at", place]);
        Ok(command)
    }

    fn open(
        relay: &Relay,
        pulse: &Pulse,
        number: usize,
        theme: &str,
        (width, height): (u32, u32),
    ) -> Result<Person> {
        let sources = ["src-tauri/src", "client/src", "app/dist"];
        let program = programs::program("neartalk-app", "neartalk", &sources)?;
        let home = Home::create()?;
        let folder = home.config().join("org.neartalk.NearTalk");
        fs::create_dir_all(&folder)?;
        let settings = json!({ "theme": theme }).to_string();
        fs::write(folder.join("settings.json"), settings)?;
        let screen = Screen::start(width, height)?;
        let mut options = Options {
            name: theme.to_owned(),
            home: Some(home),
            ..Options::default()
        };
        options.driver.env("NEARTALK_RELAY", relay.url());
        pulse.equip(&mut options.driver, number);
        let window = Window::open(Path::new(&program), &screen, options)?;
        window.resize(width, height)?;
        Ok(Person { window, screen })
    }

    fn begin(window: &Window, place: &str, name: &str) -> Result<()> {
        window.press("button", "Choose a place by hand")?;
        window.writes("textbox", "Coordinates", place)?;
        window.press("button", "Be here")?;
        window.sees_no_more("dialog", "*")?;
        window.press("button", "*Change name.")?;
        window.writes("textbox", "Name", name)?;
        window.press("button", "Take this name")?;
        window.sees_no_more("dialog", "*")
    }

    fn say(window: &Window, text: &str) -> Result<()> {
        window.types("textbox", "Message*", &format!("{text}{}", key::ENTER))
    }
}
