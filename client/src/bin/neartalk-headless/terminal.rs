//! Reading lines and writing them: with an editor when a person sits there, plainly otherwise.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    sync::mpsc as std_mpsc,
    thread,
};

use rustyline::{ExternalPrinter, error::ReadlineError};
use serde::Serialize;
use tokio::sync::mpsc;

const PROMPT: &str = "> ";
/// A longer line is no message anyway.
const LINE_MAX: u64 = 16 * 1024;

/// What came from the person or script.
#[derive(Debug)]
pub enum Said {
    /// A line.
    Line(String),
    /// There is no more.
    End,
    /// Ctrl-C.
    Interrupt,
}

/// Where lines come from and go to.
pub struct Terminal {
    said: mpsc::Receiver<Said>,
    output: Output,
    /// Tells the editor to read on.
    prompt: std_mpsc::Sender<()>,
    /// A line is being typed.
    typing: bool,
    #[cfg(unix)]
    _restore: Option<Restore>,
}

enum Output {
    Plain,
    Json,
    /// Prints above the line that is being typed.
    Editor(Box<dyn ExternalPrinter + Send>),
}

/// What a script is told that is no event.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Aside<'a> {
    Note { text: &'a str },
    InputError { message: &'a str },
}

impl Terminal {
    /// Begins to read.
    pub fn start(json: bool) -> anyhow::Result<Self> {
        let (sender, said) = mpsc::channel(16);
        let (prompt, prompted) = std_mpsc::channel();
        if !json && io::stdin().is_terminal() && io::stdout().is_terminal() {
            #[cfg(unix)]
            let restore = Restore::remember();
            let mut editor = rustyline::DefaultEditor::new()?;
            let printer = editor.create_external_printer()?;
            thread::spawn(move || edit(editor, &sender, &prompted));
            return Ok(Self {
                said,
                output: Output::Editor(Box::new(printer)),
                prompt,
                typing: true,
                #[cfg(unix)]
                _restore: restore,
            });
        }
        thread::spawn(move || read(io::stdin().lock(), &sender));
        Ok(Self {
            said,
            output: if json { Output::Json } else { Output::Plain },
            prompt,
            typing: false,
            #[cfg(unix)]
            _restore: None,
        })
    }

    /// Whether a script reads.
    pub fn is_json(&self) -> bool {
        matches!(self.output, Output::Json)
    }

    /// What is said next. Cancel-safe.
    pub async fn next(&mut self) -> Said {
        let said = self.said.recv().await.unwrap_or(Said::End);
        self.typing = false;
        said
    }

    /// What was said has been dealt with; the editor asks for the next line.
    pub fn prompt(&mut self) {
        // Without an editor there is nobody to tell.
        let told = self.prompt.send(()).is_ok();
        self.typing = told && matches!(self.output, Output::Editor(_));
    }

    /// Writes lines for people.
    pub fn lines(&mut self, lines: &[String]) -> io::Result<()> {
        lines.iter().try_for_each(|line| self.write(line))
    }

    /// Writes an event for scripts.
    pub fn json(&mut self, event: &impl Serialize) -> io::Result<()> {
        let line = serde_json::to_string(event)?;
        self.write(&line)
    }

    /// Answers what was typed.
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        match self.output {
            Output::Json => self.json(&Aside::Note { text }),
            _ => self.write(text),
        }
    }

    /// Says what is wrong with what was typed.
    pub fn problem(&mut self, message: &str) -> io::Result<()> {
        match self.output {
            Output::Json => self.json(&Aside::InputError { message }),
            _ => self.write(&format!("That did not work: {message}.")),
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        match &mut self.output {
            Output::Editor(printer) => printer.print(format!("{line}\n")).map_err(io::Error::other),
            Output::Plain | Output::Json => {
                let mut out = io::stdout().lock();
                writeln!(out, "{line}")?;
                out.flush()
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.typing {
            // What comes next starts on a line of its own.
            let _ = writeln!(io::stdout());
        }
    }
}

/// Reads lines from a person, with editing and history.
fn edit(
    mut editor: rustyline::DefaultEditor,
    said: &mpsc::Sender<Said>,
    prompted: &std_mpsc::Receiver<()>,
) {
    loop {
        let (next, last) = match editor.readline(PROMPT) {
            Ok(line) => {
                let _ = editor.add_history_entry(&line);
                (Said::Line(line), false)
            }
            Err(ReadlineError::Interrupted) => (Said::Interrupt, true),
            Err(ReadlineError::Eof) => (Said::End, true),
            Err(_) => (Said::End, true),
        };
        // The terminal is in its usual mode now. It stays so until the line has been dealt with,
        // which may end the program.
        if said.blocking_send(next).is_err() || last || prompted.recv().is_err() {
            return;
        }
    }
}

/// Reads lines from a script or a pipe.
fn read(mut input: impl BufRead, said: &mpsc::Sender<Said>) {
    loop {
        let mut line = Vec::new();
        let next = match input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => Said::End,
            Ok(_) => Said::Line(String::from_utf8_lossy(&line).into_owned()),
        };
        let last = matches!(next, Said::End);
        if said.blocking_send(next).is_err() || last {
            return;
        }
    }
}

/// Puts the terminal back as it was, also when the program ends in the middle of a line.
#[cfg(unix)]
struct Restore(rustix::termios::Termios);

#[cfg(unix)]
impl Restore {
    fn remember() -> Option<Self> {
        rustix::termios::tcgetattr(io::stdin()).ok().map(Self)
    }
}

#[cfg(unix)]
impl Drop for Restore {
    fn drop(&mut self) {
        // There is no way left to complain.
        let now = rustix::termios::OptionalActions::Now;
        let _ = rustix::termios::tcsetattr(io::stdin(), now, &self.0);
    }
}
